#!/usr/bin/env bash
# run.sh [-k] [-n FILES] [-d DIR]: hashes every .go file under DIR (default: Go's own source) through the queue and holds
# the result against sha256sum. Needs a Redis: REDIS_URL (default redis://127.0.0.1:6379/0), which `worker dev` starts.
#   -k  kill the worker with -9 half way, and start it again: nothing may be missing (a file may be hashed twice)
#   -n  only the first FILES files
set -euo pipefail
cd "$(dirname "$0")/../.."
kill_half_way= files=0 dir=$(go env GOROOT)/src
while getopts kn:d: option; do
  case $option in
    k) kill_half_way=1 ;;
    n) files=$OPTARG ;;
    d) dir=$OPTARG ;;
    *) exit 2 ;;
  esac
done
export REDIS_URL=${REDIS_URL:-redis://127.0.0.1:6379/0}
work=$(mktemp -d)
worker=
trap '[ -z "$worker" ] || kill "$worker" 2>/dev/null || true; rm -rf "$work"' EXIT

go build -o "$work/" ./cmd/enqueue ./examples/checksums
find "$dir" -type f -name '*.go' | LC_ALL=C sort >"$work/files"
if [ "$files" -gt 0 ]; then
  head -n "$files" "$work/files" >"$work/some" && mv "$work/some" "$work/files"
fi
total=$(wc -l <"$work/files")
echo "hashing $total files of $dir"

# One JSON object a line. The names hold no quotes or backslashes; json would have to escape those.
sed 's|.*|{"kind":"checksum.file","queue":"checksums","args":{"path":"&"}}|' "$work/files" | "$work/enqueue" --file -

touch "$work/results"
if [ -n "$kill_half_way" ]; then
  "$work/checksums" -out "$work/results" -concurrency 2 &
  worker=$!
  while [ "$(wc -l <"$work/results")" -lt $((total / 2)) ] && kill -0 "$worker" 2>/dev/null; do :; done
  kill -9 "$worker"
  wait "$worker" 2>/dev/null || true
  worker=
  echo "killed the worker with -9 after $(wc -l <"$work/results") files; starting it again"
fi
"$work/checksums" -out "$work/results"

LC_ALL=C sort "$work/results" >"$work/lines"
LC_ALL=C sort -u "$work/results" >"$work/got"
xargs -d '\n' sha256sum <"$work/files" | LC_ALL=C sort >"$work/want"
diff "$work/want" "$work/got" >&2 || { echo "the results differ from sha256sum" >&2; exit 1; }
twice=$(($(wc -l <"$work/lines") - $(wc -l <"$work/got")))
if [ -z "$kill_half_way" ] && [ "$twice" -gt 0 ]; then
  echo "$twice files were hashed twice" >&2
  exit 1
fi
echo "all $total checksums are those of sha256sum, none is missing, $twice twice"

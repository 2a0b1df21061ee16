#!/usr/bin/env bash
# run.sh [-k] [-s] [-n FILES] [-d DIR]: hashes every .go file under DIR (default: Go's own source) through the queue and holds
# the result against sha256sum. Needs a Redis: REDIS_URL (default redis://127.0.0.1:6379/0), which `worker dev` starts.
#   -k  kill the worker with -9 half way, and start it again: nothing may be missing (a file may be hashed twice)
#   -s  without Go: the worker binary runs sha256sum by the script sum, as worker.yaml says
#   -n  only the first FILES files
set -euo pipefail
cd "$(dirname "$0")/../.."
kill_half_way= shell= files=0 dir=$(go env GOROOT)/src
while getopts ksn:d: option; do
  case $option in
    k) kill_half_way=1 ;;
    s) shell=./cmd/worker ;;
    n) files=$OPTARG ;;
    d) dir=$OPTARG ;;
    *) exit 2 ;;
  esac
done
export REDIS_URL=${REDIS_URL:-redis://127.0.0.1:6379/0}
work=$(mktemp -d)
worker=
trap '[ -z "$worker" ] || kill "$worker" 2>/dev/null || true; rm -rf "$work"' EXIT

go build -o "$work/" ./cmd/enqueue "${shell:-./examples/checksums}"

# checksums CONCURRENCY: a worker that ends once there is nothing left to do.
checksums() {
  if [ -n "$shell" ]; then
    RESULTS=$work/results exec "$work/worker" run -c examples/checksums/worker.yaml --concurrency "$1" --exit-when-empty
  fi
  exec "$work/checksums" -out "$work/results" -concurrency "$1"
}

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
  checksums 2 &
  worker=$!
  while [ "$(wc -l <"$work/results")" -lt $((total / 2)) ] && kill -0 "$worker" 2>/dev/null; do :; done
  kill -9 "$worker"
  wait "$worker" 2>/dev/null || true
  worker=
  echo "killed the worker with -9 after $(wc -l <"$work/results") files; starting it again"
fi
(checksums 8)

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

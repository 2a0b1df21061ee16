#!/usr/bin/env bash
# run.sh [-k] [-n HOOKS] [-r RATE]: delivers webhooks (2,000 unless told otherwise) with the worker binary to the receiver in this
# directory, which fails, loses answers, is slow and limits the rate, and checks that the work of each was done exactly
# once. Needs a Redis: REDIS_URL (default redis://127.0.0.1:6379/0), which `worker dev` starts. BIN names a directory that
# has the three programs already.
#   -k  kill the worker with -9 half way, and start it again
#   -n  how many hooks
#   -r  how many requests a second the receiver takes (500 unless told otherwise)
set -euo pipefail
cd "$(dirname "$0")/../.."
kill_half_way= hooks=2000 rate=500
while getopts kn:r: option; do
  case $option in
    k) kill_half_way=1 ;;
    n) hooks=$OPTARG ;;
    r) rate=$OPTARG ;;
    *) exit 2 ;;
  esac
done
export REDIS_URL=${REDIS_URL:-redis://127.0.0.1:6379/0}
work=$(mktemp -d)
worker= receiver=
trap '[ -z "$worker" ] || kill "$worker" 2>/dev/null || true; [ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true; rm -rf "$work"' EXIT

bin=${BIN:-$work}
[ -n "${BIN:-}" ] || go build -o "$bin/" ./cmd/enqueue ./cmd/worker ./examples/webhooks
export HOOKS_SECRET_FILE=$work/hook.secret
echo "whsec_$(head -c 32 /dev/urandom | base64)" >"$HOOKS_SECRET_FILE"

"$bin/webhooks" -listen 127.0.0.1:0 -url-file "$work/url" -secret-file "$HOOKS_SECRET_FILE" -effects "$work/effects" \
  -rate "$rate" >"$work/table" &
receiver=$!
while [ ! -e "$work/url" ]; do
  kill -0 "$receiver" || exit 1
  sleep 0.05
done
HOOKS_URL=$(cat "$work/url")
export HOOKS_URL

seq "$hooks" | sed 's|.*|{"kind":"hook.paid","queue":"hooks","args":{"order":&}}|' | "$bin/enqueue" --file -

# Failed attempts are logged as warnings, hundreds of them: to a file.
deliver() { exec "$bin/worker" run -c examples/webhooks/worker.yaml --exit-when-empty 2>>"$work/log"; }
if [ -n "$kill_half_way" ]; then
  deliver &
  worker=$!
  while [ "$(wc -l <"$work/effects")" -lt $((hooks / 2)) ] && kill -0 "$worker" 2>/dev/null; do sleep 0.01; done
  kill -9 "$worker"
  wait "$worker" 2>/dev/null || true
  worker=
  echo "killed the worker with -9 after $(wc -l <"$work/effects") hooks; starting it again"
fi
start=$SECONDS
deliver &
worker=$!
wait "$worker" || { tail -n 20 "$work/log" >&2; exit 1; }
worker=
echo "the queue is empty after $((SECONDS - start)) s"

kill "$receiver"
wait "$receiver" || { echo "the receiver failed" >&2; exit 1; }
receiver=
cat "$work/table"
cut -d' ' -f1 "$work/effects" | LC_ALL=C sort | uniq -d >"$work/twice"
sed 's/[^ ]* //' "$work/effects" | LC_ALL=C sort >"$work/got"
seq "$hooks" | sed 's|.*|{"order":&}|' | LC_ALL=C sort >"$work/want"
[ ! -s "$work/twice" ] || { echo "keys whose work was done twice:" >&2; cat "$work/twice" >&2; exit 1; }
diff "$work/want" "$work/got" >&2 || { echo "the work done is not what was enqueued" >&2; exit 1; }
echo "all $hooks hooks are delivered, the work of each was done exactly once"

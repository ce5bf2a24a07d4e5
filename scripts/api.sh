#!/usr/bin/env bash
# Sends a node what its API document allows, and what it does not, and checks each answer against that document (schemathesis).
# An answer that the document does not know is a fault, and so is each 500.
#
#   api.sh [OPTION…]   options go to `schemathesis run`, such as --seed 7 or --max-time 3600
#
# The node has a data directory of its own, ports on the loopback and no Docker. NODE_BIN names the program.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

PORT="${API_PORT:-18261}"
KEY=a-key-for-this-test-alone
BIN="$(realpath -- "${NODE_BIN:-$CARGO_TARGET_DIR/debug/acefleet}")"
TOOL="$TOOLS/schemathesis"
WORK="$(mktemp -d)"
NODE=

at_exit() {
    if [ -n "$NODE" ]; then
        kill "$NODE" 2>/dev/null || true
        wait "$NODE" 2>/dev/null || true
    fi
    rm -rf "$WORK"
}

# The tool in an environment of its own, as the lock file has it; made anew when that changes.
fetch() {
    local lock="$ROOT/scripts/schemathesis.lock"
    cmp --silent "$lock" "$TOOL/lock" && return 0
    say "fetching schemathesis into $TOOL"
    rm -rf "$TOOL"
    python3 -m venv "$TOOL" >&2 || die "python3 makes no environment: install python3-venv"
    "$TOOL/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement "$lock" >&2 ||
        die "PyPI did not give what scripts/schemathesis.lock names"
    cp "$lock" "$TOOL/lock"
}

start() {
    env -i "PATH=$PATH" "HOME=$WORK" ACEFLEET_NODE_NAME=api "ACEFLEET_DATA_DIR=$WORK/data" ACEFLEET_HTTP_BIND=127.0.0.1 \
        "APP_PORT=$PORT" "ACEFLEET_CLUSTER_BIND=127.0.0.1:$((PORT + 1))" ACEFLEET_ADVERTISE=127.0.0.1 \
        "DOCKER_HOST=unix://$WORK/no-docker.sock" PORT_RANGE_HOST=1000-1019 "API_KEY=$KEY" ACEFLEET_RELAY=false ACEFLEET_RATE_FACTOR=0 \
        "$BIN" serve >"$WORK/node.log" 2>&1 &
    NODE=$!
    local tries
    for tries in $(seq 150); do
        curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$PORT/cluster" && return 0
        kill -0 "$NODE" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$WORK/node.log" >&2
    die "the node does not answer (after $tries looks)"
}

trap at_exit EXIT
[ -x "$BIN" ] || die "there is no $BIN: run make build, or name it with NODE_BIN"
fetch
start
"$BIN" openapi >"$WORK/openapi.json"
# Streams without an end are tested elsewhere.
# It keeps notes of its runs where it is started.
cd "$WORK"
if ! "$TOOL/bin/schemathesis" run "$WORK/openapi.json" --url "http://127.0.0.1:$PORT" --header "Authorization: Bearer $KEY" \
    --exclude-path /events/stream --exclude-path /ws/engines --exclude-path /cluster/key \
    --checks status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method \
    --phases examples,coverage,fuzzing --request-timeout 30 --continue-on-failure --warnings off "$@" >"$WORK/report.txt" 2>&1; then
    cat "$WORK/report.txt" >&2
    tail -n 20 "$WORK/node.log" >&2
    die "the API does not keep to its document"
fi
kill -0 "$NODE" 2>/dev/null || die "the node has ended"
curl --silent --fail --max-time 10 "http://127.0.0.1:$PORT/metrics" >"$WORK/metrics.txt" || die "the node answers no more"
if grep -E '^orch_api_requests_total.*"50[0-24-9]"' "$WORK/metrics.txt" >&2; then die "the node has answered that it has a fault"; fi
if grep -q 'panicked' "$WORK/node.log"; then
    grep -A 5 'panicked' "$WORK/node.log" >&2
    die "the node has panicked"
fi
# A caller makes no flood in the log.
LINES="$(wc -l <"$WORK/node.log")"
tail -n 4 "$WORK/report.txt"
printf 'log lines of the node: %d\n' "$LINES"

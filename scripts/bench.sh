#!/usr/bin/env bash
# Latency of one real node: provisioning beside plain `docker run` of the same image, and the reads that clients poll.
#
#   BENCH_CALLS   engines made each way, default 20
#   BENCH_READS   reads of each kind, default 1000
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

CALLS="${BENCH_CALLS:-20}"
READS="${BENCH_READS:-1000}"
HTTP_PORT=18980
CLUSTER_PORT=18981
FIRST_PORT=29000
IMAGE=acefleet/engine-sim:dev
LABEL=acefleet.bench=1
BASE="http://127.0.0.1:$HTTP_PORT"
KEY=for-the-benchmark-only

WORK="$(mktemp -d)"
NODE_PID=
STARTED_DOCKER=

client() { docker --host "$(docker_endpoint)" "$@"; }

cleanup() {
    local containers
    if [ -n "$NODE_PID" ]; then
        kill "$NODE_PID" 2>/dev/null || true
        wait "$NODE_PID" 2>/dev/null || true
    fi
    mapfile -t containers < <(client ps --all --quiet --filter "label=$LABEL" 2>/dev/null)
    [ "${#containers[@]}" = 0 ] || client rm --force "${containers[@]}" >/dev/null
    [ -z "$STARTED_DOCKER" ] || scripts/docker-up.sh down || true
    rm -rf "$WORK"
}

# figures NAME: reads milliseconds, one per line, and prints one row.
figures() {
    sort -n | awk -v name="$1" '
        { t[NR] = $1; sum += $1 }
        function at(q,  i) { i = int(q * NR + 0.999999); return t[i < 1 ? 1 : i] }
        END { printf "%-44s %6d %9.2f %9.2f %9.2f %9.2f\n", name, NR, sum / NR, at(0.5), at(0.99), t[NR] }'
}

start_node() {
    : >"$WORK/none.toml"
    # Nothing of this machine's settings: no environment, no .env of the working directory, no TOML file.
    (
        cd "$WORK"
        exec env -i PATH="$PATH" HOME="$HOME" ${DOCKER_HOST:+DOCKER_HOST="$DOCKER_HOST"} ACEFLEET_CONFIG="$WORK/none.toml" \
            APP_PORT="$HTTP_PORT" ACEFLEET_HTTP_BIND=127.0.0.1 ACEFLEET_CLUSTER_BIND="127.0.0.1:$CLUSTER_PORT" \
            ACEFLEET_ADVERTISE=127.0.0.1 ACEFLEET_NODE_NAME=bench ACEFLEET_DATA_DIR="$WORK/data" ACEFLEET_LOG=warn \
            API_KEY="$KEY" TARGET_IMAGE="$IMAGE" CONTAINER_LABEL="$LABEL" MIN_REPLICAS=0 MAX_REPLICAS=200 \
            PORT_RANGE_HOST="$FIRST_PORT-$((FIRST_PORT + 399))" \
            "$ROOT/target/release/acefleet" serve >"$WORK/node.log" 2>&1
    ) &
    NODE_PID=$!
    local deadline=$((SECONDS + 30))
    # Ready to serve is not enough: the first look at Docker has to be over, too.
    until curl --silent --fail "$BASE/orchestrator/status" | grep -q '"can_provision":true'; do
        kill -0 "$NODE_PID" 2>/dev/null || die "the node ended: $(tail -n 5 "$WORK/node.log")"
        [ "$SECONDS" -lt "$deadline" ] || die "the node is not ready after 30 s: $(tail -n 5 "$WORK/node.log")"
        sleep 0.1
    done
}

provision() {
    local i code time
    for ((i = 0; i < CALLS; i++)); do
        read -r code time < <(curl --silent --output "$WORK/answer" --write-out '%{http_code} %{time_total}\n' \
            --header "Authorization: Bearer $KEY" --json '{}' "$BASE/provision/acestream")
        [ "$code" = 200 ] || die "provisioning was answered with $code: $(cat "$WORK/answer")"
        awk -v t="$time" 'BEGIN { print t * 1000 }'
    done
}

docker_run() {
    local i from port
    for ((i = 0; i < CALLS; i++)); do
        port=$((FIRST_PORT + 500 + i))
        from=$(date +%s%N)
        client run --detach --label "$LABEL" --publish "$port:6878" "$IMAGE" >/dev/null
        echo $((($(date +%s%N) - from) / 1000))
    done | awk '{ print $1 / 1000 }'
}

# reads PATH: one connection, as a polling client has it.
reads() {
    local i
    for ((i = 0; i < READS; i++)); do
        printf 'url = "%s"\noutput = /dev/null\n' "$BASE$1"
    done | curl --silent --fail --config - --write-out '%{time_total}\n' | awk '{ print $1 * 1000 }'
}

# Measures in the foreground first, so that a failure ends the script and no row is printed.
row() {
    local name="$1"
    shift
    "$@" >"$WORK/times"
    figures "$name" <"$WORK/times"
}

scripts/bootstrap.sh run
trap cleanup EXIT
STARTED_DOCKER="$(scripts/docker-up.sh up)" || die "the benchmark needs a Docker engine"
scripts/build.sh
scripts/images.sh >/dev/null
start_node

printf 'machine: %s, %s cores, Linux %s, Docker %s (%s)\n\n' \
    "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(uname -r)" \
    "$(client version --format '{{.Server.Version}}')" "$(client info --format '{{.Driver}}')"
printf '%-44s %6s %9s %9s %9s %9s\n' 'milliseconds' n mean p50 p99 max
row "docker run -d" docker_run
row "POST /provision/acestream" provision
row "GET /engines ($CALLS engines)" reads /engines
row "GET /orchestrator/status" reads /orchestrator/status
row "GET /streams" reads /streams

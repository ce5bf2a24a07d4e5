#!/usr/bin/env bash
# Writes tests/golden/NAME.tar.gz: data directories of one version, which later versions have to go on with. Run once for each release,
# and never again for the same one.
#
#   scripts/golden.sh NAME BINARY
#
# Inside: `stopped`, a node that was told to stop, `killed`, one that was not and has a snapshot, and for each what it answered last.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

[ $# = 2 ] || die "usage: golden.sh NAME BINARY"
ARCHIVE="tests/golden/$1.tar.gz"
BINARY="$(realpath -- "$2")"
[ ! -e "$ARCHIVE" ] || die "$ARCHIVE is there: what a version wrote does not change"
WORK="$(mktemp -d)"
NODE=
trap '[ -z "$NODE" ] || kill -9 "$NODE" 2>/dev/null; rm -rf "$WORK"' EXIT
# An address of the loopback of its own.
AT="127.91.$((BASHPID / 256 % 256)).$((BASHPID % 256))"
mkdir "$WORK/cwd"

# become ARGUMENT…: turns this shell into the program with the settings of the node.
become() {
    cd "$WORK/cwd"
    exec env -i HOME="$WORK" ACEFLEET_NODE_NAME=a ACEFLEET_DATA_DIR="$WORK/data" ACEFLEET_HTTP_BIND="$AT" \
        ACEFLEET_CLUSTER_BIND="$AT:8001" ACEFLEET_ADVERTISE="$AT" ACEFLEET_RELAY=false DOCKER_HOST=unix:///does/not/exist.sock \
        "$BINARY" "$@"
}

acefleet() { (become "$@"); }

call() { curl --silent --show-error --fail --max-time 20 -H "Authorization: Bearer $(<"$WORK/key")" "$@"; }

start() {
    become serve 2>>"$WORK/log" &
    NODE=$!
    for _ in $(seq 100); do
        if curl --silent --fail --max-time 2 --output /dev/null "http://$AT:8000/readyz"; then return 0; fi
        sleep 0.1
    done
    die "it is not ready: $(tail -n 3 "$WORK/log")"
}

# begin NUMBER [LABELS]: a stream.
begin() {
    call --output /dev/null -H 'Content-Type: application/json' "http://$AT:8000/events/stream_started" -d '{
        "stream": {"key_type": "content_id", "key": "k'"$1"'"}, "engine": {"host": "192.0.2.1", "port": 6878}, "labels": {'"${2:-}"'},
        "session": {"playback_session_id": "s'"$1"'", "is_live": 1, "stat_url": "http://192.0.2.1:6878/stat/'"$1"'",
            "command_url": "http://192.0.2.1:6878/cmd/'"$1"'"}}'
}

end() {
    call --output /dev/null -H 'Content-Type: application/json' "http://$AT:8000/events/stream_ended" \
        -d '{"stream_id": "k'"$1"'|s'"$1"'", "reason": "completed"}'
}

# until_snapshot: eight megabytes of entries make one; they are the same letter, for the sake of the archive.
until_snapshot() {
    local number long
    long="$(printf 'x%.0s' $(seq 8000))"
    for number in $(seq 1000 2000); do
        begin "$number" '"one": "'"$long"'", "two": "'"$long"'"'
        end "$number"
        if compgen -G "$WORK/data/snapshots/*" >/dev/null; then return 0; fi
    done
    die "there is no snapshot after $number streams"
}

# answers NAME: what the node says of itself, for comparison.
answers() {
    local path
    mkdir -p "$WORK/golden/$1"
    for path in cluster streams?status=started streams?status=ended settings; do
        call --output "$WORK/golden/$1/${path/\?status=/-}.json" "http://$AT:8000/$path"
    done
    cp "$WORK/key" "$WORK/golden/$1/key"
}

# keep NAME: the directory as it is now, without the logs of RocksDB, which nothing reads.
keep() {
    cp -r "$WORK/data" "$WORK/golden/$1/data"
    rm -f "$WORK/golden/$1"/data/rocks/LOG*
}

start
acefleet key >"$WORK/key"
for number in 1 2 3 4; do begin "$number"; done
end 2
acefleet settings set MAX_REPLICAS=7 AUTO_DELETE=true >/dev/null
acefleet cordon a >/dev/null
answers stopped
kill "$NODE"
wait "$NODE"
keep stopped

start
until_snapshot
begin 5
end 3
acefleet settings set MIN_REPLICAS=2 >/dev/null
answers killed
kill -9 "$NODE"
wait "$NODE" 2>/dev/null || true
NODE=
keep killed

tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=ustar -C "$WORK/golden" -cf - . | gzip -9n >"$ARCHIVE"
say "wrote $ARCHIVE ($(stat -c %s "$ARCHIVE") bytes)"

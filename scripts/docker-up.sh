#!/usr/bin/env bash
# Sees to it that a Docker engine answers, and stops only what it started itself.
#
#   docker-up.sh up      uses the engine at DOCKER_HOST or /var/run/docker.sock, else starts one. Prints `started` when that
#                        is for `down` to stop, so not when systemd was asked
#   docker-up.sh down    stops the dockerd that `up` started, if any; containers stop with it
#   docker-up.sh status  says whether an engine answers, and who started it
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Holds "<pid> <start time>" of the dockerd that we started: a pid alone could be somebody else's by now.
RECORD=/run/acefleet-dockerd.started
LOG=/var/log/acefleet-dockerd.log
START_TIMEOUT_S=60
STOP_TIMEOUT_S=60

# start_time PID: when the process began, in clock ticks since boot; fails when there is none, or only its zombie.
start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20; found = 1 } END { exit !found }'; }

# ours: prints the pid of the dockerd that we started, if it still runs.
ours() {
    local pid since
    [ -r "$RECORD" ] && read -r pid since <"$RECORD" && [ "$(start_time "$pid")" = "$since" ] && printf '%s\n' "$pid"
}

# wait_for SECONDS COMMAND…: polls until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

answers_or_died() { docker_answers || [ -z "$(ours)" ]; }

# start_dockerd OPTION…: in a session of its own, so that Ctrl-C in this terminal does not reach it.
start_dockerd() {
    as_root env RECORD="$RECORD" LOG="$LOG" bash -c '
        setsid dockerd --log-level warn "$@" </dev/null >>"$LOG" 2>&1 &
        pid=$!
        printf "%s %s\n" "$pid" "$(sed "s/^.*) //" "/proc/$pid/stat" | cut -d " " -f 20)" >"$RECORD"
    ' bash "$@"
    wait_for "$START_TIMEOUT_S" answers_or_died && docker_answers
}

# may_use_docker: true when this user could use an engine that is started here.
may_use_docker() { [ "$(id -u)" = 0 ] || id -nG | tr ' ' '\n' | grep -qx docker; }

why_not() {
    say "the Docker engine did not come up; end of $LOG:"
    as_root tail -n 15 "$LOG" >&2 || true
}

up() {
    docker_answers && return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it there, or unset DOCKER_HOST to use a local one"
    fi
    if ! may_use_docker; then
        die "Docker does not let $(id -un) in: run \`sudo usermod -aG docker $(id -un)\` and log in again, or use root"
    fi
    have dockerd || die "no Docker engine on this machine (no dockerd): install docker.io, or set DOCKER_HOST"
    if [ -d /run/systemd/system ]; then
        say "starting Docker (systemctl start docker)"
        as_root systemctl start docker || die "systemctl could not start docker: see \`journalctl -u docker\`"
        wait_for "$START_TIMEOUT_S" docker_answers || die "Docker was started but does not answer at $(docker_endpoint)"
        return 0
    fi
    say "starting a Docker engine (dockerd, log in $LOG)"
    if ! start_dockerd; then
        down
        say "trying once more with the vfs storage driver"
        start_dockerd --storage-driver vfs || {
            down
            why_not
            return 1
        }
    fi
    echo started
}

down() {
    local pid
    pid="$(ours)" || {
        as_root rm -f "$RECORD"
        return 0
    }
    # The shell's own kill: a small system has no program of that name.
    as_root bash -c 'kill "$1"' bash "$pid"
    wait_for "$STOP_TIMEOUT_S" gone || die "dockerd ($pid) did not stop within $STOP_TIMEOUT_S s: see $LOG"
    as_root rm -f "$RECORD"
    say "stopped the Docker engine that was started here"
}

gone() { [ -z "$(ours)" ]; }

status() {
    if docker_answers; then
        say "a Docker engine answers at $(docker_endpoint)$(ours >/dev/null && echo ', started by docker-up.sh')"
    else
        say "no Docker engine answers at $(docker_endpoint)"
        return 1
    fi
}

case "${1:-}" in
up | down | status) "$1" ;;
*) die "usage: docker-up.sh up|down|status" ;;
esac

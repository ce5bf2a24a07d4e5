#!/usr/bin/env bash
# Runs inside the bare system of package-test.sh, as root, with first.deb and next.deb beside it. Never on a system that is used.
set -euo pipefail
[ -d /packages ] && [ ! -e /run/systemd/system ] || { echo "package-life.sh runs in the system of package-test.sh alone" >&2; exit 64; }

SETTINGS=/etc/acefleet/acefleet.env
DATA=/var/lib/acefleet
UNIT=/lib/systemd/system/acefleet.service

step() { printf '=== %s\n' "$*"; }

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# expect WHAT COMMAND…
expect() {
    local what="$1"
    shift
    "$@" || fail "$what"
}

# never WHAT COMMAND…
never() {
    local what="$1"
    shift
    if "$@"; then fail "$what"; fi
}

is() { [ "$(stat -c '%U:%G %a' "$1")" = "$2" ]; }

# become COMMAND…: turns this shell into it, as the unit would: settings read by root, the user of the node.
become() {
    set -a
    # shellcheck source=/dev/null
    . "$SETTINGS"
    set +a
    export ACEFLEET_DATA_DIR="$DATA"
    cd /
    exec setpriv --reuid acefleet --regid acefleet --init-groups "$@"
}

# runs: starts the node, prints the key of its cluster, and stops it.
runs() {
    local node key='' try
    become acefleet serve >/tmp/node.log 2>&1 &
    node=$!
    for try in $(seq 300); do
        if (become acefleet healthcheck --ready) >/dev/null 2>&1; then break; fi
        kill -0 "$node" 2>/dev/null || fail "the node ended: $(tail -n 3 /tmp/node.log)"
        [ "$try" != 300 ] || fail "the node is not ready: $(tail -n 3 /tmp/node.log)"
        sleep 0.1
    done
    key="$(become acefleet key 2>/dev/null)"
    kill "$node"
    wait "$node" || fail "the node did not end well: $(tail -n 3 /tmp/node.log)"
    printf '%s\n' "$key"
}

step "install"
dpkg --install /packages/first.deb
expect "there is a user" getent passwd acefleet
expect "the group of Docker is there" getent group docker
expect "the user is no login: $(getent passwd acefleet)" sh -c 'getent passwd acefleet | grep -q nologin'
expect "settings are for root alone" is "$SETTINGS" "root:root 600"
expect "data are for the node alone" is "$DATA" "acefleet:acefleet 700"
never "the unit is enabled" test -e /etc/systemd/system/multi-user.target.wants/acefleet.service
expect "files are as packed" test -z "$(dpkg --verify acefleet)"
expect "the page is there" test -s /usr/share/man/man1/acefleet.1.gz
expect "completions are there" bash -n /usr/share/bash-completion/completions/acefleet
said="$(systemd-analyze verify "$UNIT" 2>&1)" || fail "systemd refuses the unit: $said"
expect "systemd has nothing to say of the unit: $said" test -z "$said"
expect "the unit has a user that stays" grep -q '^User=acefleet$' "$UNIT.d/user.conf"

step "run"
printf 'APP_PORT=18000\nACEFLEET_NODE_NAME=of-the-administrator\n' >>"$SETTINGS"
key="$(runs)"
expect "a key was made" test -n "$key"
before="$(find "$DATA" -mindepth 1 -maxdepth 1 | sort)"
expect "data belong to the user" test -z "$(find "$DATA" ! -user acefleet)"

step "upgrade"
dpkg --force-confdef --force-confold --install /packages/next.deb
expect "the next version is installed" sh -c 'dpkg-query -W -f "\${Version}" acefleet | grep -q "+next\$"'
expect "edited settings stay" grep -q '^APP_PORT=18000$' "$SETTINGS"
expect "the new settings are beside them" grep -q 'A line of the next version' "$SETTINGS.dpkg-dist"
expect "settings are for root alone still" is "$SETTINGS" "root:root 600"
expect "data stay" test "$before" = "$(find "$DATA" -mindepth 1 -maxdepth 1 | sort)"
expect "it is the same cluster" test "$key" = "$(runs)"

step "remove"
dpkg --remove acefleet
never "the program is left" test -e /usr/bin/acefleet
never "the unit is left" test -e "$UNIT"
expect "settings stay" grep -q '^APP_PORT=18000$' "$SETTINGS"
expect "data stay" test "$before" = "$(find "$DATA" -mindepth 1 -maxdepth 1 | sort)"

step "install again"
dpkg --force-confdef --force-confold --install /packages/next.deb
expect "it is the same cluster" test "$key" = "$(runs)"

step "purge"
said="$(dpkg --purge acefleet)"
printf '%s\n' "$said"
expect "it says what is left" grep -q "rm -r $DATA" <<<"$said"
never "settings are left" test -e /etc/acefleet
expect "data stay" test "$before" = "$(find "$DATA" -mindepth 1 -maxdepth 1 | sort)"
expect "the user stays" getent passwd acefleet

step "install after a purge, and purge with the data removed"
dpkg --install /packages/first.deb
printf 'APP_PORT=18000\nACEFLEET_NODE_NAME=of-the-administrator\n' >>"$SETTINGS"
expect "it is the same cluster" test "$key" = "$(runs)"
rm -r "$DATA"
said="$(dpkg --purge acefleet)"
never "it speaks of data that are gone" grep -q "$DATA is left" <<<"$said"

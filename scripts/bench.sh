#!/usr/bin/env bash
# Benchmarks of the release binary beside bare hyper, etcd, Docker and HAProxy: prints a table. docs/PERFORMANCE.md says what
# is measured and how.
#
#   bench.sh [GROUP…]      all groups of rows without any; `--list` names them
#   BENCH                  quick: a few minutes; full: the idle cluster is watched for ten minutes
#   NODE_BIN               measures this binary instead of building one
#   BENCH_DIR              directory for the data of nodes and of etcd, on the disk that is to be used; default: /tmp
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

scripts/bootstrap.sh bench

# Only programs of this system may be measured against; this one is unpacked, not installed, so that no service is started.
PATH="$PATH:$TOOLS/usr/bin"

# unpack_etcd: Debian's etcd-server without its service.
unpack_etcd() {
    local dir
    have etcd && return 0
    have apt-get || die "etcd is not installed and there is no apt-get here: install it (Debian package etcd-server)"
    say "unpacking Debian's etcd-server in $TOOLS"
    dir="$(mktemp -d)"
    mkdir -p "$TOOLS"
    (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download etcd-server >/dev/null && dpkg-deb --extract etcd-server_*.deb "$TOOLS") ||
        die "etcd-server could not be had from apt-get; run apt-get update, or install etcd"
    rm -rf "$dir"
    hash -r
}

unpack_etcd
if [ -z "${NODE_BIN:-}" ]; then
    scripts/build.sh
    NODE_BIN="$CARGO_TARGET_DIR/dist/acefleet"
    export NODE_BIN
fi
# `cluster-up` beside it clears test hosts away when this run is killed.
scripts/deps.sh restore release
cargo build --quiet --locked --release --package acefleet --package acefleet-chaos --bin bench --bin cluster-up

# It ends everything that it has started by itself, also on Ctrl-C.
exec "$CARGO_TARGET_DIR/release/bench" "$@"

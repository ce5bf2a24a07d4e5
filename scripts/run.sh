#!/usr/bin/env bash
# What `make run` does: installs what is missing, builds, sees to Docker, and becomes `acefleet serve`. Arguments are passed
# on to it. Run this script itself, not `make run`, where the exit code matters: make turns every failure into a 2.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

"$ROOT/scripts/bootstrap.sh" run
"$ROOT/scripts/docker-up.sh" up >/dev/null || say "starting without Docker: the node takes it up as soon as it answers"
cd "$ROOT"
scripts/panel.sh build || say "going on without the panel"
scripts/deps.sh restore release
# Optimised, but not as a whole: that would double the time of a first build. Both packages are selected as `make cluster` does it: with
# one alone, others get other features and are compiled once more.
cargo build --locked --release --package acefleet --package acefleet-chaos --bin acefleet
scripts/deps.sh save release

# Every client and every peer is a file descriptor; the usual soft limit of 1024 is too low for many players.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
exec "$CARGO_TARGET_DIR/release/acefleet" serve "$@"

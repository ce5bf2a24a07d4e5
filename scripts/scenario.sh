#!/usr/bin/env bash
# Runs one file of the tests on real hosts and Dockers, and shows what it prints. Needs root or sudo.
#
#   scenario.sh FILE [FILTER]      a file in chaos-tests/tests without its ending, and a part of a test's name
#   ACEFLEET_LEADER_KILLS          kills in scenarios_elections
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

[ $# -gt 0 ] || die "which one? $(cd chaos-tests/tests && echo scenarios_*.rs | sed 's/\.rs//g')"
scripts/bootstrap.sh test
scripts/deps.sh restore debug
# The node under test is the one beside the test.
cargo build --quiet --locked -p acefleet -p acefleet-chaos --bins

# What a scenario says last is why it failed, not where the test was at that moment.
export RUST_BACKTRACE=0
triple="$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')"
export "CARGO_TARGET_${triple}_RUNNER=$ROOT/scripts/as-root.sh"
exec cargo test --locked -p acefleet-chaos --test "$1" -- --nocapture --test-threads=1 "${@:2}"

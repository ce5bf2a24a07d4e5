#!/usr/bin/env bash
# Runs tests on real hosts and Dockers, and shows what they print. Needs root or sudo.
#
#   scenario.sh PART…        a file in chaos-tests/tests/scenarios without its ending, or a part of a test's name
#   TEST_LEADER_KILLS    kills in the test of elections
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

[ $# -gt 0 ] || die "which one? $(cd chaos-tests/tests/scenarios && grep -l 'tokio::test' *.rs | sed 's/\.rs//' | xargs)"
scripts/bootstrap.sh test
scripts/deps.sh restore debug
# The node under test is the one beside the test. The same selection as in test.sh, and its program as it is: another selection would
# compile dependencies and scenarios once more, with other features.
program="$(cargo build --quiet --locked --workspace --bins --tests --message-format=json-render-diagnostics |
    sed -n '/"name":"scenarios"/s/.*"executable":"\([^"]*\)".*/\1/p')"
[ -x "$program" ] || die "cargo did not say where it put the scenarios: $program"

# What a scenario says last is why it failed, not where the test was at that moment.
export RUST_BACKTRACE=0
cd chaos-tests
exec "$ROOT/scripts/as-root.sh" "$program" --nocapture --test-threads=1 "$@"

#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, one after the other. They are the tests named `fuzz_…`, which `make test` runs for some seconds each.
#
#   fuzz.sh [SECONDS] [TARGET]   so long for each (600), of those whose name has TARGET in it
#
# What was found goes to `__fuzz__` beside the target, and `cargo test` runs it as well from then on.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

FOR="${1:-600}"
WANTED="${2:-fuzz_}"
"$ROOT/scripts/bootstrap.sh" fuzz

# Instrumented code is no use to anybody else. The flags are unstable, and the stable compiler takes them with this variable.
export CARGO_TARGET_DIR="$ROOT/target/fuzz" RUSTC_BOOTSTRAP=1

# targets PACKAGE: names of its targets.
targets() { "$TOOLS/bin/cargo-bolero" bolero list --package "$1" --sanitizer NONE | grep -o '"test":"[^"]*"' | cut -d '"' -f 4 | grep -F "$WANTED"; }

for package in acefleet-raft acefleet; do
    for target in $(targets "$package"); do
        say "$package: $target, for $FOR s"
        "$TOOLS/bin/cargo-bolero" bolero test "$target" --package "$package" --engine libfuzzer --sanitizer NONE --time "${FOR}s" ||
            die "$package: $target has failed: the lines above say with which input"
    done
done

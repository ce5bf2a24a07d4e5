#!/usr/bin/env bash
# Builds the binary for users, optimised as a whole, which takes minutes at its end: target/dist/acefleet.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
scripts/panel.sh build
scripts/deps.sh restore dist
cargo build --locked --profile dist --package acefleet
scripts/deps.sh save dist

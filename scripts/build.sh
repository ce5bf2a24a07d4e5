#!/usr/bin/env bash
# Builds the binary for users, optimised as a whole (profile `dist`); this clone's name for it is target/release/acefleet.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
cargo build --profile dist --package acefleet
link_binary "$CARGO_TARGET_DIR/dist/acefleet" "$ROOT/target/release/acefleet"

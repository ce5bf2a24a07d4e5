#!/usr/bin/env bash
# Builds the release binary; this clone's name for it is target/release/acefleet.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
cargo build --release --package acefleet
link_binary "$CARGO_TARGET_DIR/release/acefleet" "$ROOT/target/release/acefleet"

#!/usr/bin/env bash
# What `make cluster` does: builds, and becomes `cluster-up`: test hosts with one Docker engine and one node each. Arguments
# are passed on to it.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

scripts/bootstrap.sh cluster
scripts/deps.sh restore release
cargo build --locked --release --package acefleet --package acefleet-chaos --bin acefleet --bin cluster-up
scripts/deps.sh save release
images="$ROOT/target/images"
IMAGE_TAR="$images" IMAGE_LOAD=0 scripts/images.sh >/dev/null
exec scripts/as-root.sh "$CARGO_TARGET_DIR/release/cluster-up" \
    --bin "$CARGO_TARGET_DIR/release/acefleet" --image-tar "$images/engine-sim.tar" "$@"

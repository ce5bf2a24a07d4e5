#!/usr/bin/env bash
# What `make cluster` does: builds, and becomes `cluster-up`: test hosts with one Docker engine and one node each. Arguments
# are passed on to it.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

scripts/bootstrap.sh cluster
scripts/build.sh
cargo build --release --package acefleet-chaos --bin cluster-up
images="$ROOT/target/images"
ACEFLEET_IMAGE_TAR="$images" ACEFLEET_IMAGE_LOAD=0 scripts/images.sh >/dev/null
exec scripts/as-root.sh "$CARGO_TARGET_DIR/release/cluster-up" \
    --bin "$ROOT/target/release/acefleet" --image-tar "$images/engine-sim.tar" "$@"

#!/usr/bin/env bash
# The file system of the node's image: its program, the C library, and what that looks for. deploy/Dockerfile and
# scripts/images.sh both make the image of it.
#
#   scripts/rootfs.sh DIRECTORY [amd64|arm64]      default: this machine's architecture
#
#   NODE_BIN=file       a binary that is there already; else it is built, which takes a while
#   BUILD_PROFILE=name  what it is built with: `dist` (default), for publishing, or `release`, which other builds here share
#
# For another architecture the compiler of that one has to be there (Debian: g++-aarch64-linux-gnu or g++-x86-64-linux-gnu).
set -euo pipefail
# Without it a failure inside $(…) goes on.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "rootfs.sh: $*" >&2; exit 1; }

[ $# -ge 1 ] || fail "usage: rootfs.sh DIRECTORY [amd64|arm64]"
ROOTFS=$1
HOST=$(rustc -vV | sed -n 's/^host: //p')
case ${2:-$HOST} in
  amd64 | x86_64-*-linux-*) TARGET=x86_64-unknown-linux-gnu ;;
  arm64 | aarch64-*-linux-*) TARGET=aarch64-unknown-linux-gnu ;;
  *) fail "no image for ${2:-$HOST}; there are amd64 and arm64, on Linux" ;;
esac
# Debian's names of the tools for another architecture; this machine's own have none in front.
TOOLS=
[ "$TARGET" = "$HOST" ] || TOOLS="${TARGET/-unknown/}-"
command -v "${TOOLS}g++" >/dev/null || fail "${TOOLS}g++ is not installed; Debian's packages: g++, g++-aarch64-linux-gnu, g++-x86-64-linux-gnu"

# Who the node runs as; the same number as `nonroot` of the images that others build upon.
NONROOT=65532

# find_library NAME: where the compiler finds it.
find_library() {
  local path
  path=$("${TOOLS}gcc" -print-file-name="$1")
  [ "$path" != "$1" ] || fail "${TOOLS}gcc does not find $1"
  readlink -f "$path"
}

# build_node: prints the path of the binary. Of libraries it needs those of the C library alone: what it uses of C++'s and of
# gcc's is linked into it. Only the last crate gets the extra flags, so its dependencies are shared with other builds.
build_node() {
  local target_dir static linker options=() profile=${BUILD_PROFILE:-dist} built
  built=$profile/acefleet
  target_dir=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  if [ "$TARGET" != "$HOST" ]; then
    if [ ! -d "$(rustc --print target-libdir --target "$TARGET")" ]; then
      command -v rustup >/dev/null ||
        fail "rustc has no standard library for $TARGET; get Rust from https://rustup.rs, or Debian's libstd-rust-web-dev of that architecture"
      rustup --quiet target add "$TARGET" >&2
    fi
    linker=CARGO_TARGET_${TARGET//-/_}_LINKER
    export "${linker^^}=${TOOLS}gcc"
    options=(--target "$TARGET")
    built=$TARGET/$built
  fi
  # A directory with the static libraries and not the shared ones of the same names; always the same, or cargo links anew.
  static=$target_dir/static-$TARGET
  mkdir -p "$static"
  ln -sfn "$(find_library libstdc++.a)" "$static/libstdc++.a"
  ln -sfn "$(find_library libgcc_eh.a)" "$static/libgcc_s.a"
  # What those two take from the compiler's own library; on aarch64 that is a lot: atomic operations, `long double`.
  # Relocations in the packed form, which the C library reads since version 2.36.
  cargo rustc --quiet --locked --profile "$profile" --package acefleet --bin acefleet "${options[@]}" -- \
    -L "native=$static" -C link-arg=-lgcc -C link-arg=-Wl,-z,pack-relative-relocs >&2
  echo "$target_dir/$built"
}

# dynamic FILE: names of the libraries that a program or library needs.
dynamic() { LC_ALL=C "${TOOLS}readelf" --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)]/\1/p'; }

# add_libraries FILE: copies what the loader opens for it.
add_libraries() {
  local name library place
  for name in $(dynamic "$1"); do
    library=$(find_library "$name")
    # Debian's loader looks into a directory of its architecture; those of others where they are on this machine.
    place=$("${TOOLS}gcc" -print-multiarch)
    place=${place:+/lib/$place}
    place=${place:-${library%/*}}/$name
    # The loader has a place that programs name.
    if [ "$name" = "${LOADER##*/}" ] || [ -e "$ROOTFS$place" ]; then continue; fi
    install -D -m 0755 "$library" "$ROOTFS$place"
    add_libraries "$library"
  done
}

if [ -n "${NODE_BIN:-}" ]; then
  [ -x "$NODE_BIN" ] || fail "NODE_BIN=$NODE_BIN is not a program"
  BINARY=$NODE_BIN
else
  BINARY=$(build_node)
fi
LOADER=$(LC_ALL=C "${TOOLS}readelf" --program-headers "$BINARY" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
[ -n "$LOADER" ] || fail "$BINARY is not a program for Linux that is linked dynamically"

mkdir -p "$ROOTFS"
chmod 0755 "$ROOTFS"
install -D -m 0755 "$BINARY" "$ROOTFS/usr/local/bin/acefleet"
"${TOOLS}strip" "$ROOTFS/usr/local/bin/acefleet"
install -D -m 0755 "$(find_library "${LOADER##*/}")" "$ROOTFS$LOADER"
add_libraries "$BINARY"

# What the C library looks for: names of users, how names of hosts are found, a place for files.
mkdir -p "$ROOTFS/etc" "$ROOTFS/tmp"
chmod 1777 "$ROOTFS/tmp"
printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/:/sbin/nologin\n' $NONROOT $NONROOT >"$ROOTFS/etc/passwd"
printf 'root:x:0:\nnonroot:x:%s:\n' $NONROOT >"$ROOTFS/etc/group"
printf 'hosts: files dns\n' >"$ROOTFS/etc/nsswitch.conf"

# The data directory: whoever packs the image makes `nonroot` its owner, and a new volume takes that over.
install -d -m 0750 "$ROOTFS/var/lib/acefleet"

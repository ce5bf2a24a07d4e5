#!/usr/bin/env bash
# Builds the images of the simulators: static binaries FROM scratch, so nothing has to be pulled.
#
#   scripts/images.sh                                   load into the Docker daemon of DOCKER_HOST
#   ACEFLEET_IMAGE_TAR=dir scripts/images.sh            also leave dir/engine-sim.tar for `docker load`
#   ACEFLEET_IMAGE_TAR=dir ACEFLEET_IMAGE_LOAD=0 …      only the archive, no daemon needed
#
# The archive is put together here and not by a daemon: the same binary gives the same image id on
# every host, and a daemon that has it already is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "images.sh: $*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo not found; 'make run' installs what is missing"
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
  x86_64-*-linux-*) arch=amd64 ;;
  aarch64-*-linux-*) arch=arm64 ;;
  *) fail "no engine image for $host; use Linux on x86_64 or aarch64" ;;
esac

# build_static CRATE: prints the path of a static, stripped binary. Only the last crate gets the
# extra flags, so its dependencies are shared with every other build.
build_static() {
  local crate=$1 binary
  cargo rustc --quiet --release -p "$crate" --bin "$crate" -- \
    -C target-feature=+crt-static -C strip=symbols -C opt-level=s >&2
  binary=$(cargo metadata --no-deps --format-version 1 |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/$crate
  [ -x "$binary" ] || fail "cargo did not leave $binary"
  # A program that needs the dynamic loader cannot start in an empty image.
  if LC_ALL=C readelf --program-headers "$binary" | grep -q INTERP; then
    fail "$binary is not static; is the static C library (libc6-dev) installed?"
  fi
  echo "$binary"
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# pack BINARY NAME TAG OUT: an image archive, the same bytes for the same binary; prints the image id.
pack() {
  local binary=$1 name=$2 tag=$3 out=$4 stage layer config id
  stage=$(mktemp -d)
  mkdir "$stage/root" "$stage/image"
  install -m 0755 "$binary" "$stage/root/$name"
  local fixed=(--sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=ustar)
  tar "${fixed[@]}" -C "$stage/root" -cf "$stage/image/layer.tar" "$name"
  layer=$(sha256 "$stage/image/layer.tar")
  config='{"architecture":"'$arch'","os":"linux","created":"1970-01-01T00:00:00Z",'
  config+='"config":{"Entrypoint":["/'$name'"],"ExposedPorts":{"6878/tcp":{}},"StopSignal":"SIGTERM",'
  config+='"Labels":{"org.opencontainers.image.title":"'$tag'"}},'
  config+='"rootfs":{"type":"layers","diff_ids":["sha256:'$layer'"]},'
  config+='"history":[{"created":"1970-01-01T00:00:00Z","created_by":"scripts/images.sh"}]}'
  printf '%s' "$config" >"$stage/config.json"
  id=$(sha256 "$stage/config.json")
  mv "$stage/config.json" "$stage/image/$id.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$id" "$tag" \
    >"$stage/image/manifest.json"
  # Beside and renamed: a reader never sees half an archive.
  tar "${fixed[@]}" -C "$stage/image" -cf "$out.$$" "$id.json" layer.tar manifest.json
  mv "$out.$$" "$out"
  rm -rf "$stage"
  echo "sha256:$id"
}

name=engine-sim
tag=acefleet/engine-sim:dev
binary=$(build_static "$name")
if [ -n "${ACEFLEET_IMAGE_TAR:-}" ]; then
  mkdir -p "$ACEFLEET_IMAGE_TAR"
  archive=$ACEFLEET_IMAGE_TAR/$name.tar
else
  archive=$binary.tar
fi
id=$(pack "$binary" "$name" "$tag" "$archive")
echo "$tag $id ($(stat -c %s "$binary") bytes) in $archive"

[ "${ACEFLEET_IMAGE_LOAD:-1}" = 1 ] || exit 0
if ! docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
  # Whoever asked for the archive has what he needs, unless he named a daemon too.
  if [ -n "${ACEFLEET_IMAGE_TAR:-}" ] && [ -z "${DOCKER_HOST:-}" ]; then exit 0; fi
  fail "no Docker daemon at ${DOCKER_HOST:-the default socket}; start one, set DOCKER_HOST, or set ACEFLEET_IMAGE_TAR to get an archive only"
fi
if [ "$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null)" = "$id" ]; then
  echo "already loaded at ${DOCKER_HOST:-the default socket}"
else
  docker load --quiet --input "$archive"
fi

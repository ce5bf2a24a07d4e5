#!/usr/bin/env bash
# Builds images without a registry: binaries and what they load, FROM scratch, packed for `docker load`.
#
#   scripts/images.sh [IMAGE…]      the images to build, default engine-sim
#     engine-sim    acefleet/engine-sim:dev, simulated engines
#     gluetun-sim   acefleet/gluetun-sim:dev, a simulated Gluetun
#     acexy-sim     acefleet/acexy-sim:dev, a simulated Acexy
#     acefleet      acefleet/acefleet:dev, the node: as deploy/Dockerfile makes it; without NODE_BIN or BUILD_PROFILE
#                   the binary is built with the profile `release`, which the simulators and `make run` share
#     haproxy       acefleet/haproxy:dev, this system's HAProxy, for tests of the compose files
#     systemd       acefleet/systemd:dev, what this system's systemd needs beside a /usr, for tests of the unit
#     all           engine-sim, gluetun-sim, acexy-sim and acefleet
#
#   IMAGE_TAR=dir …                        also leave dir/IMAGE.tar
#   IMAGE_TAR=dir IMAGE_LOAD=0 …           only the archives, no daemon needed
#   NODE_BIN=file … ACEXY_SIM_BIN=file …   binaries that are there already, for the images acefleet and acexy-sim
#   IMAGE_ARCH=arm64 …                     the image acefleet for another architecture (see scripts/rootfs.sh), named
#                                          acefleet/acefleet:arm64, archive acefleet-arm64.tar
#
# The archives are put together here and not by a daemon: the same binary gives the same image id on every host, and a daemon
# that has it already is left alone.
set -euo pipefail
# Without it a failure inside $(…) goes on.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "images.sh: $*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo not found; 'make run' installs what is missing"
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
  x86_64-*-linux-*) arch=amd64 ;;
  aarch64-*-linux-*) arch=arm64 ;;
  *) fail "no images for $host; use Linux on x86_64 or aarch64" ;;
esac

# What the image acefleet is for.
node_arch=${IMAGE_ARCH:-$arch}
case $node_arch in amd64 | arm64) ;; *) fail "IMAGE_ARCH=$node_arch is neither amd64 nor arm64" ;; esac

# Who the node runs as: `nonroot`, as in the base image of deploy/Dockerfile.
NONROOT=65532
# The same bytes for the same files, whoever packs them and when.
FIXED=(--sort=name --numeric-owner --mtime=@0 --format=ustar)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

target_dir() { cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'; }

# build_static PACKAGE BINARY: prints the path of a static, stripped binary. Only the last crate gets the extra flags, so its
# dependencies are shared with every other build.
build_static() {
  local package=$1 name=$2 binary
  cargo rustc --quiet --release -p "$package" --bin "$name" -- \
    -C target-feature=+crt-static -C strip=symbols -C opt-level=s >&2
  binary=$(target_dir)/release/$name
  [ -x "$binary" ] || fail "cargo did not leave $binary"
  # A program that needs the dynamic loader cannot start in an empty image.
  if LC_ALL=C readelf --program-headers "$binary" | grep -q INTERP; then
    fail "$binary is not static; is the static C library (libc6-dev) installed?"
  fi
  echo "$binary"
}

# given VARIABLE: prints the path of the program that the environment names; fails when it names none.
given() {
  local path=${!1:-}
  [ -n "$path" ] || return 1
  [ -x "$path" ] || fail "$1=$path is not a program"
  echo "$path"
}

# add_program ROOT FILE PLACE: copies a program and everything that the loader opens for it.
add_program() {
  local root=$1 file=$2 place=$3 library
  install -D -m 0755 "$file" "$root$place"
  strip "$root$place"
  while read -r library; do
    # One that two programs need is copied once.
    [ -e "$root$library" ] || install -D -m 0755 "$(readlink -f "$library")" "$root$library"
  done < <(ldd "$file" | sed -n 's/.* => \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p')
  # Before glibc 2.34 names of hosts were looked up by libraries that no program names.
  for library in /lib/*-linux-gnu/libnss_{dns,files}.so.2 /lib/*-linux-gnu/libresolv.so.2; do
    if [ -e "$library" ] && [ ! -e "$root$library" ]; then install -D -m 0755 "$(readlink -f "$library")" "$root$library"; fi
  done
}

# add_system ROOT: the few files that a C library looks for.
add_system() {
  local root=$1
  mkdir -p "$root/etc" "$root/tmp"
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/:/sbin/nologin\n' $NONROOT $NONROOT >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:%s:\n' $NONROOT >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# pack ROOT TAG CONFIG OUT [DIRECTORY…]: an image archive; prints the image id. CONFIG is the `config` object of the image;
# the DIRECTORIES, relative to ROOT, belong to `nonroot`.
pack() {
  local root=$1 tag=$2 settings=$3 out=$4 image layer config id directory excluded=()
  shift 4
  image=$(mktemp -d -p "$WORK")
  for directory in "$@"; do excluded+=(--exclude="./$directory"); done
  tar "${FIXED[@]}" --owner=0 --group=0 "${excluded[@]}" --transform='s,^\./,,' -C "$root" -cf "$image/layer.tar" .
  for directory in "$@"; do
    tar "${FIXED[@]}" --owner=$NONROOT --group=$NONROOT --no-recursion -C "$root" -rf "$image/layer.tar" "$directory"
  done
  layer=$(sha256 "$image/layer.tar")
  config='{"architecture":"'$arch'","os":"linux","created":"1970-01-01T00:00:00Z","config":'$settings','
  config+='"rootfs":{"type":"layers","diff_ids":["sha256:'$layer'"]},'
  config+='"history":[{"created":"1970-01-01T00:00:00Z","created_by":"scripts/images.sh"}]}'
  printf '%s' "$config" >"$image/config.json"
  id=$(sha256 "$image/config.json")
  mv "$image/config.json" "$image/$id.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$id" "$tag" >"$image/manifest.json"
  # Beside and renamed: a reader never sees half an archive.
  tar "${FIXED[@]}" --owner=0 --group=0 -C "$image" -cf "$out.$$" "$id.json" layer.tar manifest.json
  mv "$out.$$" "$out"
  echo "sha256:$id"
}

# labels TITLE: the `Labels` of an image.
labels() {
  local version
  version=$(version)
  printf '"Labels":{"org.opencontainers.image.title":"%s","org.opencontainers.image.version":"%s",' "$1" "$version"
  printf '"org.opencontainers.image.licenses":"Apache-2.0"}'
}

version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml; }

# simulator PACKAGE NAME EXPOSED OUT [BINARY [MORE]]; MORE are further members of the image's `config`, each with a comma.
simulator() {
  local root binary
  root=$(mktemp -d -p "$WORK")
  chmod 0755 "$root"
  if [ -n "${5:-}" ]; then
    add_program "$root" "$5" "/$2"
    add_system "$root"
  else
    binary=$(build_static "$1" "$2")
    install -m 0755 "$binary" "$root/$2"
  fi
  pack "$root" "acefleet/$2:dev" \
    '{"Entrypoint":["/'"$2"'"],"ExposedPorts":{'"$3"'},"StopSignal":"SIGTERM",'"${6:-}$(labels "$2")"'}' "$4"
}

# The same as deploy/Dockerfile.
node() {
  local archive=$1 tag=$2 root seconds=1000000000 config arch=$node_arch
  root=$(mktemp -d -p "$WORK")
  BUILD_PROFILE=${BUILD_PROFILE:-release} scripts/rootfs.sh "$root" "$arch"
  config='{"User":"'$NONROOT:$NONROOT'","Entrypoint":["/usr/local/bin/acefleet"],"Cmd":["serve"],"WorkingDir":"/",'
  config+='"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","ACEFLEET_DATA_DIR=/var/lib/acefleet"],'
  config+='"ExposedPorts":{"8000/tcp":{},"8001/tcp":{}},"Volumes":{"/var/lib/acefleet":{}},"StopSignal":"SIGTERM",'
  config+='"Healthcheck":{"Test":["CMD","/usr/local/bin/acefleet","healthcheck"],"Interval":'$((10 * seconds))','
  config+='"Timeout":'$((5 * seconds))',"StartPeriod":'$((30 * seconds))',"Retries":3},'$(labels acefleet)'}'
  pack "$root" "$tag" "$config" "$archive" var/lib/acefleet
}

# HAProxy with the shell and the HTTP client that the health check of the compose files uses, as the public images have them.
balancer() {
  local root program file config
  root=$(mktemp -d -p "$WORK")
  chmod 0755 "$root"
  for program in haproxy sh curl; do
    file=$(PATH="$PATH:/usr/sbin:/sbin" command -v "$program") ||
      fail "$program is not installed; the image haproxy is made of this system's (Debian packages haproxy, curl)"
    file=$(readlink -f "$file")
    add_program "$root" "$file" "/usr/bin/$program"
  done
  add_system "$root"
  ln -s /usr/bin "$root/bin"
  config='{"User":"'$NONROOT:$NONROOT'","Entrypoint":["/usr/bin/haproxy"],'
  config+='"Cmd":["-f","/usr/local/etc/haproxy/haproxy.cfg"],"Env":["PATH=/usr/bin"],"StopSignal":"SIGUSR1",'
  config+="$(labels haproxy)}"
  pack "$root" acefleet/haproxy:dev "$config" "$1"
}

# A system without programs: whoever starts it mounts this system's /usr, and /run as a file system of its own.
booted() {
  local root name config
  root=$(mktemp -d -p "$WORK")
  chmod 0755 "$root"
  add_system "$root"
  mkdir -p "$root"/{dev,proc,run,sys,usr,var} "$root"/etc/systemd/system
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
  ln -s /run "$root/var/run"
  cp -r /etc/ld.so.conf /etc/ld.so.conf.d "$root/etc/"
  : >"$root/etc/machine-id"
  # Users of a unit with DynamicUser have their names from systemd.
  printf 'passwd: files systemd\ngroup: files systemd\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  config='{"Env":["container=docker","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"],'
  config+='"Cmd":["/usr/lib/systemd/systemd","--unit=multi-user.target"],"StopSignal":"SIGRTMIN+3",'"$(labels systemd)}"
  pack "$root" acefleet/systemd:dev "$config" "$1"
}

# load TAG ID ARCHIVE: into the daemon of DOCKER_HOST, unless it has the image or none was asked for.
load() {
  local tag=$1 id=$2 archive=$3
  [ "${IMAGE_LOAD:-1}" = 1 ] || return 0
  if ! docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
    # Whoever asked for the archive has what he needs, unless he named a daemon too.
    if [ -n "${IMAGE_TAR:-}" ] && [ -z "${DOCKER_HOST:-}" ]; then return 0; fi
    fail "no Docker daemon at ${DOCKER_HOST:-the default socket}; start one, set DOCKER_HOST, or set IMAGE_TAR to get an archive only"
  fi
  if [ "$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null)" = "$id" ]; then
    echo "already loaded at ${DOCKER_HOST:-the default socket}"
  else
    docker load --quiet --input "$archive"
  fi
}

# build NAME: one image, packed and loaded.
build() {
  local name=$1 tag=acefleet/$1:dev archive=${IMAGE_TAR:-$WORK}/$1.tar id binary
  case $name in
    engine-sim) id=$(simulator engine-sim engine-sim '"6878/tcp":{}' "$archive") ;;
    gluetun-sim)
      id=$(simulator gluetun-sim gluetun-sim '"8000/tcp":{}' "$archive" '' \
        '"Healthcheck":{"Test":["CMD","/gluetun-sim","healthcheck"],"Interval":1000000000,"Timeout":3000000000,"Retries":1},')
      ;;
    acexy-sim)
      binary=$(given ACEXY_SIM_BIN || true)
      id=$(simulator acefleet-chaos acexy-sim '' "$archive" "$binary")
      ;;
    acefleet)
      # An image that does not run here must not take the place of one that does.
      if [ "$node_arch" != "$arch" ]; then tag=acefleet/acefleet:$node_arch archive=${archive%.tar}-$node_arch.tar; fi
      id=$(node "$archive" "$tag")
      ;;
    haproxy) id=$(balancer "$archive") ;;
    systemd) id=$(booted "$archive") ;;
    *) fail "no image $name; there are engine-sim, gluetun-sim, acexy-sim, acefleet, haproxy, systemd and all" ;;
  esac
  echo "$tag $id ($(stat -c %s "$archive") bytes) in $archive"
  load "$tag" "$id" "$archive"
}

[ -z "${IMAGE_TAR:-}" ] || mkdir -p "$IMAGE_TAR"
[ $# -gt 0 ] || set -- engine-sim
[ "$*" != all ] || set -- engine-sim gluetun-sim acexy-sim acefleet
for image in "$@"; do build "$image"; done

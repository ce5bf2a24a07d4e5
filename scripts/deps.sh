#!/usr/bin/env bash
# Keeps compiled dependencies outside the clones, so that a new clone compiles only its own crates.
#
#   deps.sh restore PROFILE   before a build: fills this clone's target directory, if it has nothing of that profile yet
#   deps.sh save PROFILE      after a build: keeps what it made of other people's crates, if nobody did so before
#
# PROFILE is the name of a directory in the target directory: debug, release, dist. What is kept is named after the lock file and
# the compilers. Crates of this workspace are never kept: cargo tells them apart by their place inside the workspace and by
# the times of files, so another clone's build would pass for this one's.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

DEPS="$HOME/.cache/acefleet/deps"
# Newest sets that stay. A set of the dev profile takes some 3 GB.
KEEP=3

# key: what decides whether compiled dependencies fit.
key() { { cat Cargo.lock && rustc -vV && c++ --version; } | sha256sum | cut -c1-16; }

# members: names of the packages of this workspace.
members() { cargo metadata --no-deps --locked --format-version 1 | grep -o '"name":"[^"]*","version":"[^"]*","id":"path+' | cut -d'"' -f4; }

# drop_members DIRECTORY PROFILE: removes what was made of this workspace's crates.
drop_members() {
    local name profile="$2" packages=()
    [ "$profile" != debug ] || profile=dev
    for name in $(members); do packages+=(--package "$name"); done
    [ "${#packages[@]}" -gt 0 ] || die "cargo names no package of this workspace"
    cargo clean --quiet --locked --target-dir "$1" --profile "$profile" "${packages[@]}"
}

restore() {
    local kept
    kept="$DEPS/$(key)/$1"
    [ ! -d "$CARGO_TARGET_DIR/$1/deps" ] && [ -d "$kept" ] || return 0
    touch "$kept"
    mkdir -p "$CARGO_TARGET_DIR"
    rm -rf "$CARGO_TARGET_DIR/$1.partial"
    # Beside and renamed: a build never finds half of it. cargo compares times, so they are kept.
    cp --archive --reflink=auto "$kept" "$CARGO_TARGET_DIR/$1.partial"
    if [ -d "$CARGO_TARGET_DIR/$1" ]; then
        # Something without compiled crates: an empty build, or one that was cleaned.
        cp --archive --no-clobber "$CARGO_TARGET_DIR/$1/." "$CARGO_TARGET_DIR/$1.partial/"
        rm -rf "${CARGO_TARGET_DIR:?}/$1"
    fi
    mv "$CARGO_TARGET_DIR/$1.partial" "$CARGO_TARGET_DIR/$1"
}

save() {
    local kept part
    kept="$DEPS/$(key)/$1"
    [ ! -d "$kept" ] && [ -d "$CARGO_TARGET_DIR/$1/deps" ] || return 0
    mkdir -p "$DEPS"
    WORK="$(mktemp -d -p "$DEPS" .saving-XXXXXX)"
    trap 'rm -rf "$WORK"' EXIT
    mkdir "$WORK/$1"
    for part in .fingerprint build deps; do cp --archive --reflink=auto "$CARGO_TARGET_DIR/$1/$part" "$WORK/$1/"; done
    drop_members "$WORK" "$1"
    mkdir -p "${kept%/*}"
    # Another clone may have been quicker: then its set stays.
    mv --no-target-directory "$WORK/$1" "$kept" 2>/dev/null || [ -d "$kept" ]
    prune
}

# prune: the sets that were used last stay.
prune() {
    local old
    find "$DEPS" -mindepth 2 -maxdepth 2 -printf '%T@ %h\n' | sort -rn | cut -d' ' -f2- | awk '!seen[$0]++' | tail -n +$((KEEP + 1)) |
        while IFS= read -r old; do rm -rf "$old"; done
}

[ $# = 2 ] || die "usage: deps.sh restore|save debug|release|dist"
case "$2" in debug | release | dist) ;; *) die "no profile directory $2: debug, release or dist" ;; esac
case "$1" in
restore | save) "$1" "$2" ;;
*) die "usage: deps.sh restore|save debug|release|dist" ;;
esac

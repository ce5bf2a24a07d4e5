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
# Newest sets that stay. A set of the dev profile takes some 2 GB.
KEEP=3

# key: what decides whether compiled dependencies fit.
key() { { cat Cargo.lock && rustc -vV && c++ --version; } | sha256sum | cut -c1-16; }

# of_members: a pattern for the file names, without directories, of what cargo made of this workspace's crates and tests.
of_members() {
    local names
    names="$(cargo metadata --no-deps --locked --format-version 1 | grep -oE '"(crate_types":\[[^]]*\],"name|name":"[^"]*","version)":"[^"]*"' |
        sed -E 's/^"name":"([^"]*)".*/\1/; s/.*"name":"([^"]*)"$/\1/' | sort -u | sed 'p; s/-/_/g' | sort -u | paste -sd '|')"
    [ -n "$names" ] || die "cargo names no crate of this workspace"
    printf '^(lib)?(%s)-[0-9a-f]{16}(\\..*)?$' "$names"
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
    local kept part members
    kept="$DEPS/$(key)/$1"
    [ ! -d "$kept" ] && [ -d "$CARGO_TARGET_DIR/$1/deps" ] || return 0
    mkdir -p "$DEPS"
    WORK="$(mktemp -d -p "$DEPS" .saving-XXXXXX)"
    trap 'rm -rf "$WORK"' EXIT
    mkdir "$WORK/$1"
    members="$(of_members)"
    for part in .fingerprint build deps; do
        mkdir "$WORK/$1/$part"
        find "$CARGO_TARGET_DIR/$1/$part" -mindepth 1 -maxdepth 1 -printf '%f\n' | { grep -vE "$members" || true; } |
            (cd "$CARGO_TARGET_DIR/$1/$part" && xargs -r -d '\n' cp --archive --reflink=auto --target-directory="$WORK/$1/$part")
    done
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

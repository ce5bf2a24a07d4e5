#!/usr/bin/env bash
# Three nodes on the loopback are upgraded from one version to another under load, back, and again; a table shows what each step cost.
# Fails when any call to a node that lives failed. Arguments go to the program `upgrade` (`--help`).
#
#   UPGRADE_OLD_BIN=file  the version before; else it is built from UPGRADE_FROM, once
#   UPGRADE_FROM=commit   default: the last tag
#   NODE_BIN=file         the version after; else that of this clone, with the profile `release`
#   UPGRADE_BIN=file      the program that does it; else it is built
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
shopt -s inherit_errexit
cd "$ROOT"

RELEASES="$HOME/.cache/acefleet/releases"

# old_version: prints the path of the version before, kept by its commit.
old_version() {
    local from commit tree kept
    from="${UPGRADE_FROM:-$(git describe --tags --abbrev=0 2>/dev/null)}" ||
        die "there is no tag to upgrade from: name a commit in UPGRADE_FROM, or a program in UPGRADE_OLD_BIN"
    commit="$(git rev-parse --verify --quiet "$from^{commit}")" || die "UPGRADE_FROM=$from is no commit of this clone"
    kept="$RELEASES/$commit/acefleet"
    if [ ! -x "$kept" ]; then
        tree="$(mktemp -d)"
        say "building $from, once"
        git worktree add --quiet --detach "$tree/clone" "$commit" >&2
        (unset CARGO_TARGET_DIR && cd "$tree/clone" && scripts/panel.sh build && scripts/deps.sh restore release &&
            CARGO_TARGET_DIR="$tree/clone/target" cargo build --locked --release --package acefleet) >&2 ||
            { git worktree remove --force "$tree/clone" && die "$from does not build"; }
        install -D --strip -m 0755 "$tree/clone/target/release/acefleet" "$kept"
        git worktree remove --force "$tree/clone"
        rm -rf "$tree"
    fi
    echo "$kept"
}

OLD="${UPGRADE_OLD_BIN:-$(old_version)}"
packages=()
[ -n "${UPGRADE_BIN:-}" ] || packages+=(--package acefleet-chaos --bin upgrade)
[ -n "${NODE_BIN:-}" ] || packages+=(--package acefleet --bin acefleet)
if [ "${#packages[@]}" != 0 ]; then
    [ -n "${NODE_BIN:-}" ] || scripts/panel.sh build
    scripts/deps.sh restore release
    cargo build --locked --release "${packages[@]}"
fi
exec "${UPGRADE_BIN:-$CARGO_TARGET_DIR/release/upgrade}" --old "$OLD" --new "${NODE_BIN:-$CARGO_TARGET_DIR/release/acefleet}" "$@"

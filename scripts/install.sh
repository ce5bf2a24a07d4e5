#!/usr/bin/env bash
# Installs the release binary, its manual pages, what shells complete it with and its systemd unit, or removes them. Settings and
# data stay where they are.
#
#   install.sh install|uninstall
#
#   PREFIX        where programs go, default /usr/local
#   DESTDIR       put everything below this directory instead of /, for packages
#   NODE_BIN      the binary to install, default that of `make build`
#   RUN_BIN       one that runs on this machine, where NODE_BIN is for another: pages and completions come out of it
#   STRIP         strips NODE_BIN, default strip
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

PREFIX="${PREFIX:-/usr/local}"
DESTDIR="${DESTDIR:-}"
BINARY="$DESTDIR$PREFIX/bin/acefleet"
# Below other prefixes systemd does not look.
case "$PREFIX" in
/usr | /usr/local) UNITS="$PREFIX/lib/systemd/system" ;;
*) UNITS=/etc/systemd/system ;;
esac
UNIT="$DESTDIR$UNITS/acefleet.service"
PAGES="$DESTDIR$PREFIX/share/man/man1"
BASH_WORDS="$DESTDIR$PREFIX/share/bash-completion/completions/acefleet"
FISH_WORDS="$DESTDIR$PREFIX/share/fish/vendor_completions.d/acefleet.fish"
# Debian's zsh looks below /usr in a directory of its own for what packages bring.
case "$PREFIX" in
/usr) ZSH_WORDS="$DESTDIR$PREFIX/share/zsh/vendor-completions/_acefleet" ;;
*) ZSH_WORDS="$DESTDIR$PREFIX/share/zsh/site-functions/_acefleet" ;;
esac
SETTINGS="$DESTDIR/etc/acefleet/acefleet.env"
BUILT="${NODE_BIN:-$CARGO_TARGET_DIR/dist/acefleet}"
RUNS="${RUN_BIN:-$BUILT}"

case "$PREFIX" in /*) ;; *) die "PREFIX=$PREFIX is not an absolute path" ;; esac

# systemd on this machine reads changes only when they were made to this machine.
reload_systemd() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

# completions SHELL FILE
completions() {
    local words
    words="$(mktemp)"
    "$RUNS" completions "$1" >"$words"
    install -D -m 0644 "$words" "$2"
    rm -f "$words"
}

install_all() {
    local unit pages
    [ -x "$BUILT" ] || die "there is no $BUILT: run \`make build\` first, without sudo"
    unit="$(mktemp)"
    sed "s|@PREFIX@|$PREFIX|" "$ROOT/deploy/acefleet.service" >"$unit"
    install -D --strip --strip-program="${STRIP:-strip}" -m 0755 "$BUILT" "$BINARY"
    install -D -m 0644 "$unit" "$UNIT"
    rm -f "$unit"
    pages="$(mktemp -d)"
    "$RUNS" man --dir "$pages" >/dev/null
    install -D -m 0644 --target-directory="$PAGES" "$pages"/*
    rm -rf "$pages"
    completions bash "$BASH_WORDS"
    completions zsh "$ZSH_WORDS"
    completions fish "$FISH_WORDS"
    # It holds the API key.
    [ -e "$SETTINGS" ] || install -D -m 0600 "$ROOT/.env.example" "$SETTINGS"
    reload_systemd
    say "installed $BINARY, $UNIT, manual pages in $PAGES and completions for bash, zsh and fish"
    [ -n "$DESTDIR" ] || say "settings: $SETTINGS, then: systemctl enable --now acefleet"
}

uninstall_all() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
        systemctl disable --now acefleet || say "systemctl could not stop the unit"
    fi
    rm -f "$BINARY" "$UNIT" "$PAGES"/acefleet.1 "$PAGES"/acefleet-*.1 "$BASH_WORDS" "$ZSH_WORDS" "$FISH_WORDS"
    reload_systemd
    say "removed $BINARY, $UNIT, the manual pages and the completions; engines run on"
    say "left: settings (${SETTINGS%/*}), data ($DESTDIR/var/lib/acefleet, $DESTDIR/var/lib/private/acefleet)"
}

case "${1:-}" in
install) install_all ;;
uninstall) uninstall_all ;;
*) die "usage: install.sh install|uninstall" ;;
esac

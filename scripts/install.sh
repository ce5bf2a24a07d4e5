#!/usr/bin/env bash
# Installs the release binary, its manual pages and its systemd unit, or removes them. Settings and data stay where they are.
#
#   install.sh install|uninstall
#
#   PREFIX        where programs go, default /usr/local
#   DESTDIR       put everything below this directory instead of /, for packages
#   NODE_BIN      the binary to install, default that of `make build`
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
SETTINGS="$DESTDIR/etc/acefleet/acefleet.env"
BUILT="${NODE_BIN:-$CARGO_TARGET_DIR/dist/acefleet}"

case "$PREFIX" in /*) ;; *) die "PREFIX=$PREFIX is not an absolute path" ;; esac

# systemd on this machine reads changes only when they were made to this machine.
reload_systemd() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

install_all() {
    local unit pages
    [ -x "$BUILT" ] || die "there is no $BUILT: run \`make build\` first, without sudo"
    unit="$(mktemp)"
    sed "s|@PREFIX@|$PREFIX|" "$ROOT/deploy/acefleet.service" >"$unit"
    install -D --strip -m 0755 "$BUILT" "$BINARY"
    install -D -m 0644 "$unit" "$UNIT"
    rm -f "$unit"
    pages="$(mktemp -d)"
    "$BUILT" man --dir "$pages" >/dev/null
    install -D -m 0644 --target-directory="$PAGES" "$pages"/*
    rm -rf "$pages"
    # It holds the API key.
    [ -e "$SETTINGS" ] || install -D -m 0600 "$ROOT/.env.example" "$SETTINGS"
    reload_systemd
    say "installed $BINARY, $UNIT and manual pages in $PAGES"
    [ -n "$DESTDIR" ] || say "settings: $SETTINGS, then: systemctl enable --now acefleet"
}

uninstall_all() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
        systemctl disable --now acefleet || say "systemctl could not stop the unit"
    fi
    rm -f "$BINARY" "$UNIT" "$PAGES"/acefleet.1 "$PAGES"/acefleet-*.1
    reload_systemd
    say "removed $BINARY, $UNIT and the manual pages; engines run on"
    say "left: settings (${SETTINGS%/*}), data ($DESTDIR/var/lib/acefleet, $DESTDIR/var/lib/private/acefleet)"
}

case "${1:-}" in
install) install_all ;;
uninstall) uninstall_all ;;
*) die "usage: install.sh install|uninstall" ;;
esac

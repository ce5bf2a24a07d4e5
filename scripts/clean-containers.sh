#!/usr/bin/env bash
# Removes every container that Acefleet made on this Docker engine: those with the label acefleet.cluster, and no other.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

docker_answers || die "no Docker engine answers at $(docker_endpoint), so nothing was removed"
client() { docker --host "$(docker_endpoint)" "$@"; }
mapfile -t containers < <(client ps --all --quiet --filter label=acefleet.cluster)
if [ "${#containers[@]}" = 0 ]; then
    say "no containers of Acefleet here"
    exit 0
fi
client rm --force --volumes "${containers[@]}" >/dev/null
say "removed ${#containers[@]} containers"

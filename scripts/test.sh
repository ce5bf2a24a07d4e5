#!/usr/bin/env bash
# Everything a change must pass, cheapest first; stops at the first stage that fails and says how long each one took.
#
#   test.sh        all of it; starts a Docker engine when there is none, and fails when it cannot
#   test.sh lint   only what needs no Docker and runs no test, and a look at the licences of dependencies
#   test.sh advisories   known vulnerabilities of dependencies, by a list that is fetched from GitHub
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# The test binary that starts test hosts, as root. `.config/nextest.toml` names the same one.
REAL_DOCKER_PACKAGE=acefleet-chaos
REAL_DOCKER_TESTS=scenarios
REAL_DOCKER="package($REAL_DOCKER_PACKAGE) and binary($REAL_DOCKER_TESTS)"

# A failed test says where and why; pages of call stacks behind that would push it out of sight.
export RUST_BACKTRACE=0

# Copies: a build while the tests run must not change what they run.
ARTIFACTS="$ROOT/target/test"
TIMES=()
STARTED_DOCKER=

# stage NAME COMMAND…: runs one stage; a failure ends the run.
stage() {
    local name="$1" from=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    "$@" || fail "$name" $((SECONDS - from))
    TIMES+=("$(printf '%6d s  %s' $((SECONDS - from)) "$name")")
    printf '=== %s: ok, %d s\n' "$name" $((SECONDS - from))
}

fail() {
    TIMES+=("$(printf '%6d s  %s: FAILED' "$2" "$1")")
    summary
    printf 'FAILED: %s\n' "$1"
    exit 1
}

summary() {
    printf '\n=== times\n'
    printf '%s\n' "${TIMES[@]}"
    printf '%6d s  in all\n' "$SECONDS"
}

at_exit() {
    [ -z "$STARTED_DOCKER" ] || "$ROOT/scripts/docker-up.sh" down || true
}

docker_engine() {
    STARTED_DOCKER="$(scripts/docker-up.sh up)" || return 1
    docker --host "$(docker_endpoint)" version --format 'Docker engine {{.Server.Version}}, API {{.Server.APIVersion}}'
}

shell_scripts() {
    local file
    for file in scripts/*.sh .ci/run; do
        bash -n "$file" || return 1
    done
    if have shellcheck; then
        shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR scripts/*.sh .ci/run
    fi
}

typing_errors() { "$TOOLS/bin/typos" --format brief; }

# It looks at `[dependencies]` of each crate, not at those for builds and tests.
unused_dependencies() { "$TOOLS/bin/cargo-machete" --skip-target-dir; }

# Without its check of known vulnerabilities: their list is a git repository, and this has to pass where only package registries can
# be reached; `advisories` has that one. cargo may go to crates.io: what it has not compiled here, as crates for the other architecture, it
# has to read as well.
dependencies() {
    "$TOOLS/bin/cargo-deny" --locked --workspace check --deny unmatched-skip --deny unnecessary-skip bans licenses sources
}

# ADVISORY_DB names a clone of the list that is here already: git takes that for the one on GitHub.
advisories() {
    local here
    if [ -n "${ADVISORY_DB:-}" ]; then
        here="$(realpath -- "$ADVISORY_DB")" || return 1
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$here.insteadOf" GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
    fi
    "$TOOLS/bin/cargo-deny" --locked --workspace check advisories
}

clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

# Module tables link to private modules: they are maps for contributors, who build the docs with private items.
rustdoc() { RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --locked --quiet; }

# One call for programs and tests: two with different selections would build dependencies with different features.
build() {
    cargo build --workspace --bins --tests --locked || return 1
    scripts/deps.sh save debug || say "the dependencies are not kept: the next clone compiles them again"
    mkdir -p "$ARTIFACTS"
    ln -f "$CARGO_TARGET_DIR/debug/acefleet" "$ARTIFACTS/acefleet" 2>/dev/null ||
        cp -f "$CARGO_TARGET_DIR/debug/acefleet" "$ARTIFACTS/acefleet"
}

# The archives that test hosts load, made of the binaries under test.
images() {
    IMAGE_TAR="$ARTIFACTS" NODE_BIN="$ARTIFACTS/acefleet" ACEXY_SIM_BIN="$CARGO_TARGET_DIR/debug/acexy-sim" \
        scripts/images.sh engine-sim gluetun-sim acexy-sim acefleet haproxy systemd
}

# The names of the integration tests, those of the real-Docker tests (`yes`) or the others (`no`), as `--test` arguments.
test_arguments() {
    local file name kind
    while IFS= read -r file; do
        name="${file%/main.rs}"
        name="$(basename "${name%.rs}")"
        kind=no
        if [[ "$file" == chaos-tests/tests/* && "$name" = "$REAL_DOCKER_TESTS" ]]; then kind=yes; fi
        if [ "$kind" = "$1" ]; then printf -- '--test\n%s\n' "$name"; fi
    done < <(compgen -G 'tests/*.rs'; compgen -G 'tests/*/main.rs'; compgen -G '*/tests/*.rs'; compgen -G '*/tests/*/main.rs'
        compgen -G '*/*/tests/*.rs'; compgen -G '*/*/tests/*/main.rs')
}

tests() {
    # With it, tests insist on the programs that bootstrap.sh has fetched.
    export TEST_TOOLS="$TOOLS/bin"
    # Each fuzz target; all together a minute and a half of processor time.
    export BOLERO_RANDOM_TEST_TIME_MS="${BOLERO_RANDOM_TEST_TIME_MS:-8000}"
    if have cargo-nextest; then
        cargo nextest run --workspace --locked -E "not ($REAL_DOCKER)"
    else
        local selected
        mapfile -t selected < <(test_arguments no)
        cargo test --workspace --locked --no-fail-fast --lib --bins "${selected[@]}"
    fi
}

doc_tests() { cargo test --workspace --locked --doc; }

real_docker_tests() {
    local triple runner
    triple="$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')"
    runner="CARGO_TARGET_${triple}_RUNNER"
    export "$runner=$ROOT/scripts/as-root.sh"
    export NODE_BIN="$ARTIFACTS/acefleet" TEST_ENGINE_SIM_TAR="$ARTIFACTS/engine-sim.tar" TEST_IMAGES="$ARTIFACTS"
    if have cargo-nextest; then
        cargo nextest run --workspace --locked -E "$REAL_DOCKER"
    else
        local selected
        mapfile -t selected < <(test_arguments yes)
        [ "${#selected[@]}" -gt 0 ] || die "found no real-Docker tests in chaos-tests/tests"
        cargo test --workspace --locked --no-fail-fast "${selected[@]}" -- --test-threads=1
    fi
}

lint() {
    stage "kept dependencies" scripts/deps.sh restore debug
    stage "shell scripts" shell_scripts
    stage "typing errors" typing_errors
    stage "unused dependencies" unused_dependencies
    stage "cargo fmt" cargo fmt --all --check
    stage "clippy" clippy
    stage "rustdoc" rustdoc
}

case "${1:-all}" in
lint)
    stage "licences and sources of dependencies" dependencies
    lint
    ;;
advisories) stage "known vulnerabilities of dependencies" advisories ;;
all)
    trap at_exit EXIT
    stage "bootstrap" scripts/bootstrap.sh test
    stage "Docker engine" docker_engine
    lint
    stage "panel" scripts/panel.sh build
    stage "build" build
    stage "images" images
    stage "tests of the panel" scripts/panel.sh test
    stage "tests" tests
    stage "the API against its document" env NODE_BIN="$ARTIFACTS/acefleet" scripts/api.sh --seed 1 --max-time 60
    stage "doc tests" doc_tests
    stage "real-Docker tests" real_docker_tests
    ;;
*) die "usage: test.sh [lint|advisories]" ;;
esac
summary

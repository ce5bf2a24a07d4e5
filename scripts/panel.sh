#!/usr/bin/env bash
# The web panel, which the next build of the node puts into its binary.
#
#   panel.sh build   builds panel/dist, unless it was made of these sources
#   panel.sh packages   fetches what it is built of into panel/node_modules
#   panel.sh sbom    prints what it is built of, as CycloneDX
#   panel.sh test    checks its types, runs its tests and walks through it in Chromium, on made-up nodes
#   panel.sh real    walks through it on real nodes, for the scenario `panel`, which breaks them
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/panel"

# What builds it, and what its tests need, whose Chromium driver refuses older ones.
MIN_NODE=18.18
MIN_NODE_TESTS=20
# From the npm registry, where this system's is too old for the tests.
NODE_PACKAGE=node@22
# Older ones cannot list packages as CycloneDX.
MIN_NPM=10

has_node() { have node && have npm && version_at_least "$(node --version | tr -d v)" "$1"; }

# key FILE…: what decides whether something has to be made again.
key() { cat "$@" | sha256sum | cut -c1-16; }

packages() {
    local now
    now="$(key package-lock.json)"
    [ "$(cat node_modules/.made-of 2>/dev/null)" != "$now" ] || return 0
    npm ci --no-audit --no-fund --loglevel=error >&2
    printf '%s\n' "$now" >node_modules/.made-of
}

# Types are made of the API's description, so they count once.
sources() { git ls-files --cached --others --exclude-standard . ../docs/openapi.json | grep -v '/schema.d.ts$' | sort; }

build() {
    local now
    has_node "$MIN_NODE" || die "the panel needs Node $MIN_NODE or newer, and npm; scripts/bootstrap.sh run installs them"
    now="$(sources | xargs -d '\n' cat | sha256sum | cut -c1-16)"
    [ "$(cat node_modules/.panel-of 2>/dev/null)" != "$now" ] || [ ! -e dist/index.html ] || return 0
    say "building the panel"
    packages
    npm run --silent types >&2
    npm run --silent build >&2
    printf '%s\n' "$now" >node_modules/.panel-of
}

# The walk's driver needs a newer Node than Debian 12 has.
newer_node() {
    has_node "$MIN_NODE_TESTS" && return 0
    say "fetching $NODE_PACKAGE into $TOOLS/node, for the tests of the panel"
    npm install --prefix "$TOOLS/node" --no-audit --no-fund --loglevel=error "$NODE_PACKAGE" >&2
    PATH="$TOOLS/node/node_modules/node/bin:$PATH"
    has_node "$MIN_NODE_TESTS" || die "npm brought no Node $MIN_NODE_TESTS"
}

# Time and number of the run would make each list another one.
sbom() {
    local npm=npm
    [ -n "${SOURCE_DATE_EPOCH:-}" ] || die "SOURCE_DATE_EPOCH is not set; scripts/package.sh takes it from the last commit"
    if ! version_at_least "$(npm --version)" "$MIN_NPM"; then
        [ -x "$TOOLS/npm/node_modules/.bin/npm" ] ||
            npm install --prefix "$TOOLS/npm" --no-audit --no-fund --loglevel=error "npm@$MIN_NPM" >&2
        npm="$TOOLS/npm/node_modules/.bin/npm"
    fi
    "$npm" sbom --package-lock-only --sbom-format cyclonedx | node -e '
        const bom = JSON.parse(fs.readFileSync(0));
        delete bom.serialNumber;
        bom.metadata.timestamp = new Date(process.env.SOURCE_DATE_EPOCH * 1000).toISOString();
        console.log(JSON.stringify(bom, null, 2));'
}

tests() {
    build
    newer_node
    npm run --silent check
    npm run --silent test
    npm run --silent walk
}

# On nodes whose panel was built into them, so nothing is built here.
real() {
    newer_node
    packages
    exec node --import tsx tests/real/main.ts "$@"
}

case "${1:-}" in
build) build ;;
packages) packages ;;
sbom) sbom ;;
test) tests ;;
real) shift && real "$@" ;;
*) die "usage: panel.sh build|packages|sbom|test|real" ;;
esac

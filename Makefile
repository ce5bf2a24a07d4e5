# The commands of this repository. `make help` lists them; what they do is in scripts/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# scripts/lib.sh chooses the target directory and the compiler cache; plain cargo lines get them the same way.
CARGO := . scripts/lib.sh && cargo

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## install what is missing, build, start one node on the local Docker (ARGS="…" go to `acefleet serve`)
	@exec scripts/run.sh $(ARGS)

.PHONY: test
test: ## everything a change must pass: what `make lint` looks at, all tests, real Docker included
	@exec scripts/test.sh

.PHONY: api
api: ## send a node what its API document allows, and what it does not, for an hour (ARGS="…" go to schemathesis)
	@exec scripts/api.sh $(or $(ARGS),--max-time 3600)

.PHONY: fuzz
fuzz: ## look for inputs that no parser bears, ten minutes for each (FOR=seconds TARGET=name)
	@exec scripts/fuzz.sh $(or $(FOR),600) $(TARGET)

.PHONY: kills
kills: ## kill the leader of a loaded cluster 30 times, and show the longest wait of any client (needs root)
	@TEST_LEADER_KILLS=30 exec scripts/scenario.sh leader_is_killed

.PHONY: health
health: ## break an engine in six ways, 20 times each, and show how soon it is unlisted and replaced (needs root)
	@TEST_HEALTH_RUNS=20 exec scripts/scenario.sh an_engine_that_fails

.PHONY: lost-hosts
lost-hosts: ## take the power from a host 10 times, let hosts blink 40 times, and show how soon others take over, beside Docker Swarm (needs root)
	@TEST_LOST_HOSTS_RUNS=10 exec scripts/scenario.sh --include-ignored a_host_without_power_is_replaced swarm_on_the_same_hosts

.PHONY: lost-streams
lost-streams: ## take a host with a viewer away for 20 s and for 5 min, and show what becomes of streams (needs root)
	@TEST_LOST_STREAMS_AWAY_S=20,300 exec scripts/scenario.sh streams_of_a_lost_host

.PHONY: hand-outs
hand-outs: ## bring players to an empty fleet 10 times, to a slow Docker and to a full fleet, and 50 at once (needs root)
	@TEST_HANDOUT_ROUNDS=10 exec scripts/scenario.sh hand_outs

.PHONY: load-curve
load-curve: ## ten minutes of rising and falling load; draws docs/pictures/load.svg (needs root)
	@mkdir -p docs/pictures
	@TEST_LOAD_MINUTES=10 TEST_LOAD_PICTURE="$(CURDIR)/docs/pictures/load.svg" exec scripts/scenario.sh load_that_rises

.PHONY: life-cycles
life-cycles: ## 1,000 lives of players with random faults, and nothing that is left of them afterwards (needs root; an hour)
	@TEST_LIFE_CYCLES=1000 exec scripts/scenario.sh lives_with_random_faults

.PHONY: vpn-storm
vpn-storm: ## let the VPN of one host of three fail in seven ways, and show what the nodes listed and when (needs root)
	@TEST_VPN_STORM=full exec scripts/scenario.sh vpn_storm

.PHONY: cluster
cluster: ## three nodes with three Docker hosts on this machine (needs root; ARGS="…" go to cluster-up)
	@exec scripts/cluster.sh $(ARGS)

.PHONY: build
build: ## the binary for users, optimised as a whole, at target/dist/acefleet
	@scripts/bootstrap.sh build
	@exec scripts/build.sh

.PHONY: panel
panel: ## the web panel, which the next build puts into the binary (needs Node 18 or newer)
	@exec scripts/panel.sh build

.PHONY: panel-test
panel-test: ## types, tests and a walk through the panel in Chromium, on made-up nodes (needs Node 20)
	@exec scripts/panel.sh test

.PHONY: images
images: ## images of the node and of the simulators, without a registry (acefleet/acefleet:dev, …)
	@scripts/bootstrap.sh run
	@scripts/docker-up.sh up >/dev/null
	@exec scripts/images.sh all

.PHONY: package
package: ## a Debian package, an archive and lists of what is inside, in target/package (NODE_BIN, PACKAGE_ARCH)
	@scripts/bootstrap.sh package
	@exec scripts/package.sh

.PHONY: package-test
package-test: ## install, upgrade, remove and purge that package in a bare Debian 12 (needs root; PACKAGE, NODE_BIN)
	@scripts/bootstrap.sh package
	@exec scripts/package-test.sh

.PHONY: upgrade
upgrade: ## upgrade three nodes from the last release under load, and back, and show whether anybody noticed (ARGS="…")
	@scripts/bootstrap.sh build
	@exec scripts/upgrade.sh $(ARGS)

.PHONY: install
install: ## install the binary of `make build` and its systemd unit (PREFIX, DESTDIR)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" exec scripts/install.sh install

.PHONY: uninstall
uninstall: ## remove them again; settings and data stay
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" exec scripts/install.sh uninstall

.PHONY: bench
bench: ## table of measurements beside bare hyper, etcd, Docker and HAProxy (needs root; ARGS="…" selects rows; BENCH=quick|full)
	@exec scripts/bench.sh $(ARGS)

.PHONY: lint
lint: ## typos, dependencies, fmt check, clippy and rustdoc, without running tests
	@scripts/bootstrap.sh lint
	@exec scripts/test.sh lint

.PHONY: advisories
advisories: ## known vulnerabilities of dependencies, by the list of RustSec on GitHub (ADVISORY_DB: a clone of it)
	@scripts/bootstrap.sh lint
	@exec scripts/test.sh advisories

.PHONY: fmt
fmt: ## format the code
	@$(CARGO) fmt --all

.PHONY: clean-containers
clean-containers: ## remove every container that Acefleet made on this Docker
	@exec scripts/clean-containers.sh

# Everything a developer or a user runs; `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

## help: list the targets
help:
	@grep -E '^## ' $(MAKEFILE_LIST) | sed 's/^## //'

## demo: run the main job on real data, kill it half way, start it again, compare
demo: tools
	@scripts/demo.sh

## demo-cluster: the main job on a cluster of processes that are killed, submitted over REST, on an S3 server
demo-cluster: tools
	@scripts/demo-cluster.sh

## test: everything that must pass, in minutes
test: tools
	@scripts/test.sh

## check: formatting, lints, documentation, dependency policy
check: tools
	@scripts/check.sh

## bench: measure against the yardsticks; BENCH=E2 runs one
bench: tools
	@cargo bench -p tidegate-benchmarks --bench engine -- $(BENCH)

## bench-cluster: measure clusters of real processes; BENCH=C2 runs one
bench-cluster: tools
	@scripts/bench-cluster.sh $(BENCH)

## bench-peers: measure beside other engines: Renoir, and Flink where Java and pip are
bench-peers: tools
	@scripts/bench-peers.sh

## loom: model-check the ring, the wake-up and the credits
loom: tools
	@scripts/loom.sh

## crash-long: 20 000 random jobs with crashes instead of a few hundred
crash-long: tools
	@TIDEGATE_CRASH_CASES=20000 cargo test --release -p tidegate-integration-tests --test crashes

## chaos: hundreds of faults on clusters of real processes; seeds are printed
chaos: tools
	@scripts/chaos.sh

## rest-fuzz: hold the job manager's REST interface against its own document (needs Python)
rest-fuzz: tools
	@scripts/rest-fuzz.sh

## sim-long: the coordinator and whole clusters in simulation, thousands of seeds
sim-long: tools
	@TIDEGATE_SIM_SEEDS=20000 cargo test --release -p tidegate-coordinator

## seeded-bugs: build known bugs in, one by one, and see the suite notice each
seeded-bugs: tools
	@scripts/seeded-bugs.sh

tools:
	@scripts/tools.sh

.PHONY: help demo demo-cluster chaos rest-fuzz sim-long bench-cluster test check bench bench-peers loom crash-long seeded-bugs tools

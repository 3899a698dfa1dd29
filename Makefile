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

## test: everything that must pass, in minutes
test: tools
	@scripts/test.sh

## check: formatting, lints, documentation, dependency policy
check: tools
	@scripts/check.sh

## bench: measure against the yardsticks; BENCH=E2 runs one
bench: tools
	@cargo bench -p tidegate-benchmarks --bench engine -- $(BENCH)

## bench-peers: measure beside other engines: Renoir, and Flink where Java and pip are
bench-peers: tools
	@scripts/bench-peers.sh

## loom: model-check the ring, the wake-up and the credits
loom: tools
	@scripts/loom.sh

## crash-long: 20 000 random jobs with crashes instead of a few hundred
crash-long: tools
	@TIDEGATE_CRASH_CASES=20000 cargo test --release -p tidegate-integration-tests --test crashes

## seeded-bugs: build known bugs in, one by one, and see the suite notice each
seeded-bugs: tools
	@scripts/seeded-bugs.sh

tools:
	@scripts/tools.sh

.PHONY: help demo test check bench bench-peers loom crash-long seeded-bugs tools

#!/usr/bin/env bash
# Everything that must pass, in minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

# The conformance suite of keyed state is part of the test command.
features=(--features tidegate-state/conformance)

# Tests of whole clusters start the programs that are built here, as for all tests, and do not build them again.
cargo test --no-run --workspace --lib --bins --tests --examples "${features[@]}"
TIDEGATE_SANDBOX_PROGRAMS=$(cargo metadata --format-version 1 --no-deps --offline | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug
export TIDEGATE_SANDBOX_PROGRAMS

# Libraries, binaries, integration tests and examples; benchmarks are for `make bench`.
cargo test --workspace --lib --bins --tests --examples "${features[@]}"
cargo test --workspace --doc "${features[@]}"

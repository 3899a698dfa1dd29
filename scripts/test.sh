#!/usr/bin/env bash
# Everything that must pass, in minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

# The conformance suite of keyed state is part of the test command.
features=(--features tidegate-state/conformance)

# Libraries, binaries, integration tests and examples; benchmarks are for `make bench`.
cargo test --workspace --lib --bins --tests --examples "${features[@]}"
cargo test --workspace --doc "${features[@]}"

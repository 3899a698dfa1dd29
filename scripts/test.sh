#!/usr/bin/env bash
# Everything that must pass, in minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --all-targets
cargo test --workspace --doc

#!/usr/bin/env bash
# Model-checks the ring, the wake-up and the credits with loom.
set -euo pipefail
cd "$(dirname "$0")/.."

RUSTFLAGS="--cfg loom" cargo test -p tidegate-exchange --lib --target-dir target/loom -- models

#!/usr/bin/env bash
# Measures clusters of real processes on this machine; with arguments (C2 …), those rows only.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release \
    -p tidegate-jobmanager --bin tidegate-jobmanager \
    -p tidegate-taskmanager --bin tidegate-taskmanager \
    -p tidegate-cluster-benchmarks --bin measured_job --bin measure_cluster
programs=${CARGO_TARGET_DIR:-$PWD/target}/release
TIDEGATE_SANDBOX_PROGRAMS=$programs "$programs/measure_cluster" "$@"

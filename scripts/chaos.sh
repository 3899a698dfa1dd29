#!/usr/bin/env bash
# Whole clusters of real processes among hundreds of faults at random instants. Each run prints its seed; what fails is
# run again with TIDEGATE_CHAOS_SEED=<seed> TIDEGATE_CHAOS_RUNS=1.
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_CHAOS_RUNS=${TIDEGATE_CHAOS_RUNS:-25}
export TIDEGATE_CHAOS_FAULTS=${TIDEGATE_CHAOS_FAULTS:-12}
export TIDEGATE_CHAOS_SEED=${TIDEGATE_CHAOS_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "$((TIDEGATE_CHAOS_RUNS * TIDEGATE_CHAOS_FAULTS)) faults, from seed $TIDEGATE_CHAOS_SEED"
# One after another: faults at random instants mean little where everything waits for the processors.
exec cargo test -p tidegate-cluster-tests --test chaos -- --nocapture --test-threads=1 "${@:-random::}"

#!/usr/bin/env bash
# Ours beside other engines on this machine, in turn, on the same input: Renoir (E5b), and Flink where Java 17 and pip are:
# the keyed sum of E2, latency, a gigabyte of state, and recovery from kill -9. With arguments, those queries only.
set -euo pipefail
cd "$(dirname "$0")/.."

built="$PWD/target/peers"
of_renoir=()
of_flink=()
for query in "$@"; do
    case $query in
        q*) of_renoir+=("$query") ;;
        *) of_flink+=("$query") ;;
    esac
done
if [ $# -eq 0 ]; then
    of_renoir=(q3 q5 q7 q8)
    of_flink=(sum latency state recovery)
fi
compare() { cargo bench --quiet -p tidegate-benchmarks --bench peers -- --peer "$@"; }

if [ ${#of_renoir[@]} -gt 0 ]; then
    cargo build --release --manifest-path benchmarks/peers/renoir/Cargo.toml --target-dir "$built/renoir"
    compare "renoir=$built/renoir/release/tidegate-peer-renoir" "${of_renoir[@]}"
fi
if [ ${#of_flink[@]} -gt 0 ]; then
    if command -v javac > /dev/null && command -v pip > /dev/null; then
        benchmarks/peers/flink/build.sh "$built/flink"
        compare "flink=$built/flink/flink-peer" "${of_flink[@]}"
    else
        echo "Flink was left out: it needs Java 17 (javac) and pip"
    fi
fi

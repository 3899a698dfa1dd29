#!/usr/bin/env bash
# Ours beside other engines on this machine, in turn, on the same input: Renoir (E5b), and Flink (the keyed sum of E2)
# where Java 17 and pip are. With arguments, those queries of E5b only.
set -euo pipefail
cd "$(dirname "$0")/.."

built="$PWD/target/peers"
compare() { cargo bench --quiet -p tidegate-benchmarks --bench peers -- --peer "$@"; }

cargo build --release --manifest-path benchmarks/peers/renoir/Cargo.toml --target-dir "$built/renoir"
compare "renoir=$built/renoir/release/tidegate-peer-renoir" "$@"

if [ $# -gt 0 ]; then
    exit
fi
if command -v javac > /dev/null && command -v pip > /dev/null; then
    benchmarks/peers/flink/build.sh "$built/flink"
    compare "flink=$built/flink/keyed-sum" sum
else
    echo "Flink was left out: it needs Java 17 (javac) and pip"
fi

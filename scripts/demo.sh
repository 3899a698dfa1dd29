#!/usr/bin/env bash
# The main job on real data: once undisturbed; once killed half way with SIGKILL and started again. The outputs must be
# equal.
set -euo pipefail
cd "$(dirname "$0")/.."

here=target/demo
job=target/release/carrier_delays
rm -rf "$here"
mkdir -p "$here"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "Building the job (the first time this takes some minutes) …"
cargo build --release -p carrier_delays

options() { # output; sets the arguments of a run
    arguments=(run --output "$here/$1" --checkpoint-dir "$here/$1-checkpoints"
        --workers 2 --parallelism 1 --interval 200ms --progress always)
}

# All rows of an output, whatever files they are in: a reader sees only whole, committed files.
rows() { # directory; CSV files carry a heading each
    find "$1" -type f ! -path '*/.staging/*' -name 'part-*' -print0 | sort -z | xargs -0 -r cat | sort
}

committed() { find "$1" -type f ! -path '*/.staging/*' -name 'part-*' 2>/dev/null | wc -l; }

say "1. The job undisturbed, on two workers that exchange over loopback TCP"
options undisturbed
"$job" "${arguments[@]}"

say "2. The same job, slowed down to 100 000 flights a second, killed with SIGKILL half way"
options killed
"$job" "${arguments[@]}" --throttle 100000 &
pid=$!
trap 'kill -9 $pid 2>/dev/null || true' EXIT
# About half way: many checkpoints have committed cancelled flights, and the job still runs.
until [ "$(committed "$here/killed")" -ge 14 ]; do
    kill -0 "$pid" 2>/dev/null || { echo "the job ended before it could be killed" >&2; exit 1; }
    read -rt 0.05 <> <(:) || true
done
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
trap - EXIT
echo "killed process $pid; $(committed "$here/killed") files were committed by then"

say "3. Started again: it goes on from its last checkpoint"
"$job" "${arguments[@]}"

say "4. Compared"
for output in carriers routes cancelled malformed; do
    rows "$here/undisturbed/$output" | grep -v '^scheduled,carrier' >"$here/undisturbed-$output.txt" || true
    rows "$here/killed/$output" | grep -v '^scheduled,carrier' >"$here/killed-$output.txt" || true
    if ! cmp -s "$here/undisturbed-$output.txt" "$here/killed-$output.txt"; then
        echo "$output: DIFFERENT; compare $here/undisturbed-$output.txt with $here/killed-$output.txt" >&2
        exit 1
    fi
    echo "$output: $(wc -l <"$here/killed-$output.txt") rows, equal"
done

say "Carriers by mean departure delay"
grep -v '^carrier,airline' "$here/killed-carriers.txt" | sort -t, -k4 -nr \
    | awk -F, 'BEGIN { printf "%-30s %8s %12s %6s\n", "", "flights", "mean min", "worst" }
               { printf "%-30s %8d %12.2f %6d\n", $2, $3, $4, $5 }'

say "The output lies in $here/killed/: carriers, routes, cancelled, malformed. Its checkpoints are beside it; try"
echo "  $job checkpoints ls --checkpoint-dir $here/killed-checkpoints"

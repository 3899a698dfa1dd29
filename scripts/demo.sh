#!/usr/bin/env bash
# The main job on real data: once undisturbed; once killed half way with SIGKILL and started again. The outputs must be
# equal.
set -euo pipefail
cd "$(dirname "$0")/.."

here=target/demo
job=target/release/flight_delays
rm -rf "$here"
mkdir -p "$here"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "Building the job (the first time this takes some minutes) …"
cargo build --release -p flight_delays

options() { # output; sets the arguments of a run
    arguments=(run --output "$here/$1" --checkpoint-dir "$here/$1-checkpoints"
        --workers 2 --parallelism 1 --interval 200ms --progress always)
}

# The files of an output: a reader sees only whole, committed ones.
files() { find "$1" -type f ! -path '*/.staging/*' -name 'part-*' -print0 2>/dev/null | sort -z; }

# All rows of an output, whatever files they are in; CSV files carry a heading each.
rows() { files "$1" | xargs -0 -r cat | { grep -Ev '^(origin,hour|carrier,airline|departed,delay_min),' || true; } | sort; }

# The last hour that has been published.
last_hour() { rows "$1/origin-hours" | cut -d, -f2 | sort | tail -n 1; }

say "1. The job undisturbed, on two workers that exchange over loopback TCP"
options undisturbed
"$job" "${arguments[@]}"

say "2. The same job, slowed down to 100 000 flights a second, killed with SIGKILL half way"
options killed
"$job" "${arguments[@]}" --throttle 100000 &
pid=$!
trap 'kill -9 $pid 2>/dev/null || true' EXIT
# Half way: the hours of June have been published, those of December have not.
until [[ "$(last_hour "$here/killed")" > 2013-06-15 ]]; do
    kill -0 "$pid" 2>/dev/null || { echo "the job ended before it could be killed" >&2; exit 1; }
    read -rt 0.05 <> <(:) || true
done
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
trap - EXIT
echo "killed process $pid; hours up to $(last_hour "$here/killed") had been published by then"

say "3. Started again: it goes on from its last checkpoint"
"$job" "${arguments[@]}"

say "4. Compared"
for output in origin-hours carrier-days working-days malformed untimely \
    late-origin-hours late-carrier-days late-working-days; do
    rows "$here/undisturbed/$output" >"$here/undisturbed-$output.txt"
    rows "$here/killed/$output" >"$here/killed-$output.txt"
    if ! cmp -s "$here/undisturbed-$output.txt" "$here/killed-$output.txt"; then
        echo "$output: DIFFERENT; compare $here/undisturbed-$output.txt with $here/killed-$output.txt" >&2
        exit 1
    fi
    printf '%-18s %7d rows, equal\n' "$output:" "$(wc -l <"$here/killed-$output.txt")"
done

say "The worst hours of airports, and the worst days of large airlines"
# (What is piped is read to its end: a tool that meets a closed pipe would fail the script.)
awk -F, '$3 >= 20' "$here/killed-origin-hours.txt" | sort -t, -k4,4 -gr \
    | awk -F, 'NR <= 5 { printf "%-26s %s %5d flights, %6.1f min late on average, at worst %d\n", $1, $2, $3, $4, $5 }'
awk -F, '$4 >= 100' "$here/killed-carrier-days.txt" | sort -t, -k5,5 -gr \
    | awk -F, '!seen[$1]++ && ++shown <= 5 { printf "%-26s %s %5d flights, %6.1f min late on average\n", $2, $3, $4, $5 }'

say "The output lies in $here/killed/, a directory for each of the outputs above. Its checkpoints are beside it; try"
echo "  $job checkpoints ls --checkpoint-dir $here/killed-checkpoints"
echo "  $job run --output $here/early --checkpoint-dir $here/early-checkpoints --out-of-orderness 2h --lateness 6h"

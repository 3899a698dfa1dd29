#!/usr/bin/env bash
# E12: how long a user waits after editing one closure of a job, and how large the job's executable is. Edits the example in
# place and puts it back. With an argument, so many runs instead of three.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
package=carrier_delays
source=examples/$package/src/main.rs
closure='flight.dep_delay_min.is_some()'
target=${CARGO_TARGET_DIR:-target}

grep -qF "$closure" "$source" || { echo "$source has no closure with $closure; name another one here" >&2; exit 1; }
backup=$(mktemp)
cp "$source" "$backup"
trap 'cp "$backup" "$source"; rm -f "$backup"' EXIT

build() { # profile flags
    cargo build --quiet "$@" -p "$package"
}

# Another condition each time, so that nothing that was built before fits.
edit() { # number
    sed "s/${closure}/flight.dep_delay_min.is_some_and(|delay| delay > -$((100000 + $1)))/" "$backup" > "$source"
}

measure() { # name, bar in seconds, flags
    local name=$1 bar=$2 run start end
    shift 2
    build "$@"
    for run in $(seq "$runs"); do
        edit "$((run + RANDOM))"
        start=$(date +%s.%N)
        build "$@"
        end=$(date +%s.%N)
        awk -v name="$name" -v from="$start" -v to="$end" -v bar="$bar" \
            'BEGIN { printf "%-8s rebuild after one edit: %5.1f s (bar %d s)\n", name, to - from, bar }'
    done
}

measure debug 5
measure release 20 --release

stripped=$(mktemp)
strip -o "$stripped" "$target/release/$package"
printf 'release  executable, stripped: %5.1f MB (bar 25 MB)\n' "$(stat -c %s "$stripped" | awk '{ print $1 / 1e6 }')"
rm -f "$stripped"

#!/usr/bin/env bash
# E12: how long a user waits after editing one closure of a job, and how large the job's executable is. The job is a copy
# of an example in a workspace of its own, with cargo's default profiles, as a user's is. With an argument, so many runs
# instead of three.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
package=carrier_delays
closure='flight.dep_delay_min.is_some()'
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/build-times"
job=$(cd "$target/build-times" && pwd)
unset CARGO_TARGET_DIR
main=$job/src/main.rs

rm -rf "$job/src"
cp -r "examples/$package/src" "$job/src"
cp Cargo.lock "$job"
{
    printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n\n' "$package"
    printf '[workspace]\n\n[dependencies]\ntidegate = { path = "%s" }\n' "$PWD/api"
    grep -E '^(clap|serde) = ' Cargo.toml
} > "$job/Cargo.toml"
grep -qF "$closure" "$main" || { echo "the example has no closure with $closure; name another one here" >&2; exit 1; }
cp "$main" "$job/before.rs"

build() { # profile flags
    cargo build --quiet --manifest-path "$job/Cargo.toml" "$@"
}

# Another condition each time, so that nothing that was built before fits.
edit() { # number
    sed "s/${closure}/flight.dep_delay_min.is_some_and(|delay| delay > -$((100000 + $1)))/" "$job/before.rs" > "$main"
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

strip -o "$job/stripped" "$job/target/release/$package"
printf 'release  executable, stripped: %5.1f MB (bar 25 MB)\n' "$(stat -c %s "$job/stripped" | awk '{ print $1 / 1e6 }')"

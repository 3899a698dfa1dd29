#!/usr/bin/env bash
# The main job on a cluster: one job manager, three task managers, checkpoints in an S3-compatible store; a task manager is
# killed with SIGKILL in the middle, then the job manager, which is started again. The output must equal that of the job
# undisturbed in one process.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$PWD/target/demo-cluster
flights=$PWD/examples/data/flights*.csv*
airlines=$PWD/examples/data/airlines.csv
profile=${TIDEGATE_DEMO_PROFILE:-release}
case $profile in
    release) programs=target/release flags=(--release) ;;
    *) programs=target/debug flags=() ;;
esac
rm -rf "$here"
mkdir -p "$here"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "$*; logs are in $here" >&2; exit 1; }
pause() { read -rt 0.02 <> <(:) || true; }
now() { date +%s%3N; }

say "Building the cluster's programs and the job (the first time this takes some minutes) …"
${CARGO:-cargo} build "${flags[@]}" -p tidegate-jobmanager -p tidegate-taskmanager -p tidegate-sandbox --bins
${CARGO:-cargo} build "${flags[@]}" -p flight_delays --features flight_delays/s3

# Everything that is started here ends with the script.
declare -A pids=()
finish() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; }
trap finish EXIT

wait_for() { # what, command …; until the command succeeds
    local what=$1 until=$(($(now) + 120000))
    shift
    until "$@"; do
        [[ $(now) -lt $until ]] || fail "$what did not happen within two minutes"
        pause
    done
}

# Words of a document: the value of the first field of that name.
field() { grep -o "\"$1\":\"\?[^,\"}]*" | head -n 1 | sed 's/.*:"\?//'; }
get() { curl -sf "$rest$1"; }

say "1. An S3 server of the project's own, a job manager, three task managers with two slots each"
mkfifo "$here/s3-stdin"
"$programs/tidegate-test-s3" --bucket tidegate <"$here/s3-stdin" >"$here/s3.env" 2>"$here/s3.log" &
pids[s3]=$!
exec 9>"$here/s3-stdin"
wait_for "the start of the S3 server" grep -q SECRET "$here/s3.env"
# shellcheck source=/dev/null
source "$here/s3.env"

start_job_manager() { # rest address, cluster address
    : >"$here/jobmanager.out"
    "$programs/tidegate-jobmanager" --storage s3://tidegate/demo --rest-address "$1" --cluster-address "$2" \
        --checkpoints-interval 200ms >"$here/jobmanager.out" 2>>"$here/jobmanager.log" &
    pids[jobmanager]=$!
    wait_for "the start of the job manager" grep -q '^cluster http' "$here/jobmanager.out"
    rest=$(sed -n 's/^rest //p' "$here/jobmanager.out")
    cluster=$(sed -n 's/^cluster //p' "$here/jobmanager.out")
}
start_task_manager() { # name
    "$programs/tidegate-taskmanager" --id "$1" --slots 2 --job-manager "$cluster" --directory "$here/$1" \
        --metrics-address 127.0.0.1:0 >>"$here/$1.log" 2>&1 &
    pids[$1]=$!
}
destroy() { # name; at once, as the death of its machine would
    kill -9 "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}
attached() { [[ "$(get /v1/overview | field taskmanagers)" == "$1" ]]; }

start_job_manager 127.0.0.1:0 127.0.0.1:0
for name in tm1 tm2 tm3; do start_task_manager "$name"; done
wait_for "the attachment of three task managers" attached 3
echo "the job manager is at $rest; its storage is s3://tidegate/demo at $AWS_ENDPOINT"

say "2. The job is uploaded and run, slowed down to 100 000 flights a second"
artifact=$(curl -sf -H 'content-type: application/octet-stream' --data-binary "@$programs/flight_delays" \
    "$rest/v1/artifacts" | field id)
job=$(curl -sf -H 'content-type: application/json' "$rest/v1/artifacts/$artifact/run" --data @- <<JSON | field jobid
{"parallelism": 4, "programArgsList": ["--flights", "$flights", "--airlines", "$airlines", "--output", "$here/cluster", "--throttle", "100000"]}
JSON
)
echo "artifact $artifact"
echo "job      $job"

# The files of an output: a reader sees only whole, committed ones.
files() { find "$1" -type f ! -path '*/.staging/*' -name 'part-*' -print0 2>/dev/null | sort -z; }
# All rows of an output, whatever files they are in; CSV files carry a heading each.
rows() { files "$1" | xargs -0 -r cat | { grep -Ev '^(origin,hour|carrier,airline|departed,delay_min),' || true; } | sort; }
last_hour() { rows "$here/cluster/origin-hours" | cut -d, -f2 | sort | tail -n 1; }
published_past() { [[ "$(last_hour)" > "$1" ]]; }
checkpoints() { get "/v1/jobs/$job/checkpoints" | field completed; }
another_checkpoint() { # than so many
    local done
    done=$(checkpoints) && [[ -n "$done" && "$done" -gt "$1" ]]
}
cause() { get "/v1/jobs/$job/exceptions" | sed -n 's/.*"root-exception":"\(\([^"\\]\|\\.\)*\)".*/\1/p'; }
has_failed() { [[ -n "$(cause)" ]]; }
state_is() { [[ "$(get "/v1/jobs/$job" | field state)" == "$1" ]]; }

say "3. A task manager is killed with SIGKILL, with its workers' tasks and their state"
wait_for "publication of March" published_past 2013-03-01
# One that runs a part of the job.
victim=$(find "$here" -mindepth 4 -type d -path "*/$job/tm?-*" -printf "%f\n" | head -n 1 | cut -d- -f1)
echo "hours up to $(last_hour) are published"
killed=$(now)
destroy "$victim"
wait_for "the notice of its death" has_failed
wait_for "recovery" another_checkpoint "$(checkpoints)"
took=$(($(now) - killed))
echo "$victim was killed in the middle; the next checkpoint was complete $took ms later"
echo "the cause on record: $(cause)"

say "4. The job manager is killed with SIGKILL, and started again with nothing but the store"
wait_for "publication of June" published_past 2013-06-15
echo "hours up to $(last_hour) are published"
killed=$(now)
destroy jobmanager
start_job_manager "${rest#http://}" "${cluster#http://}"
echo "it served again $(($(now) - killed)) ms after its death"
wait_for "recovery" another_checkpoint 0
echo "the next checkpoint was complete $(($(now) - killed)) ms after its death"

say "5. The job runs to its end"
wait_for "the end of the job" state_is FINISHED
echo "it has finished"

say "6. Compared with the job undisturbed in one process"
RUST_LOG=error "$programs/flight_delays" run --flights "$flights" --airlines "$airlines" --output "$here/reference" \
    --checkpoint-dir "$here/reference-checkpoints" --parallelism 2 --progress never
for output in origin-hours carrier-days working-days malformed untimely \
    late-origin-hours late-carrier-days late-working-days; do
    rows "$here/reference/$output" >"$here/reference-$output.txt"
    rows "$here/cluster/$output" >"$here/cluster-$output.txt"
    if ! cmp -s "$here/reference-$output.txt" "$here/cluster-$output.txt"; then
        fail "$output: DIFFERENT; compare $here/reference-$output.txt with $here/cluster-$output.txt"
    fi
    printf '%-18s %7d rows, equal\n' "$output:" "$(wc -l <"$here/cluster-$output.txt")"
done

#!/usr/bin/env bash
# Throws what schemathesis makes of the OpenAPI document at a running job manager with one task manager and a few jobs:
# no answer may have a status of 5xx, and answers must look as described. TIDEGATE_FUZZ_EXAMPLES says how many requests
# per operation (default 50), TIDEGATE_FUZZ_SEED which. Takes a minute beyond building.
set -euo pipefail
cd "$(dirname "$0")/.."

examples=${TIDEGATE_FUZZ_EXAMPLES:-50}
seed=${TIDEGATE_FUZZ_SEED:-$RANDOM}
folder=$(mktemp -d)
job_manager=
task_manager=
finish() {
    [ -z "$task_manager" ] || kill "$task_manager" 2>/dev/null || true
    [ -z "$job_manager" ] || kill "$job_manager" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

venv=target/rest-fuzz-venv
if [ ! -x "$venv/bin/schemathesis" ]; then
    echo "installing schemathesis …"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4,<5'
fi

cargo build --quiet -p tidegate-jobmanager -p tidegate-taskmanager -p carrier_delays
target/debug/tidegate-jobmanager --storage "$folder/storage" --rest-address 127.0.0.1:0 --cluster-address 127.0.0.1:0 \
    >"$folder/addresses" 2>"$folder/job-manager.log" &
job_manager=$!
address() { sed -n "s/^$1 //p" "$folder/addresses"; }
until [ -n "$(address cluster)" ]; do
    kill -0 "$job_manager" || { cat "$folder/job-manager.log" >&2; exit 1; }
    sleep 0.05
done
target/debug/tidegate-taskmanager --job-manager "$(address cluster)" --directory "$folder/work" --slots 4 \
    >/dev/null 2>"$folder/task-manager.log" &
task_manager=$!
rest=$(address rest)
until curl -sf "$rest/v1/taskmanagers" | grep -q '"id"'; do
    kill -0 "$task_manager" || { cat "$folder/task-manager.log" >&2; exit 1; }
    sleep 0.05
done

# A job that goes on for long enough, for those operations that need one.
data=$PWD/examples/data
arguments="[\"--flights\",\"$data/flights*.csv*\",\"--airlines\",\"$data/airlines.csv\",\"--output\",\"$folder/out\",\"--throttle\",\"2000\"]"
job=$(curl -sf -F artifact=@target/debug/carrier_delays -F "request={\"programArgsList\":$arguments}" "$rest/v1/jobs" |
    sed 's/.*"jobid":"\([0-9a-f]*\)".*/\1/')
artifact=$(curl -sf "$rest/v1/jobs/$job" | sed 's/.*"artifact":"\([0-9a-f]*\)".*/\1/')
name=$(curl -sf "$rest/v1/taskmanagers" | sed 's/.*"id":"\([^"]*\)".*/\1/')
cat >"$folder/known.toml" <<END
[parameters]
"path.job" = "$job"
"path.artifact" = "$artifact"
"path.taskmanager" = "$name"
END

fuzz() {
    "$venv/bin/schemathesis" "$@" "$rest/v1/openapi.json" --seed "$seed" --max-examples "$examples" --workers 1 --no-color \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
        --exclude-path /v1/openapi.json
}
echo "== ids that are there: seed $seed, $examples requests per operation"
fuzz --config-file "$folder/known.toml" run --phases coverage,fuzzing
echo "== any ids"
fuzz run
curl -sf "$rest/readyz"
if grep '"level":"ERROR"\|panicked' "$folder/job-manager.log" >&2; then
    exit 1
fi

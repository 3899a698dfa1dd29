#!/usr/bin/env bash
# Builds known bugs in and shows that the suite notices each: a run that stays green is a failure of this script.
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_CRASH_CASES=${TIDEGATE_CRASH_CASES:-200}
flags=(--target-dir target/seeded-bugs)
limit=${TIDEGATE_SEEDED_BUG_LIMIT:-300}

# Which part of the suite is asked, one after the other, until one notices.
suites_of() {
    case $1 in
        SkipAlignment) echo "tidegate-integration-tests" ;;
        DropBarrier) echo "tidegate-exchange tidegate-integration-tests" ;;
        CommitBeforeClaim) echo "tidegate-driver tidegate-coordinator tidegate-integration-tests" ;;
        ForgetTombstone | DeltaFromAborted) echo "tidegate-state tidegate-integration-tests" ;;
        ReuseChannelId) echo "tidegate-exchange" ;;
        RepeatFiring) echo "tidegate-operators" ;;
        UnreadSplitIsIdle) echo "tidegate-operators tidegate-integration-tests" ;;
        WatermarkRegresses | IdleSplitHolds) echo "tidegate-operators tidegate-worker tidegate-integration-tests" ;;
    esac
}

# The features of a part of the suite: the bugs, and the conformance suite of keyed state.
features_of() {
    case $1 in
        tidegate-state) echo "seeded-bugs,conformance" ;;
        *) echo "seeded-bugs" ;;
    esac
}

echo "building the suite with the bugs in it …"
for package in tidegate-state tidegate-operators tidegate-worker tidegate-exchange tidegate-coordinator tidegate-driver tidegate-integration-tests; do
    cargo test --quiet --no-run -p "$package" --features "$(features_of "$package")" "${flags[@]}"
done

missed=0
for bug in SkipAlignment CommitBeforeClaim DropBarrier ForgetTombstone DeltaFromAborted ReuseChannelId RepeatFiring \
    WatermarkRegresses IdleSplitHolds UnreadSplitIsIdle; do
    noticed=
    for package in $(suites_of "$bug"); do
        # A job whose barrier is lost never ends: the limit is a way of noticing, too.
        if ! TIDEGATE_SEEDED_BUG=$bug timeout "$limit" cargo test --quiet -p "$package" --features "$(features_of "$package")" \
            "${flags[@]}" --no-fail-fast >target/seeded-bugs/"$bug.log" 2>&1; then
            noticed=$package
            break
        fi
    done
    if [ -n "$noticed" ]; then
        echo "$bug: noticed by $noticed"
    else
        echo "$bug: NOT noticed"
        missed=$((missed + 1))
    fi
done
[ "$missed" = 0 ]

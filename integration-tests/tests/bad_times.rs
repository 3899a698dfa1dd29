//! Times and windows that cannot be are refused as early as they can be known, by an error that says what to do.

use std::time::Duration;

use tidegate::{BuildError, prelude::*, window::WindowAssigner};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn refused(windows: impl WindowAssigner) -> String {
    let env = Env::new("refused");
    env.source("times", IteratorSource::new(|| [1i64]))
        .watermarks(WatermarkStrategy::monotonous().event_time(|time: &i64| *time))
        .key_by(|_| 0u8)
        .window(windows)
        .aggregate("counts", Count::new())
        .discard("nowhere");
    let error = env.build().expect_err("such windows cannot be had");
    assert!(
        matches!(&error, BuildError::Window { operator, .. } if operator == "counts"),
        "{error:?}"
    );
    error.to_string()
}

#[test]
fn windows_that_cannot_be_are_refused_when_the_job_is_built() {
    let cases = [
        (refused(Tumbling::of(MS(0))), "size of windows is zero"),
        (refused(Session::with_gap(MS(0))), "gap of windows is zero"),
        (refused(Sliding::of(MS(10), MS(0))), "slide of windows is zero"),
        (refused(Sliding::of(MS(10), MS(20))), "more than their size"),
        (refused(Tumbling::of(MS(10)).offset(MS(10))), "offset"),
        (
            refused(Tumbling::of(Duration::from_nanos(1))),
            "whole milliseconds",
        ),
        (refused(Tumbling::of(Duration::MAX)), "cannot tell more"),
        (
            refused(Tumbling::of(MS(10)).processing_time().allowed_lateness(MS(5))),
            "no record is ever late",
        ),
    ];
    for (message, words) in cases {
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }
}

/// What a job says whose third record has this time.
fn failure(time: Option<i64>) -> String {
    let env = Env::new("failing");
    env.source(
        "times",
        IteratorSource::new(move || [Some(1_000), Some(2_000), time]),
    )
    .watermarks(WatermarkStrategy::monotonous().event_time(|time: &Option<i64>| *time))
    .key_by(|_| 0u8)
    .window(Tumbling::of(MS(10)))
    .aggregate("counts", Count::new())
    .discard("nowhere");
    let options = RunOptions::in_memory()
        .parallelism(1)
        .restart(tidegate::options::RestartSettings::None);
    let job = env.build().expect("the job is valid");
    job.run(options)
        .expect_err("the record is refused")
        .with_causes()
        .to_string()
}

#[test]
fn records_whose_time_is_missing_or_cannot_be_fail_the_job_by_name() {
    let cases = [
        (None, "the record has no event time"),
        (Some(1_700_000_000_000_000), "lies after"),
        (Some(i64::MAX), "lies after"),
        (Some(-100_000_000_000_000), "lies before"),
    ];
    for (time, words) in cases {
        let message = failure(time);
        for word in [words, "record 2", "or_drop"] {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    }
}

#[test]
fn windows_without_times_say_where_times_come_from() {
    let env = Env::new("untimed");
    env.source("numbers", IteratorSource::new(|| 0..3u64))
        .key_by(|_| 0u8)
        .window(Tumbling::of(MS(10)))
        .aggregate("counts", Count::new())
        .discard("nowhere");
    let options = RunOptions::in_memory().restart(tidegate::options::RestartSettings::None);
    let job = env.build().expect("the job is valid");
    let message = job.run(options).expect_err("no record has a time").with_causes();
    assert!(
        message.contains("counts") && message.contains("watermarks(..)"),
        "{message:?}"
    );
}

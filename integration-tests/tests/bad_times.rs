//! Times and windows that cannot be are refused as early as they can be known, by an error that says what to do.

use std::time::Duration;

use tidegate::{
    BuildError,
    prelude::*,
    window::{WindowAssigner, WindowError},
};

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

/// A stream of times, and how to window it.
type Build = fn(Stream<i64>);

fn count(times: Stream<i64>, windows: impl WindowAssigner) -> Stream<u64> {
    let counts = times
        .key_by(|_| 0u8)
        .window(windows)
        .aggregate("counts", Count::new());
    counts.map(|count| count.value)
}

fn timed(times: Stream<i64>) -> Stream<i64> {
    times.watermarks(WatermarkStrategy::monotonous().event_time(|time: &i64| *time))
}

fn built(build: Build) -> Result<Job, BuildError> {
    let env = Env::new("lateness");
    build(env.source("times", IteratorSource::new(|| [1i64])));
    env.build()
}

#[test]
fn windows_that_no_watermark_reaches_are_refused_when_the_job_is_built() {
    let refused: [(&str, Build); 5] = [
        ("no watermarks", |times| {
            count(times, Tumbling::of(MS(10))).discard("nowhere");
        }),
        ("and a lateness", |times| {
            count(times, Tumbling::of(MS(10)).allowed_lateness(MS(5))).discard("nowhere");
        }),
        ("behind something else", |times| {
            let session = count(times.map(|time| time + 1).rebalance(), Session::with_gap(MS(10)));
            session.discard("nowhere");
        }),
        ("one side of a union", |times| {
            let other = times.env().source("other", IteratorSource::new(|| [2i64]));
            count(timed(times).union(other), Tumbling::of(MS(10))).discard("nowhere");
        }),
        ("windows behind windows of the machine's clock", |times| {
            let counts = count(times, Tumbling::of(MS(10)).processing_time());
            let again = counts.key_by(|_| 0u8).window(Tumbling::of(MS(10)));
            again.aggregate("again", Count::new()).discard("nowhere");
        }),
    ];
    for (what, build) in refused {
        let error = built(build).map(drop).expect_err(what);
        assert!(
            matches!(
                &error,
                BuildError::Window {
                    cause: WindowError::NoWatermarks,
                    ..
                }
            ),
            "{what}: {error:?}"
        );
        let (message, operator) = (
            error.to_string(),
            if what.contains("behind windows") {
                "again"
            } else {
                "counts"
            },
        );
        for word in [operator, "watermarks(..)"] {
            assert!(
                message.contains(word),
                "{what}: {message:?} does not say {word:?}"
            );
        }
    }
    let accepted: [(&str, Build); 4] = [
        ("watermarks before what deals records", |times| {
            let counts = count(timed(times).map(|time| time).rebalance(), Tumbling::of(MS(10)));
            counts.discard("nowhere");
        }),
        ("both sides of a union", |times| {
            let other = timed(times.env().source("other", IteratorSource::new(|| [2i64])));
            count(timed(times).union(other), Tumbling::of(MS(10))).discard("nowhere");
        }),
        ("the machine's clock", |times| {
            count(times, Tumbling::of(MS(10)).processing_time()).discard("nowhere");
        }),
        ("windows behind windows", |times| {
            let counts = count(timed(times), Tumbling::of(MS(10)));
            let again = counts.key_by(|_| 0u8).window(Tumbling::of(MS(10)));
            again.aggregate("again", Count::new()).discard("nowhere");
        }),
    ];
    for (what, build) in accepted {
        assert!(built(build).is_ok(), "{what}: {:?}", built(build).err());
    }
}

#[test]
fn late_records_are_refused_where_none_can_be() {
    let error = built(|times| {
        let windows = times
            .key_by(|_| 0u8)
            .window(Tumbling::of(MS(10)).processing_time());
        let (counts, late) = windows
            .aggregate("counts", Count::new())
            .with_late_output::<i64>();
        counts.discard("nowhere");
        late.discard("late");
    });
    let message = error.map(drop).expect_err("no record is ever late").to_string();
    for word in ["counts", "no record is ever late", "with_late_output()"] {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn sessions_cannot_be_combined_before_their_records_meet() {
    let error = built(|times| {
        let sessions = timed(times).key_by(|_| 0u8).window(Session::with_gap(MS(10)));
        let counts = sessions.combine_first().aggregate("counts", Count::new());
        counts.discard("nowhere");
    });
    let message = error
        .map(drop)
        .expect_err("nobody knows the sessions yet")
        .to_string();
    assert!(
        message.contains("counts") && message.contains("combine_first()"),
        "{message:?}"
    );
}

#[test]
fn a_bound_that_no_record_can_exceed_is_refused() {
    let bounded = |bound: Duration| {
        let env = Env::new("bound");
        let strategy = WatermarkStrategy::bounded_out_of_orderness(bound).within(0..=1_000);
        env.source("times", IteratorSource::new(|| [1i64]))
            .watermarks(strategy.event_time(|time: &i64| *time))
            .discard("nowhere");
        env.build()
    };
    let message = bounded(MS(1_000))
        .map(drop)
        .expect_err("nothing is late")
        .to_string();
    assert!(
        message.contains("1s") && message.contains("within"),
        "{message:?}"
    );
    assert!(bounded(MS(999)).is_ok());
}

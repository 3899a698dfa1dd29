//! Windows in whole jobs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use tidegate::{BuildError, prelude::*, window::Partial};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Numbers whose times jump back and forth by less than ten.
fn readings(env: &Env, count: u64) -> Stream<(u64, i64)> {
    env.source(
        "readings",
        GeneratorSource::new(|_seed, sequence| sequence).count(count),
    )
    .map(|number| (number, (number ^ 7) as i64))
}

fn strategy() -> WatermarkStrategy<(u64, i64)> {
    WatermarkStrategy::bounded_out_of_orderness(MS(10)).event_time(|reading: &(u64, i64)| reading.1)
}

fn expected(count: u64, size: i64, slide: i64) -> Vec<(u64, i64, u64)> {
    let mut windows = BTreeMap::new();
    for number in 0..count {
        let time = (number ^ 7) as i64;
        for start in (time - size + 1..=time).filter(|start| start.rem_euclid(slide) == 0) {
            *windows.entry((number % 5, start)).or_insert(0) += number;
        }
    }
    windows
        .into_iter()
        .map(|((key, start), sum)| (key, start, sum))
        .collect()
}

#[test]
fn windows_of_a_job_are_those_of_a_plain_program_at_any_size() {
    for (workers, slots) in [(1, 1), (1, 3), (2, 2)] {
        let env = Env::new("windows");
        let sum = || Sum::of(|reading: &(u64, i64)| reading.0);
        let results = |windowed: Windowed<u64, u64>| (windowed.key, windowed.window.start.0, windowed.value);
        let source = readings(&env, 5000).watermarks(strategy());
        let tumbling = source
            .clone()
            .key_by(|reading| reading.0 % 5)
            .window(Tumbling::of(MS(100)))
            .aggregate("tumbling", sum())
            .map(results)
            .collect("tumbling-out");
        let combined = source
            .clone()
            .key_by(|reading| reading.0 % 5)
            .window(Sliding::of(MS(500), MS(20)))
            .combine_first()
            .aggregate("combined", sum())
            .map(results)
            .collect("combined-out");
        let sliding = source
            .key_by(|reading| reading.0 % 5)
            .window(Sliding::of(MS(500), MS(20)))
            .aggregate("sliding", sum())
            .map(results)
            .collect("sliding-out");
        let options = RunOptions::in_memory()
            .workers(workers)
            .parallelism(slots)
            .checkpoint_interval(MS(5));
        env.build().unwrap().run(options).unwrap();
        assert_eq!(tumbling.sorted(), expected(5000, 100, 100), "{workers} × {slots}");
        assert_eq!(sliding.sorted(), expected(5000, 500, 20), "{workers} × {slots}");
        assert_eq!(combined.sorted(), sliding.sorted(), "{workers} × {slots}");
    }
}

#[test]
fn late_and_timely_records_together_are_all_of_them() {
    let env = Env::new("late");
    let source = env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence).count(30_000),
    );
    // Every third number comes long after its time.
    let times = |number: &u64| {
        if number.is_multiple_of(3) {
            (*number as i64) - 500
        } else {
            *number as i64
        }
    };
    let (counts, late) = source
        .watermarks(WatermarkStrategy::monotonous().event_time(times))
        .key_by(|number| number % 4)
        .window(Tumbling::of(MS(10)))
        .aggregate("counts", Count::new())
        .with_late_output::<u64>();
    let counts = counts.map(|count| count.value).collect("counts-out");
    let late = late.collect("late-out");
    env.build()
        .unwrap()
        .run(RunOptions::in_memory().parallelism(2))
        .unwrap();
    let (timely, late) = (counts.sorted().into_iter().sum::<u64>(), late.sorted());
    assert!(
        late.iter().all(|number| number % 3 == 0) && !late.is_empty(),
        "{}",
        late.len()
    );
    assert_eq!(timely + late.len() as u64, 30_000);
}

#[test]
fn late_records_that_were_combined_come_as_what_they_come_to() {
    let env = Env::new("late");
    let source = env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence).count(30_000),
    );
    let times = |number: &u64| *number as i64 - if number.is_multiple_of(3) { 50_000 } else { 0 };
    let (counts, late) = source
        .watermarks(
            WatermarkStrategy::monotonous()
                .event_time(times)
                .within(-100_000..=100_000),
        )
        .key_by(|number| number % 4)
        .window(Tumbling::of(MS(1_000)))
        .combine_first()
        .aggregate("counts", Count::new())
        .with_late_output::<Partial<u64, u64>>();
    let counts = counts.map(|count| count.value).collect("counts-out");
    let late = late.map(|partial| partial.value).collect("late-out");
    env.build()
        .unwrap()
        .run(RunOptions::in_memory().parallelism(2))
        .unwrap();
    let sum = |counts: Vec<u64>| counts.into_iter().sum::<u64>();
    let merged = late.len() as u64;
    let (timely, late) = (sum(counts.sorted()), sum(late.sorted()));
    assert_eq!(timely + late, 30_000);
    assert!(merged < late / 10, "{late} late records came as {merged}");
}

#[test]
fn windows_that_cannot_be_had_are_refused_when_the_job_is_built() {
    let built = |build: &dyn Fn(Stream<(u64, i64)>)| {
        let env = Env::new("refused");
        build(readings(&env, 1));
        env.build().expect_err("the job was built")
    };
    let zero = built(&|stream| {
        let keyed = stream
            .key_by(|reading| reading.0)
            .window(Tumbling::of(Duration::ZERO));
        keyed.aggregate("counts", Count::new()).discard("x");
    });
    assert!(
        matches!(&zero, BuildError::Window { operator, .. } if operator == "counts"),
        "{zero}"
    );
    assert!(zero.to_string().contains("zero"), "{zero}");
    let wrong = built(&|stream| {
        let timed = stream.watermarks(strategy());
        let keyed = timed.key_by(|reading| reading.0).window(Tumbling::of(MS(1)));
        let (counts, late) = keyed
            .aggregate("counts", Count::new())
            .with_late_output::<String>();
        counts.discard("x");
        late.discard("y");
    });
    assert!(matches!(wrong, BuildError::LateOutput { .. }), "{wrong}");
    let misplaced = built(&|stream| {
        let (numbers, late) = stream.map(|reading| reading.0).with_late_output::<u64>();
        numbers.discard("x");
        late.discard("y");
    });
    assert!(matches!(misplaced, BuildError::Misplaced { .. }), "{misplaced}");
}

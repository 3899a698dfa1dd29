//! Whole jobs in steps: what a step promises holds at any size, over restarts, and when the job fails or ends.

use std::time::Duration;

use tidegate::{
    Error,
    prelude::*,
    testing::{Feed, Feeds, JobSteps},
};

fn sums(numbers: &Feed<u64>) -> (Job, Collected<(u64, u64)>) {
    let env = Env::new("sums");
    let sums = env
        .source("numbers", numbers.clone())
        .map(|number| {
            assert_ne!(number, 13, "unlucky");
            number
        })
        .rebalance()
        .key_by(|number| number % 10)
        .reduce("sum-per-digit", |sum, number| *sum += number, Emit::EveryRecord)
        .map(|sum| (sum.key, sum.value))
        .collect("sums");
    (env.build().expect("the job makes sense"), sums)
}

#[test]
fn after_a_step_everything_that_follows_is_there() {
    for (before, after) in [((1, 1), (1, 3)), ((1, 2), (2, 1)), ((2, 2), (1, 1))] {
        let mut feeds = Feeds::new();
        let numbers = feeds.feed();
        let (job, collected) = sums(&numbers);
        let size = |(workers, slots)| move |options: RunOptions| options.workers(workers).parallelism(slots);
        let mut steps = JobSteps::start(job, feeds, size(before)).unwrap();
        steps.step().unwrap();
        assert_eq!(collected.sorted(), []);
        // More than a batch, all of one key.
        numbers.push((0..5_000).map(|number| number * 10));
        steps.step().unwrap();
        assert_eq!(collected.len(), 5_000);
        let total: u64 = (0..5_000).map(|number| number * 10).sum();
        assert_eq!(collected.sorted().last(), Some(&(0, total)));

        steps.restart(size(after)).unwrap();
        assert_eq!(collected.len(), 5_000, "nothing comes twice");
        numbers.push([1, 7, 11, 10]);
        steps.step().unwrap();
        let sorted = collected.sorted();
        assert_eq!(sorted[5_000..], [(0, total + 10), (1, 1), (1, 12), (7, 7)]);

        numbers.push([21]);
        numbers.end();
        steps.step().unwrap();
        steps.finish().unwrap();
        assert!(collected.sorted().contains(&(1, 33)));
    }
}

#[test]
fn windows_fire_in_the_step_that_ends_them() {
    let mut feeds = Feeds::new();
    let (left, right) = (feeds.feed::<(u8, i64)>(), feeds.feed::<(u8, i64)>());
    let env = Env::new("two-inputs");
    let strategy = || WatermarkStrategy::monotonous().event_time(|(_, time): &(u8, i64)| *time);
    let other = env.source("right", right.clone()).watermarks(strategy());
    let counts = env
        .source("left", left.clone())
        .watermarks(strategy())
        .union(other)
        .key_by(|(key, _)| *key)
        .window(Tumbling::of(Duration::from_millis(10)))
        .aggregate("counts", Count::new())
        .map(|count| (count.window.end.0, count.value))
        .collect("counts-out");
    let mut steps = JobSteps::start(env.build().unwrap(), feeds, |options| options.parallelism(2)).unwrap();
    left.push([(1, 1), (1, 25)]);
    steps.step().unwrap();
    assert_eq!(counts.sorted(), [], "the other input holds event time back");
    right.push([(1, 3), (1, 12)]);
    steps.step().unwrap();
    assert_eq!(counts.sorted(), [(10, 2)]);
    steps.finish().unwrap();
    assert_eq!(counts.sorted(), [(10, 2), (20, 1), (30, 1)]);
}

#[test]
fn a_step_of_a_job_that_fails_says_why() {
    let mut feeds = Feeds::new();
    let numbers = feeds.feed();
    let (job, _) = sums(&numbers);
    let mut steps = JobSteps::start(job, feeds, |options| options).unwrap();
    numbers.push([1, 13]);
    let error = steps.step().unwrap_err();
    assert!(matches!(error, Error::Failed { .. }));
    assert!(error.with_causes().contains("unlucky"), "{}", error.with_causes());
}

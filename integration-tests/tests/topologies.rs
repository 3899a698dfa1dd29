//! Topologies that invite deadlock or unbounded memory run through, with completing checkpoints.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tidegate::{JobStatus, RunOptions, prelude::*};

/// Runs a job on one and two workers with one to three slots; every run must finish and have taken checkpoints.
fn run_everywhere(build: impl Fn(&Env) -> Collected<u64>, expected: &[u64]) {
    for (workers, slots) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)] {
        let (collected, status) = run(&build, workers, slots);
        assert_eq!(collected, expected, "{workers} workers × {slots} slots");
        assert!(
            status.completed_checkpoints > 0,
            "{workers} workers × {slots} slots took no checkpoint"
        );
    }
}

fn run(build: impl Fn(&Env) -> Collected<u64>, workers: u32, slots: u32) -> (Vec<u64>, JobStatus) {
    let env = Env::new("topology");
    let collected = build(&env);
    let options = RunOptions::in_memory()
        .workers(workers)
        .parallelism(slots)
        .checkpoint_interval(Duration::from_millis(5));
    let running = env
        .build()
        .expect("the job is valid")
        .start(options)
        .expect("the job starts");
    let status = running.wait_until(|_| false);
    running.join().expect("the job finishes");
    (collected.sorted(), status)
}

fn numbers(env: &Env, count: u64) -> Stream<u64> {
    env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence).count(count),
    )
}

#[test]
fn a_diamond_on_one_thread() {
    let mut expected: Vec<u64> = (0..50_000).flat_map(|n| [n, n + 1]).collect();
    expected.sort_unstable();
    run_everywhere(
        |env| {
            let source = numbers(env, 50_000);
            let left = source.clone().map(|n| n);
            let right = source.map(|n| n + 1);
            left.union(right).map(|n| n).collect("out")
        },
        &expected,
    );
}

#[test]
fn a_diamond_of_exchanges() {
    let mut expected: Vec<u64> = (0..50_000).flat_map(|n| [n, n]).collect();
    expected.sort_unstable();
    run_everywhere(
        |env| {
            let source = numbers(env, 50_000);
            let left = source.clone().rebalance().map(|n| n).global().map(|n| n);
            let right = source.rebalance().map(|n| n);
            left.rebalance().union(right).map(|n| n).collect("out")
        },
        &expected,
    );
}

#[test]
fn broadcast_and_keyed_between_the_same_tasks() {
    const COUNT: u64 = 20_000;
    for (workers, slots) in [(1, 2), (2, 1), (2, 2)] {
        let tasks = u64::from(workers * slots);
        let (collected, _) = run(
            |env| {
                let source = numbers(env, COUNT);
                let everywhere = source.clone().broadcast().into_stream().map(|_| 1);
                let keyed = source
                    .key_by(|n| n % 13)
                    .fold("count", || 0u64, |count, _| *count += 1, Emit::AtEnd)
                    .map(|count| count.value);
                everywhere
                    .union(keyed)
                    .key_by(|_| 0u64)
                    .reduce("total", |a, b| *a += b, Emit::AtEnd)
                    .map(|total| total.value)
                    .collect("out")
            },
            workers,
            slots,
        );
        assert_eq!(collected, [COUNT * tasks + COUNT], "{workers} × {slots}");
    }
}

#[test]
fn a_flat_map_that_multiplies_by_a_hundred_thousand() {
    // A hundred thousand records from each of forty; what is alive at any time is counted.
    static ALIVE: AtomicU64 = AtomicU64::new(0);
    static MOST: AtomicU64 = AtomicU64::new(0);

    for (workers, slots) in [(1, 1), (1, 2), (2, 1)] {
        ALIVE.store(0, Relaxed);
        MOST.store(0, Relaxed);
        let (collected, status) = run(
            |env| {
                numbers(env, 40)
                    .flat_map(|n| {
                        (0..100_000u64).map(move |i| {
                            let alive = ALIVE.fetch_add(1, Relaxed) + 1;
                            MOST.fetch_max(alive, Relaxed);
                            n * 100_000 + i
                        })
                    })
                    .rebalance()
                    .inspect(|_| {
                        ALIVE.fetch_sub(1, Relaxed);
                    })
                    .key_by(|n| n % 7)
                    .fold("sum", || 0u64, |sum, n| *sum = sum.wrapping_add(n), Emit::AtEnd)
                    .map(|sum| sum.value)
                    .collect("out")
            },
            workers,
            slots,
        );
        let mut expected = [0u64; 7];
        (0..4_000_000u64).for_each(|n| expected[(n % 7) as usize] += n);
        expected.sort_unstable();
        assert_eq!(collected, expected);
        let most = MOST.load(Relaxed);
        assert!(
            most < 400_000,
            "{most} records were alive at once on {workers} × {slots}"
        );
        assert!(status.completed_checkpoints > 0);
    }
}

#[test]
fn a_consumer_a_hundred_times_slower() {
    static AHEAD: AtomicU64 = AtomicU64::new(0);
    static MOST_AHEAD: AtomicU64 = AtomicU64::new(0);

    for (workers, slots) in [(1, 1), (1, 2), (2, 1)] {
        AHEAD.store(0, Relaxed);
        MOST_AHEAD.store(0, Relaxed);
        let work = Arc::new(AtomicU64::new(0));
        let (collected, status) = run(
            |env| {
                let work = Arc::clone(&work);
                numbers(env, 200_000)
                    .inspect(|_| {
                        let ahead = AHEAD.fetch_add(1, Relaxed) + 1;
                        MOST_AHEAD.fetch_max(ahead, Relaxed);
                    })
                    .rebalance()
                    .inspect(move |n| {
                        // Some microseconds of honest work a record.
                        let mut value = *n;
                        (0..2_000)
                            .for_each(|_| value = value.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                        work.fetch_xor(value, Relaxed);
                        AHEAD.fetch_sub(1, Relaxed);
                    })
                    .filter(|n| n % 1000 == 0)
                    .collect("out")
            },
            workers,
            slots,
        );
        assert_eq!(collected.len(), 200);
        let most = MOST_AHEAD.load(Relaxed);
        assert!(
            most < 150_000,
            "the source was {most} records ahead on {workers} × {slots}"
        );
        assert!(status.completed_checkpoints > 0, "no checkpoint passed the queue");
    }
}

#[test]
fn one_record_larger_than_the_window() {
    // Six mebibytes a record; a channel's window is at most four.
    const LENGTH: usize = 6 * 1024 * 1024;
    for (workers, slots) in [(1, 2), (2, 1)] {
        let (collected, _) = run(
            |env| {
                numbers(env, 12)
                    .map(|n| vec![n as u8; LENGTH])
                    .rebalance()
                    .map(|bytes| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() / LENGTH as u64)
                    .collect("out")
            },
            workers,
            slots,
        );
        assert_eq!(collected, (0..12).collect::<Vec<_>>());
    }
}

#[test]
fn who_holds_back_whom_is_told() {
    let env = Env::new("slow");
    numbers(&env, u64::MAX)
        .rebalance()
        .inspect(|_| {
            let mut spent = std::hint::black_box(1u64);
            (0..5_000).for_each(|_| spent = std::hint::black_box(spent.rotate_left(3)));
        })
        .discard("out");
    let job = env.build().expect("the job is valid");
    let running = job
        .start(RunOptions::in_memory().parallelism(1))
        .expect("the job starts");
    // The source is chain 0, its slow consumer chain 1; counters name chains from 1 on.
    let is_told = || {
        let tasks = running.metrics();
        let source = tasks.iter().find(|task| task.is_source);
        source.is_some_and(|source| {
            source.metrics.held_back_by.get() == 2 && !source.times().backpressured.is_zero()
        })
    };
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !is_told() {
        assert!(
            std::time::Instant::now() < patience,
            "nobody was told: {:?}",
            running.metrics()
        );
        std::thread::yield_now();
    }
    running.cancel().expect("the job can be cancelled");
    running.join().expect("it ends");
}

#[test]
fn a_finished_source_does_not_stop_checkpoints_of_a_running_one() {
    let env = Env::new("mixed");
    let short = env.source(
        "short",
        GeneratorSource::new(|_seed, sequence| sequence).count(10),
    );
    let long = env.source(
        "long",
        GeneratorSource::new(|_seed, sequence| sequence).rate(10_000),
    );
    short
        .union(long)
        .key_by(|n| n % 5)
        .reduce("sums", |a, b| *a += b, Emit::EveryRecord)
        .discard("out");
    let options = RunOptions::in_memory()
        .parallelism(2)
        .checkpoint_interval(Duration::from_millis(5));
    let running = env
        .build()
        .expect("the job is valid")
        .start(options)
        .expect("the job starts");
    // The short source has ended long before the twentieth checkpoint.
    let status = running.wait_until(|status| status.completed_checkpoints >= 20);
    assert!(
        status.completed_checkpoints >= 20 && status.outcome.is_none(),
        "{status:?}"
    );
    running.suspend().expect("the job can be suspended");
    assert!(matches!(
        running.join().expect("it suspends"),
        Outcome::Suspended { .. }
    ));
}

//! Splits that are empty or have fallen silent do not hold event time, before a restore and after it, at any size; and the
//! records that come from them in time are counted.

mod scripted;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use scripted::{Scripted, Timed};
use tidegate::{options::JobStore, prelude::*};

/// How long a result may be in coming before it counts as held back for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts per window of ten milliseconds. One split goes on, a record per millisecond, until a time.
fn job(until: i64, ends: &Arc<AtomicBool>, counts: &Collected<(i64, u64)>) -> Job {
    let source = Scripted {
        splits: Arc::new(vec![
            vec![],
            vec![(0, 5)],
            (10..until).map(|time| (0, time)).collect(),
            vec![],
        ]),
        ends: Arc::clone(ends),
        per_ms: 1,
    };
    let strategy = WatermarkStrategy::monotonous()
        .event_time(|(_, time): &Timed| *time)
        .idle_after(Duration::from_millis(20));
    let env = Env::new("splits");
    env.source("records", source)
        .watermarks(strategy)
        .key_by(|(key, _)| *key)
        .window(Tumbling::of(Duration::from_millis(10)))
        .aggregate("counts", Count::new())
        .map(|count| (count.window.start.0, count.value))
        .sink("out", counts.sink());
    env.build().expect("the job is valid")
}

fn wait_for(counts: &Collected<(i64, u64)>, count: (i64, u64)) {
    let begun = Instant::now();
    while !counts.records().contains(&count) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{count:?} is held back; there is {:?}",
            counts.sorted()
        );
        std::thread::yield_now();
    }
}

#[test]
fn silent_and_empty_splits_hold_nothing_across_a_restore() {
    for (workers, slots) in [(1, 2), (1, 1), (1, 3), (2, 2)] {
        let store = JobStore::open("memory://").expect("memory is always there");
        let (ends, counts) = (Arc::new(AtomicBool::new(false)), CollectSink::new().collected());
        let options = || RunOptions::in_store(store.clone()).checkpoint_interval(Duration::from_millis(2));
        let running = job(300, &ends, &counts)
            .start(options().parallelism(2))
            .expect("the job starts");
        wait_for(&counts, (10, 10));
        running.suspend().expect("the job can be suspended");
        running.join().expect("it suspends");
        let running = job(600, &ends, &counts)
            .start(options().workers(workers).parallelism(slots))
            .expect("the job goes on");
        wait_for(&counts, (400, 10));
        ends.store(true, std::sync::atomic::Ordering::SeqCst);
        running.join().expect("the job ends");
        assert_eq!(
            counts.sorted(),
            std::iter::once((0, 1))
                .chain((1..60).map(|tenth| (10 * tenth, 10)))
                .collect::<Vec<_>>(),
            "{workers} × {slots}"
        );
    }
}

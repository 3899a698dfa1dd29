//! Code that waits or blocks: asynchronous calls in whole jobs, through deaths, and chains with threads of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tidegate::{FaultPoint, Faults, options::JobStore, prelude::*};

const COUNT: u64 = 4000;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn store() -> JobStore {
    JobStore::open("memory://").unwrap()
}

fn options(store: &JobStore) -> RunOptions {
    RunOptions::in_store(store.clone())
        .parallelism(2)
        .checkpoint_interval(MS(5))
}

/// Answers out of order, and fails the first time it is asked for every fiftieth number.
async fn square(number: u64, asked: Arc<Mutex<HashSet<u64>>>) -> Result<(u64, u64), String> {
    let first = asked.lock().unwrap().insert(number);
    for _ in 0..number % 7 {
        tokio::task::yield_now().await;
    }
    if number.is_multiple_of(50) && first {
        return Err("busy".to_owned());
    }
    Ok((number, number * number))
}

fn squares(calls: AsyncCalls, rate: u64, count: Arc<AtomicU64>) -> (Job, Collected<(u64, u64)>) {
    let env = Env::new("squares");
    let asked = Arc::<Mutex<HashSet<u64>>>::default();
    let squares = env
        .source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence)
                .count(COUNT)
                .rate(rate),
        )
        .rebalance()
        .async_map(
            "squares",
            calls.retry(RetryStrategy::fixed(3, MS(1))),
            move |number| {
                count.fetch_add(1, SeqCst);
                square(number, Arc::clone(&asked))
            },
        )
        .or_fail()
        .collect("out");
    (env.build().unwrap(), squares)
}

#[test]
fn asynchronous_results_count_once_wherever_the_job_dies() {
    let expected: Vec<(u64, u64)> = (0..COUNT).map(|number| (number, number * number)).collect();
    let mut deaths = 0;
    for point in FaultPoint::ALL {
        for calls in [AsyncCalls::ordered(16), AsyncCalls::unordered(16)] {
            let store = store();
            let strikes = AtomicU32::new(0);
            let faults = Faults::new(move |at| at == point && strikes.fetch_add(1, SeqCst) == 1);
            let count = Arc::<AtomicU64>::default();
            let (job, collected) = squares(calls, 20_000, Arc::clone(&count));
            let died = job.run(options(&store).faults(faults)).is_err();
            let outcome = job.run(options(&store)).unwrap();
            assert!(matches!(
                outcome,
                Outcome::Finished { .. } | Outcome::AlreadyFinished { .. }
            ));
            assert_eq!(collected.sorted(), expected, "{point:?}, {calls:?}");
            assert!(count.load(SeqCst) > COUNT, "some calls are made again");
            deaths += u32::from(died);
        }
    }
    assert!(deaths > 0, "no fault has struck");
}

#[test]
fn an_ordered_map_keeps_the_order_of_a_whole_stream() {
    let env = Env::new("ordered");
    let seen = Arc::<Mutex<Vec<u64>>>::default();
    let sink = Arc::clone(&seen);
    env.source("numbers", IteratorSource::new(|| 0..2000u64))
        .async_map("wait", AsyncCalls::ordered(8), |number| async move {
            for _ in 0..number % 5 {
                tokio::task::yield_now().await;
            }
            Ok::<_, BoxError>(number)
        })
        .or_fail()
        .for_each("out", move |number| {
            sink.lock().unwrap().push(*number);
            Ok::<(), BoxError>(())
        });
    env.build()
        .unwrap()
        .run(RunOptions::in_memory().parallelism(1))
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), Vec::from_iter(0..2000));
}

#[test]
fn no_watermark_overtakes_a_record_in_flight() {
    for calls in [AsyncCalls::ordered(32), AsyncCalls::unordered(32)] {
        let env = Env::new("windows");
        let counts = env
            .source(
                "numbers",
                GeneratorSource::new(|_seed, sequence| sequence).count(COUNT),
            )
            .watermarks(WatermarkStrategy::monotonous().event_time(|number: &u64| *number as i64))
            .async_map("wait", calls, |number| async move {
                for _ in 0..number % 11 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, BoxError>(number)
            })
            .or_fail()
            .key_by(|number| number % 2)
            .window(Tumbling::of(MS(100)))
            .aggregate("counts", Count::new())
            .map(|count| count.value)
            .collect("out");
        env.build()
            .unwrap()
            .run(RunOptions::in_memory().checkpoint_interval(MS(5)))
            .unwrap();
        // Were a record late it would be missing here.
        assert_eq!(counts.sorted(), vec![50; 2 * COUNT as usize / 100], "{calls:?}");
    }
}

#[test]
fn a_checkpoint_does_not_wait_for_a_call() {
    let env = Env::new("never");
    env.source("numbers", IteratorSource::new(|| 0..1000u64))
        .async_map("stuck", AsyncCalls::ordered(4).no_timeout(), |_| {
            std::future::pending::<Result<u64, BoxError>>()
        })
        .or_fail()
        .discard("out");
    let running = env
        .build()
        .unwrap()
        .start(RunOptions::in_memory().parallelism(1).checkpoint_interval(MS(5)))
        .unwrap();
    let status = running.wait_until(|status| status.completed_checkpoints >= 2);
    assert!(status.completed_checkpoints >= 2, "{status:?}");
    running.cancel().unwrap();
    assert!(matches!(running.join().unwrap(), Outcome::Canceled { .. }));
}

#[test]
fn a_call_that_takes_too_long_is_refused_while_nothing_else_happens() {
    let env = Env::new("timeout");
    let (answered, refused) = env
        .source("numbers", IteratorSource::new(|| 0..3u64))
        .async_map(
            "stuck",
            AsyncCalls::ordered(1).timeout(MS(20)),
            |number| async move {
                if number == 1 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, BoxError>(number)
            },
        )
        .with_dead_letters();
    let (answered, refused) = (answered.collect("answered"), refused.collect("refused"));
    env.build().unwrap().run(RunOptions::in_memory()).unwrap();
    assert_eq!(answered.sorted(), [0, 2]);
    let refused = refused.records();
    assert_eq!((refused.len(), refused[0].record), (1, 1));
    assert_eq!(refused[0].error, "the call did not answer within 20ms");
}

/// Counts, and lets others wait for a count.
#[derive(Clone, Default)]
struct Meter(Arc<(Mutex<u64>, Condvar)>);

impl Meter {
    fn add(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    /// Whether so many have been counted in time; a minute is for ever.
    fn waits_for(&self, count: u64) -> bool {
        let counted = self.0.0.lock().unwrap();
        let waited = self
            .0
            .1
            .wait_timeout_while(counted, Duration::from_secs(60), |counted| *counted < count);
        !waited.unwrap().1.timed_out()
    }
}

#[test]
fn a_blocking_chain_does_not_hold_up_another_one_of_its_slot() {
    let env = Env::new("blocking");
    let meter = Meter::default();
    // The blocking chain waits for all that the other one, on the same slot, has to do.
    let (waits, adds) = (meter.clone(), meter);
    let waited = env
        .source("one", IteratorSource::new(|| 0..1u64))
        .blocking()
        .map(move |_| waits.waits_for(COUNT))
        .collect("waited");
    let counted = env
        .source("many", IteratorSource::new(|| 0..COUNT))
        .inspect(move |_| adds.add())
        .collect("counted");
    env.build()
        .unwrap()
        .run(RunOptions::in_memory().parallelism(1))
        .unwrap();
    assert_eq!(waited.sorted(), [true]);
    assert_eq!(counted.len() as u64, COUNT);
}

#[test]
fn a_job_with_a_blocking_chain_takes_checkpoints_and_counts_once_through_deaths() {
    for point in [
        FaultPoint::BeforeFreeze,
        FaultPoint::AfterClaim,
        FaultPoint::MidCommit,
    ] {
        let store = store();
        let build = || {
            let env = Env::new("blocking");
            let sums = env
                .source(
                    "numbers",
                    GeneratorSource::new(|_seed, sequence| sequence)
                        .count(1000)
                        .rate(5000),
                )
                .blocking()
                .map(|number| {
                    std::thread::sleep(Duration::from_micros(100));
                    number
                })
                .key_by(|number| number % 3)
                .aggregate("sums", Sum::of(|number: &u64| *number), Emit::AtEnd)
                .map(|sum| (sum.key, sum.value))
                .collect("out");
            (env.build().unwrap(), sums)
        };
        let strikes = AtomicU32::new(0);
        let faults = Faults::new(move |at| at == point && strikes.fetch_add(1, SeqCst) == 1);
        let (job, sums) = build();
        let running = job.start(options(&store).faults(faults)).unwrap();
        let status = running.wait_until(|status| status.completed_checkpoints >= 2);
        let died = running.join().is_err();
        assert!(died || status.completed_checkpoints >= 2, "{status:?}");
        let _ = job.run(options(&store)).unwrap();
        let expected: Vec<(u64, u64)> = (0..3)
            .map(|key| (key, (0..1000).filter(|number| number % 3 == key).sum()))
            .collect();
        assert_eq!(sums.sorted(), expected, "{point:?}");
    }
}

#[test]
fn the_faults_of_a_run_strike_in_the_commits_of_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let job = Job::build("files", |env| {
        env.source("numbers", IteratorSource::new(|| 0..5000u64))
            .sink("out", FileSink::lines(directory.path()).max_part_bytes(1000));
        Ok(())
    })
    .unwrap();
    let store = store();
    let faults = Faults::new(|at| at == FaultPoint::MidCommit);
    let died = job.run(options(&store).parallelism(1).faults(faults.clone()));
    assert!(died.is_err() && faults.is_dead(), "{died:?}");
    job.run(options(&store).parallelism(1)).unwrap();
    let mut lines: Vec<u64> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines()
                .map(|line| line.parse().unwrap())
                .collect::<Vec<u64>>()
        })
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, Vec::from_iter(0..5000));
}

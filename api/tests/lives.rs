//! Jobs that stop and go on: suspended, saved, restarted, at another size.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tidegate::{
    FaultPoint, Faults,
    options::{JobStore, StartSetting},
    prelude::*,
};

const COUNT: u64 = 20_000;
const KEYS: u64 = 7;

/// Sums 20 000 numbers by key while checkpoints come as fast as they can.
fn sums(env: &Env, rate: Option<u64>) -> Collected<(u64, u64)> {
    let generator = GeneratorSource::new(|_seed, sequence| sequence).count(COUNT);
    let generator = match rate {
        Some(rate) => generator.rate(rate),
        None => generator,
    };
    env.source("numbers", generator)
        .key_by(|number| number % KEYS)
        .aggregate("sums", Sum::of(|number: &u64| *number), Emit::AtEnd)
        .map(|sum| (sum.key, sum.value))
        .collect("out")
}

fn expected() -> Vec<(u64, u64)> {
    (0..KEYS)
        .map(|key| (key, (0..COUNT).filter(|number| number % KEYS == key).sum()))
        .collect()
}

fn job(rate: Option<u64>) -> (Job, Collected<(u64, u64)>) {
    let env = Env::new("sums");
    let collected = sums(&env, rate);
    (env.build().unwrap(), collected)
}

fn store() -> JobStore {
    JobStore::open("memory://").unwrap()
}

fn options(store: &JobStore) -> RunOptions {
    RunOptions::in_store(store.clone())
        .parallelism(2)
        .checkpoint_interval(Duration::from_millis(10))
}

/// Starts a slow job and waits until it has a checkpoint behind it.
fn half_way(store: &JobStore) -> RunningJob {
    let running = job(Some(5000)).0.start(options(store)).unwrap();
    running.wait_until(|status| status.completed_checkpoints >= 2);
    running
}

#[test]
fn a_suspended_job_goes_on_at_every_other_size() {
    for (workers, slots) in [(1, 1), (1, 2), (1, 3), (2, 2)] {
        let store = store();
        let running = half_way(&store);
        running.suspend().unwrap();
        assert!(matches!(
            running.join().unwrap(),
            Outcome::Suspended { epoch: Some(_) }
        ));
        let (job, collected) = job(None);
        let outcome = job
            .run(options(&store).workers(workers).parallelism(slots))
            .unwrap();
        assert!(matches!(outcome, Outcome::Finished { .. }));
        assert_eq!(collected.sorted(), expected(), "{workers} × {slots}");
    }
}

#[test]
fn a_finished_job_says_so_and_starts_anew_when_told() {
    let store = store();
    job(None).0.run(options(&store)).unwrap();
    let (again, collected) = job(None);
    assert!(matches!(
        again.run(options(&store)).unwrap(),
        Outcome::AlreadyFinished { .. }
    ));
    let fresh = options(&store).start(StartSetting::Fresh);
    assert!(matches!(again.run(fresh).unwrap(), Outcome::Finished { .. }));
    assert_eq!(collected.sorted(), expected());
}

#[test]
fn a_savepoint_is_taken_listed_and_started_from() {
    let store = store();
    let running = half_way(&store);
    let savepoint = running.savepoint("half-way").unwrap();
    assert_eq!(savepoint.name, "half-way");
    let taken = running.savepoint("half-way").unwrap_err();
    assert!(taken.to_string().contains("half-way") || taken.with_causes().contains("half-way"));
    running.cancel().unwrap();
    assert!(matches!(running.join().unwrap(), Outcome::Canceled { .. }));
    let (job, collected) = job(None);
    let from = options(&store).start(StartSetting::FromSavepoint("half-way".into()));
    assert!(matches!(job.run(from).unwrap(), Outcome::Finished { .. }));
    assert_eq!(collected.sorted(), expected());
}

#[test]
fn a_job_that_dies_anywhere_goes_on() {
    for point in FaultPoint::ALL {
        let store = store();
        let strikes = std::sync::atomic::AtomicU32::new(0);
        let faults = Faults::new(move |at| {
            at == point && strikes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1
        });
        let (job, collected) = job(Some(20_000));
        // Some points are passed once or never in so short a life; then the job has simply finished.
        let died = job.run(options(&store).faults(faults)).is_err();
        let outcome = job.run(options(&store)).unwrap();
        if died {
            let ended = matches!(
                outcome,
                Outcome::Finished { .. } | Outcome::AlreadyFinished { .. }
            );
            assert!(ended, "{point:?}: {outcome:?}");
            assert_eq!(collected.sorted(), expected(), "{point:?}");
        }
    }
}

#[test]
fn state_that_no_operator_claims_is_refused_by_name_unless_it_may_go() {
    let store = store();
    let running = half_way(&store);
    running.suspend().unwrap();
    running.join().unwrap();
    let without_sums = Job::build("sums", |env| {
        env.source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence).count(COUNT),
        )
        .discard("out");
        Ok(())
    })
    .unwrap();
    let refused = without_sums.run(options(&store)).unwrap_err();
    assert_eq!(refused.exit_code(), tidegate::ExitCode::StateRefused);
    assert!(refused.to_string().contains("\"sums\""), "{refused}");
    let outcome = without_sums
        .run(options(&store).allow_non_restored_state(true))
        .unwrap();
    assert!(matches!(outcome, Outcome::Finished { .. }));
}

#[test]
fn state_of_another_type_is_refused_by_name() {
    let store = store();
    let running = half_way(&store);
    running.suspend().unwrap();
    running.join().unwrap();
    let signed = Job::build("sums", |env| {
        env.source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence).count(COUNT),
        )
        .key_by(|number| number % KEYS)
        .fold(
            "sums",
            String::new,
            |text, number| text.push_str(&number.to_string()),
            Emit::AtEnd,
        )
        .discard("out");
        Ok(())
    })
    .unwrap();
    let refused = signed.run(options(&store)).unwrap_err();
    assert_eq!(refused.exit_code(), tidegate::ExitCode::StateRefused, "{refused}");
    assert!(refused.to_string().contains("sums"), "{refused}");
}

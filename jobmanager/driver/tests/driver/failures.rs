//! Failing tasks, workers and checkpoints.

use tidegate_core::Epoch;
use tidegate_driver::{JobState, Outcome, RestartSettings};

use crate::harness::{Behaviour, Ledger, Process, assert_clean, memory, options, run};

#[tokio::test]
async fn a_failed_task_costs_nothing_but_time() {
    let (store, ledger) = (memory(), Ledger::default());
    let behaviour = Behaviour {
        fails_at: Some(3),
        declines: Some(2),
        ..Behaviour::default()
    };
    let process = Process::start(options(), &store, &ledger, behaviour).await;
    let status = process.handle.status();
    assert_eq!(process.end().await.unwrap().state(), JobState::Finished);
    ledger.assert_complete();
    assert_clean(&store).await;
    let status = status.borrow();
    assert_eq!((status.restarts, status.failed_checkpoints), (1, 1));
    assert!(status.exceptions[0].cause.ends_with("(counting): told to fail"));
}

#[tokio::test]
async fn a_job_without_restarts_fails_with_its_cause_and_can_be_run_again() {
    let (store, ledger) = (memory(), Ledger::default());
    let mut none = options();
    none.restart = RestartSettings::None;
    let behaviour = Behaviour {
        fails_at: Some(3),
        ..Behaviour::default()
    };
    let outcome = run(none, &store, &ledger, behaviour).await.unwrap();
    let Outcome::Failed { cause, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(cause.ends_with("told to fail"), "{cause}");
    run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
    ledger.assert_complete();
}

#[tokio::test]
async fn a_worker_that_vanishes_is_replaced() {
    let (store, ledger) = (memory(), Ledger::default());
    let mut process = Process::start(options(), &store, &ledger, Behaviour::default()).await;
    process.until(|status| status.epoch >= Some(Epoch(2))).await;
    process.kill_worker(0);
    process.until(|status| status.state != JobState::Running).await;
    process.forget_worker(0);
    process.add_worker(&store, &ledger, Behaviour::default()).await;
    assert_eq!(process.end().await.unwrap().state(), JobState::Finished);
    ledger.assert_complete();
}

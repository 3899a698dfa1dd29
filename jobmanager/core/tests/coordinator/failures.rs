//! Failures, restarts and their end.

use tidegate_coordinator::{Event, JobState};
use tidegate_core::{Epoch, Severity, WorkerId};

use crate::harness::{Job, options};

const NOTHING: [&str; 0] = [];

fn lose(job: &mut Job, worker: u32) -> Vec<String> {
    job.give(Event::WorkerLost {
        worker: WorkerId(worker),
        reason: "its process is gone".into(),
    })
}

#[test]
fn a_failed_task_restarts_the_job_from_the_tail() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.until_committed(1, 1);
    assert_eq!(
        job.failed(1, Severity::Restart),
        ["! restarting in 100", "0: stop", "1: stop"]
    );
    assert_eq!(job.coordinator.state(), JobState::Restarting);
    assert_eq!(job.failed(0, Severity::Restart), NOTHING, "one restart for both");
    assert_eq!(job.stopped(0), NOTHING);
    assert_eq!(job.stopped(1), NOTHING);
    assert_eq!(job.pass(99), NOTHING);
    assert_eq!(
        job.pass(1),
        [
            "0: deploy 2 on 2 restore n1 fresh",
            "1: deploy 2 on 2 restore n1 fresh"
        ]
    );
    job.deployed(0);
    assert_eq!(
        job.deployed(1),
        [
            "committed e1",
            "collect below e1 of e1 up to n1 but n1",
            "0: start",
            "1: start"
        ]
    );
    assert_eq!(job.pass(1000)[0], "0: trigger n2 since 1 Checkpoint");
    let status = job.coordinator.status();
    assert_eq!((status.restarts, status.exceptions.len()), (1, 2));
    assert_eq!(status.exceptions[0].cause, "task 0[1] (n0): boom");
}

#[test]
fn a_checkpoint_in_flight_dies_with_its_attempt_and_its_id_is_not_used_again() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.failed(1, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    job.pass(100);
    job.deployed(0);
    job.deployed(1);
    assert_eq!(job.pass(1000)[0], "0: trigger n2 since - Checkpoint");
}

#[test]
fn a_claim_in_flight_is_resolved_before_anything_else() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    job.written(1);
    assert_eq!(job.failed(0, Severity::Restart), ["! restarting in 100"]);
    assert_eq!(job.pass(10_000), NOTHING);
    assert_eq!(
        job.claimed(1),
        ["! n1 is e1", "0: stop", "1: stop"],
        "it is the tail; its commit is replayed by the next attempt"
    );
    job.stopped(0);
    job.stopped(1);
    assert_eq!(job.pass(100)[0], "0: deploy 2 on 2 restore n1 fresh");
    assert_eq!(job.coordinator.status().committed, None);
    job.deployed(0);
    assert_eq!(job.deployed(1)[0], "committed e1");
}

#[test]
fn a_failure_between_claim_and_commit_is_committed_by_the_next_attempt() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.until_claimed(1, 1);
    job.committed(0, 1);
    assert_eq!(job.failed(1, Severity::Restart)[1..], ["0: stop", "1: stop"]);
    assert_eq!(job.committed(1, 1), NOTHING, "too late to count");
    job.stopped(0);
    job.stopped(1);
    assert_eq!(job.pass(100)[0], "0: deploy 2 on 2 restore n1 fresh");
}

#[test]
fn a_lost_worker_is_not_waited_for_but_another_is() {
    let mut job = Job::running(options());
    assert_eq!(lose(&mut job, 1), ["! restarting in 100", "0: stop"]);
    assert_eq!(job.stopped(0), NOTHING);
    assert_eq!(job.coordinator.next_wakeup(), None);
    assert_eq!(job.pass(1000), NOTHING);
    let lines = job.attach(2);
    assert_eq!(
        lines,
        [
            "0: deploy 2 on 2 restore - fresh",
            "2: deploy 2 on 2 restore - fresh"
        ]
    );

    let mut job = Job::running(options());
    job.failed(0, Severity::Restart);
    job.stopped(0);
    assert_eq!(lose(&mut job, 1), NOTHING, "lost while stopping is stopped");
    assert_eq!(job.coordinator.state(), JobState::Restarting);
}

#[test]
fn a_worker_lost_while_deploying_restarts_too() {
    let mut job = Job::running(options());
    job.failed(0, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    job.pass(100);
    assert_eq!(lose(&mut job, 0), ["! restarting in 100", "1: stop"]);
}

#[test]
fn the_strategy_gives_up_and_some_failures_are_final() {
    let mut job = Job::running(options());
    for _ in 0..2 {
        job.failed(0, Severity::Restart);
        job.stopped(0);
        job.stopped(1);
        job.pass(100);
        job.deployed(0);
        job.deployed(1);
    }
    assert_eq!(job.failed(0, Severity::Restart), ["0: stop", "1: stop"]);
    assert_eq!(job.coordinator.state(), JobState::Failing);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["failed, uncommitted -: task 0[0] (n0): boom"]);

    let mut job = Job::running(options());
    job.pass(1000);
    job.until_claimed(1, 1);
    assert_eq!(job.failed(0, Severity::FailJob), ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(
        job.stopped(1),
        ["failed, uncommitted 1: task 0[0] (n0): boom"],
        "the next run will commit"
    );
    assert_eq!(
        job.give(Event::Wakeup),
        NOTHING,
        "after the end nothing has any effect"
    );
}

#[test]
fn a_final_failure_while_restarting_is_final() {
    let mut job = Job::running(options());
    job.failed(0, Severity::Restart);
    job.failed(1, Severity::FailJob);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["failed, uncommitted -: task 0[1] (n0): boom"]);
}

#[test]
fn tasks_that_do_not_stop_end_the_job() {
    let mut job = Job::running(options());
    job.failed(0, Severity::Restart);
    job.stopped(0);
    assert_eq!(job.pass(2999), NOTHING);
    let lines = job.pass(1);
    assert!(
        lines[0].starts_with("failed, uncommitted -: workers 1 did not stop their tasks within 3s"),
        "{lines:?}"
    );
}

#[test]
fn the_history_of_exceptions_is_bounded() {
    let mut job = Job::running(options());
    for _ in 0..100 {
        job.failed(0, Severity::Restart);
    }
    assert_eq!(job.coordinator.status().exceptions.len(), 32);
    assert_eq!(job.coordinator.status().epoch, None::<Epoch>);
}

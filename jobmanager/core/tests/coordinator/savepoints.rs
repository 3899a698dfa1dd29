//! Savepoints: claimed like any other checkpoint, then copied.

use tidegate_coordinator::{Event, RequestId, SavepointError, SavepointInfo};
use tidegate_core::{CheckpointId, Epoch, Severity};

use crate::harness::{Job, options};

const NOTHING: [&str; 0] = [];

fn exported(job: &mut Job, request: u64) -> Vec<String> {
    let info = SavepointInfo {
        name: "a".into(),
        location: "savepoints/a".into(),
        checkpoint: CheckpointId(1),
        epoch: Epoch(1),
        size: 1,
        written_at_ms: 0,
    };
    job.give(Event::SavepointExported {
        request: RequestId(request),
        result: Ok(info),
    })
}

#[test]
fn a_savepoint_is_taken_at_once_committed_and_then_copied() {
    let mut job = Job::running(options());
    assert_eq!(
        job.request(1, "a"),
        [
            "0: trigger n1 since - Savepoint",
            "1: trigger n1 since - Savepoint"
        ]
    );
    assert_eq!(
        job.until_claimed(1, 1)[1..],
        ["0: commit n1 e1", "1: commit n1 e1"]
    );
    job.committed(0, 1);
    assert_eq!(
        job.committed(1, 1),
        [
            "committed e1",
            "export 1 a e1",
            "collect below e1 of e1 up to n1 but n1"
        ]
    );
    // While it is copied its segments are kept, however far the chain goes on.
    for n in 2..=4 {
        job.pass(1000);
        job.until_claimed(n, n);
        job.committed(0, n);
        let lines = job.committed(1, n);
        assert!(lines[1].contains("but n1"), "{lines:?}");
    }
    assert_eq!(exported(&mut job, 1), ["answer 1 savepoints/a"]);
    job.pass(1000);
    job.until_claimed(5, 5);
    job.committed(0, 5);
    assert_eq!(
        job.committed(1, 5)[1],
        "collect below e4 of e5 up to n5 but n4 n5"
    );
}

#[test]
fn savepoints_wait_for_the_checkpoint_in_flight_and_for_one_another() {
    let mut job = Job::running(options());
    job.pass(1000);
    assert_eq!(job.request(1, "a"), NOTHING);
    assert_eq!(job.request(2, "b"), NOTHING);
    job.until_claimed(1, 1);
    job.committed(0, 1);
    assert_eq!(job.committed(1, 1)[2], "0: trigger n2 since 1 Savepoint");
    job.until_claimed(2, 2);
    job.committed(0, 2);
    let lines = job.committed(1, 2);
    assert_eq!(lines[1], "export 1 a e2");
    assert_eq!(lines[3], "0: trigger n3 since 2 Savepoint");
}

#[test]
fn a_savepoint_that_fails_is_refused_and_does_not_count_against_the_job() {
    let mut job = Job::running(options());
    for request in 1..5 {
        job.request(request, "a");
        let lines = job.declined(0, request);
        assert_eq!(
            lines[2],
            format!("refuse {request} savepoint \"a\" was not taken: worker 0 declined it: disk full")
        );
        job.pass(100);
    }
    assert_eq!(job.coordinator.status().restarts, 0);
    job.request(9, "a");
    let lines = job.failed(0, Severity::Restart);
    assert!(lines[1].starts_with("refuse 9"), "{lines:?}");
}

#[test]
fn a_claimed_savepoint_survives_a_failure_before_its_commit() {
    let mut job = Job::running(options());
    job.request(1, "a");
    job.until_claimed(1, 1);
    job.failed(0, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    job.pass(100);
    job.deployed(0);
    assert_eq!(job.deployed(1)[..2], ["committed e1", "export 1 a e1"]);
}

#[test]
fn a_suspend_with_savepoint_ends_when_it_is_copied() {
    let mut job = Job::running(options());
    assert_eq!(
        job.suspend(Some("a"))[0],
        "0: trigger n1 since - SuspendWithSavepoint"
    );
    let lines = job.request(5, "b");
    assert_eq!(
        lines,
        ["refuse 5 savepoint \"b\" was not taken: the job is being suspended; start the job and ask again"]
    );
    job.until_claimed(1, 1);
    job.committed(0, 1);
    assert_eq!(
        job.committed(1, 1)[1..],
        [
            "export 99 a e1",
            "collect below e1 of e1 up to n1 but n1",
            "0: stop",
            "1: stop"
        ]
    );
    job.stopped(0);
    assert_eq!(job.stopped(1), NOTHING, "the copy is waited for");
    assert_eq!(
        exported(&mut job, 99),
        ["answer 99 savepoints/a", "suspended at 1"]
    );
}

#[test]
fn what_cannot_be_taken_any_more_is_answered() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.request(1, "a");
    job.give(Event::CancelRequested);
    job.stopped(0);
    let lines = job.stopped(1);
    assert_eq!(
        lines[0],
        "refuse 1 savepoint \"a\" was not taken: the job is canceled; start the job and ask again"
    );
    assert!(job.request(2, "b")[0].starts_with("refuse 2"));
    assert!(job.suspend(Some("c"))[0].starts_with("refuse 99"));

    let mut job = Job::running(options());
    job.pass(1000);
    for request in 0..16 {
        job.request(request, "a");
    }
    assert_eq!(
        job.request(16, "a"),
        ["refuse 16 savepoint \"a\" was not taken: 16 others are waiting; ask again when they are done"]
    );
}

#[test]
fn a_copy_that_fails_is_told() {
    let mut job = Job::running(options());
    job.request(1, "a");
    job.until_committed(1, 1);
    let result = Err(SavepointError::Export {
        name: "a".into(),
        reason: "no room".into(),
    });
    let request = RequestId(1);
    assert_eq!(
        job.give(Event::SavepointExported { request, result }),
        ["refuse 1 savepoint \"a\" could not be copied: no room"]
    );
}

//! One checkpoint after the other.

use std::time::Duration;

use tidegate_coordinator::{Event, RestartStrategy, StoreStep};
use tidegate_core::{
    Attempt, BarrierKind, CheckpointId, Epoch, ProcessingTime, Severity, WorkerId,
    control::{WorkerReport, WorkerSnapshot},
};

use crate::harness::{Job, options, task};

const NOTHING: [&str; 0] = [];

#[test]
fn acknowledged_written_claimed_committed() {
    let mut job = Job::running(options());
    assert_eq!(
        job.pass(1000),
        [
            "0: trigger n1 since - Checkpoint",
            "1: trigger n1 since - Checkpoint"
        ]
    );
    assert_eq!(job.acknowledged(1, 1), NOTHING);
    assert_eq!(job.acknowledged(0, 1), ["write n1 e1 Checkpoint"]);
    assert_eq!(job.written(1), ["claim e1 Checkpoint n1 g1 floor 1 fresh"]);
    assert_eq!(
        job.claimed(1),
        ["! n1 is e1", "0: commit n1 e1", "1: commit n1 e1"]
    );
    assert_eq!(job.committed(0, 1), NOTHING);
    assert_eq!(job.pass(5000), NOTHING, "the next waits for the commit");
    assert_eq!(
        job.committed(1, 1),
        [
            "committed e1",
            "collect below e1 of e1 up to n1 but n1",
            "0: trigger n2 since 1 Checkpoint",
            "1: trigger n2 since 1 Checkpoint"
        ]
    );
    let status = job.coordinator.status();
    assert_eq!(status.committed, Some(Epoch(1)));
    assert_eq!(status.last_checkpoint.unwrap().checkpoint, CheckpointId(1));
}

#[test]
fn what_is_retained_moves_with_the_tail() {
    let mut job = Job::running(options());
    for n in 1..=3 {
        job.pass(1000);
        job.until_claimed(n, n);
        job.committed(0, n);
        let collect = job.committed(1, n).remove(1);
        let expected = match n {
            1 => "collect below e1 of e1 up to n1 but n1",
            2 => "collect below e1 of e2 up to n2 but n1 n2",
            _ => "collect below e2 of e3 up to n3 but n2 n3",
        };
        assert_eq!(collect, expected);
    }
}

#[test]
fn a_declined_checkpoint_is_aborted_and_the_next_measures_from_the_last_claimed() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.until_committed(1, 1);
    job.pass(1000);
    job.acknowledged(0, 2);
    assert_eq!(
        job.declined(1, 2),
        [
            "0: abort n2",
            "1: abort n2",
            "! n2 failed 1: worker 1 declined it: disk full"
        ]
    );
    assert_eq!(
        job.acknowledged(1, 2),
        NOTHING,
        "a late acknowledgement is ignored"
    );
    assert_eq!(job.declined(0, 2), NOTHING);
    assert_eq!(
        job.pass(1000),
        [
            "0: trigger n3 since 1 Checkpoint",
            "1: trigger n3 since 1 Checkpoint"
        ]
    );
    assert_eq!(job.acknowledged(0, 2), NOTHING, "nor does it count for the next");
    job.until_committed(3, 2);
    assert_eq!(job.coordinator.status().failed_checkpoints, 1);
}

#[test]
fn a_checkpoint_times_out_in_collecting_and_in_writing_but_not_in_claiming() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    assert_eq!(job.pass(500), ["1: explain n1"]);
    assert_eq!(
        job.explained(1, 1)[..3],
        [
            "0: abort n1",
            "1: abort n1",
            "! n1 failed 1: it was not acknowledged within 500ms: worker 1: task 0[1] (n0) waits for the barrier from \
             task 0[2] (n0) on input 0, 1 of its 2 channels"
        ]
    );
    job.pass(500);
    job.acknowledged(0, 2);
    job.acknowledged(1, 2);
    let lines = job.pass(500);
    assert_eq!(
        lines[2],
        "! n2 failed 2: its manifest was not written within 500ms"
    );
    assert_eq!(job.written(2), NOTHING, "the candidate came too late");

    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    job.written(1);
    assert_eq!(
        job.pass(60_000),
        NOTHING,
        "only the store can say whether the claim has won"
    );
    assert_eq!(job.claimed(1).len(), 3);
}

#[test]
fn an_overdue_checkpoint_waits_a_bounded_time_for_its_explanation() {
    let explained =
        "worker 1: task 0[1] (n0) waits for the barrier from task 0[2] (n0) on input 0, 1 of its 2 channels";
    type Answer = fn(&mut Job) -> Vec<String>;
    // What comes while answers are waited for, and what the cause says in the end.
    let cases: [(&[Answer], String); 5] = [
        (
            &[],
            "worker 0 did not say what it waits for; worker 1 did not say what it waits for".into(),
        ),
        (
            &[|job| job.explained(1, 1)],
            format!("{explained}; worker 0 did not say what it waits for"),
        ),
        (
            &[|job| job.acknowledged(0, 1), |job| job.explained(1, 1)],
            format!("worker 0 acknowledged it too late; {explained}"),
        ),
        (
            &[|job| job.acknowledged(1, 1), |job| job.acknowledged(0, 1)],
            "worker 0 acknowledged it too late; worker 1 acknowledged it too late".into(),
        ),
        // What is of another checkpoint, of nobody, or said twice is no answer.
        (
            &[
                |job| job.explained(1, 7),
                |job| job.explained(5, 1),
                |job| job.explained(1, 1),
                |job| job.acknowledged(1, 1),
            ],
            format!("{explained}; worker 0 did not say what it waits for"),
        ),
    ];
    for (answers, expected) in cases {
        let mut job = Job::running(options());
        job.pass(1000);
        assert_eq!(job.pass(499), NOTHING);
        assert_eq!(job.pass(1), ["0: explain n1", "1: explain n1"]);
        let mut lines: Vec<String> = answers.iter().flat_map(|answer| answer(&mut job)).collect();
        if lines.is_empty() {
            assert_eq!(job.pass(999), NOTHING);
            lines = job.pass(1);
        }
        assert_eq!(lines[..2], ["0: abort n1", "1: abort n1"], "{expected}");
        assert!(
            lines[2].starts_with("! n1 failed 1: it was not acknowledged within 500ms: ")
                && lines[2].ends_with(&expected),
            "{:?} does not end with {expected:?}",
            lines[2]
        );
        let failures = job.coordinator.status().checkpoint_failures;
        assert_eq!(failures.len(), 1);
        assert!(failures[0].reason.ends_with(&expected));
        assert_eq!(failures[0].triggered_at, ProcessingTime(1000));
    }
}

#[test]
fn an_overdue_checkpoint_that_is_declined_or_lost_with_its_attempt_needs_no_explanation() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.pass(500);
    let lines = job.declined(0, 1);
    assert_eq!(lines[2], "! n1 failed 1: worker 0 declined it: disk full");
    assert_eq!(job.explained(1, 1), NOTHING);

    let mut job = Job::running(options());
    job.pass(1000);
    job.pass(500);
    let lines = job.failed(0, Severity::Restart);
    assert_eq!(lines, ["! restarting in 100", "0: stop", "1: stop"]);
    assert_eq!(job.explained(1, 1), NOTHING);
}

#[test]
fn the_job_fails_with_what_its_last_checkpoint_waited_for() {
    let mut options = options();
    options.restart = RestartStrategy::None;
    options.checkpoints.tolerable_failures = 0;
    let mut job = Job::running(options);
    job.pass(1000);
    job.acknowledged(0, 1);
    job.pass(500);
    job.explained(1, 1);
    job.stopped(0);
    assert_eq!(
        job.stopped(1),
        [
            "failed, uncommitted -: 1 checkpoints in a row have failed, the last one because it was not acknowledged \
             within 500ms: worker 1: task 0[1] (n0) waits for the barrier from task 0[2] (n0) on input 0, 1 of its 2 channels"
        ]
    );
}

#[test]
fn too_many_failures_in_a_row_restart_the_job_and_a_success_forgives() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.declined(0, 1);
    job.pass(1000);
    job.until_committed(2, 1);
    job.pass(1000);
    job.declined(0, 3);
    job.pass(1000);
    let lines = job.declined(0, 4);
    assert_eq!(
        lines[2..],
        [
            "! n4 failed 2: worker 0 declined it: disk full",
            "! restarting in 100",
            "0: stop",
            "1: stop"
        ]
    );
}

#[test]
fn a_manifest_that_cannot_be_written_is_a_failed_checkpoint() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    let lines = job.give(Event::ManifestFailed {
        checkpoint: CheckpointId(1),
        reason: "no room".into(),
    });
    assert_eq!(
        lines,
        [
            "0: abort n1",
            "1: abort n1",
            "! n1 failed 1: its manifest could not be written: no room"
        ]
    );
}

#[test]
fn an_unresolved_claim_is_tried_again_with_the_same_record() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    let claim = job.written(1);
    job.now += 50;
    let again = job.give(Event::EpochUnresolved {
        epoch: Epoch(1),
        reason: "timeout".into(),
    });
    assert_eq!(again, ["! e1 unresolved".to_owned(), claim[0].clone()]);
    assert_eq!(job.claimed(1).len(), 3);
}

#[test]
fn an_unreadable_rival_record_ends_the_job() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    job.written(1);
    let lines = job.give(Event::StoreFailed {
        step: StoreStep::ClaimEpoch,
        reason: "epochs/1 is corrupt".into(),
    });
    assert_eq!(lines, ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["failed, uncommitted -: epochs/1 is corrupt"]);
}

#[test]
fn a_lost_claim_never_commits() {
    for (generation, end) in [(2, "fenced at 1 by 2"), (0, "read chain")] {
        let mut job = Job::running(options());
        job.pass(1000);
        job.acknowledged(0, 1);
        job.acknowledged(1, 1);
        job.written(1);
        let lines = job.lost(1, generation);
        assert_eq!(lines[lines.len() - 2..], ["0: stop", "1: stop"]);
        job.stopped(0);
        assert_eq!(job.stopped(1), [end]);
    }
}

#[test]
fn the_minimum_pause_is_kept() {
    let mut paused = options();
    paused.checkpoints.minimum_pause = Duration::from_millis(800);
    let mut job = Job::running(paused);
    job.pass(1000);
    job.until_claimed(1, 1);
    job.now += 700;
    job.committed(0, 1);
    job.committed(1, 1);
    assert_eq!(job.pass(799), NOTHING);
    assert_eq!(job.pass(1).len(), 2);
}

#[test]
fn a_checkpoint_without_all_tasks_is_refused() {
    let mut job = Job::running(options());
    job.pass(1000);
    let attempt = job.attempt;
    for (worker, tasks) in [(0, vec![task(0, false)]), (1, vec![])] {
        let snapshot = Box::new(WorkerSnapshot {
            segments: vec![],
            tasks,
        });
        let lines = job.report(
            worker,
            WorkerReport::Acknowledged {
                attempt,
                checkpoint: CheckpointId(1),
                snapshot,
            },
        );
        if worker == 1 {
            assert_eq!(
                lines[2],
                "! n1 failed 1: no worker acknowledged task 0[1]; it would be lost from the checkpoint"
            );
        }
    }
}

#[test]
fn reports_of_another_attempt_or_of_strangers_are_ignored() {
    let mut job = Job::running(options());
    job.pass(1000);
    for attempt in [Attempt(job.attempt.0 - 1), Attempt(job.attempt.0 + 1)] {
        let snapshot = Box::new(WorkerSnapshot {
            segments: vec![],
            tasks: vec![task(0, false)],
        });
        let checkpoint = CheckpointId(1);
        let acknowledged = WorkerReport::Acknowledged {
            attempt,
            checkpoint,
            snapshot,
        };
        let reason = String::new();
        let declined = WorkerReport::Declined {
            attempt,
            checkpoint,
            reason,
        };
        for report in [acknowledged, declined, WorkerReport::Stopped { attempt }] {
            assert_eq!(job.report(0, report), NOTHING);
        }
    }
    assert_eq!(job.acknowledged(7, 1), NOTHING);
    assert_eq!(job.acknowledged(0, 1), NOTHING);
    assert_eq!(job.acknowledged(1, 1), ["write n1 e1 Checkpoint"]);
}

#[test]
fn kinds_say_what_they_are() {
    assert!(BarrierKind::Savepoint.is_full() && !BarrierKind::Suspend.is_full());
    let mut job = Job::running(options());
    job.pass(1000);
    let lines = job.give(Event::WorkerLost {
        worker: WorkerId(5),
        reason: "unknown".into(),
    });
    assert_eq!(lines, NOTHING, "a worker without a part in it changes nothing");
}

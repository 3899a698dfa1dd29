//! The ways in which a job ends on purpose.

use tidegate_coordinator::{Event, JobState};
use tidegate_core::{Epoch, Severity};

use crate::harness::{Job, options};

const NOTHING: [&str; 0] = [];

#[test]
fn the_end_of_all_input_is_a_final_checkpoint_at_once() {
    let mut job = Job::running(options());
    job.now = 10;
    assert_eq!(job.ended(0), NOTHING);
    assert_eq!(
        job.ended(1),
        [
            "0: trigger n1 since - Checkpoint",
            "1: trigger n1 since - Checkpoint"
        ]
    );
    job.acknowledged_as(0, 1, true);
    assert_eq!(
        job.acknowledged_as(1, 1, true),
        ["write n1 e1 Checkpoint finished"]
    );
    job.written(1);
    assert_eq!(job.claimed(1)[1..], ["0: commit n1 e1", "1: commit n1 e1"]);
    job.committed(0, 1);
    assert_eq!(
        job.committed(1, 1),
        [
            "committed e1",
            "collect below e1 of e1 up to n1 but n1",
            "0: stop",
            "1: stop"
        ]
    );
    job.stopped(0);
    assert_eq!(job.stopped(1), ["finished at 1"]);
    assert_eq!(job.coordinator.state(), JobState::Finished);
}

#[test]
fn a_checkpoint_under_way_at_the_end_of_input_is_followed_by_the_final_one() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.ended(0);
    job.ended(1);
    job.until_claimed(1, 1);
    job.committed(0, 1);
    assert_eq!(job.committed(1, 1)[2], "0: trigger n2 since 1 Checkpoint");
}

#[test]
fn a_final_checkpoint_that_fails_is_tried_again_after_a_pause() {
    let mut job = Job::running(options());
    job.ended(0);
    job.ended(1);
    assert_eq!(job.declined(0, 1).len(), 3);
    assert_eq!(job.pass(99), NOTHING);
    assert_eq!(job.pass(1)[0], "0: trigger n2 since - Checkpoint");
}

#[test]
fn suspending_is_a_checkpoint_and_no_end_of_input() {
    let mut job = Job::running(options());
    assert_eq!(
        job.suspend(None),
        ["0: trigger n1 since - Suspend", "1: trigger n1 since - Suspend"]
    );
    job.until_claimed(1, 1);
    job.committed(0, 1);
    assert_eq!(job.committed(1, 1)[2..], ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["suspended at 1"]);
}

#[test]
fn a_suspend_survives_failures() {
    // Before the claim: the next attempt holds what the tail holds, and nothing has been read since.
    let mut job = Job::running(options());
    job.suspend(None);
    job.failed(0, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    job.pass(100);
    job.deployed(0);
    assert_eq!(job.deployed(1), ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["suspended at -"]);

    // After the claim: the next attempt commits, then the job is suspended.
    let mut job = Job::running(options());
    job.suspend(None);
    job.until_claimed(1, 1);
    job.failed(0, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    job.pass(100);
    job.deployed(0);
    assert_eq!(
        job.deployed(1),
        [
            "committed e1",
            "collect below e1 of e1 up to n1 but n1",
            "0: stop",
            "1: stop"
        ]
    );
}

#[test]
fn cancel_works_from_every_state() {
    let mut job = Job::new(options());
    job.give(Event::Started);
    assert_eq!(job.give(Event::CancelRequested), ["canceled, uncommitted -"]);

    // Deploying.
    let mut job = Job::new(options());
    job.give(Event::Started);
    job.attach(0);
    job.attach(1);
    job.give(Event::ChainRead(Box::default()));
    job.give(Event::GenerationCreated(tidegate_core::Generation(1)));
    assert_eq!(job.give(Event::CancelRequested), ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted -"]);

    // Running, with a checkpoint that has not been claimed.
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    assert_eq!(job.give(Event::CancelRequested), ["0: stop", "1: stop"]);
    assert_eq!(job.coordinator.state(), JobState::Cancelling);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted -"]);

    // Waiting to restart.
    let mut job = Job::running(options());
    job.pass(1000);
    job.until_claimed(1, 1);
    job.failed(0, Severity::Restart);
    job.stopped(0);
    job.stopped(1);
    assert_eq!(job.give(Event::CancelRequested), ["canceled, uncommitted 1"]);

    // Stopping in order to restart.
    let mut job = Job::running(options());
    job.failed(0, Severity::Restart);
    assert_eq!(job.give(Event::CancelRequested), NOTHING);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted -"]);
}

#[test]
fn cancel_lets_a_claimed_epoch_commit_first() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    job.written(1);
    assert_eq!(job.give(Event::CancelRequested), NOTHING);
    assert_eq!(
        job.claimed(1),
        ["! n1 is e1", "0: commit n1 e1", "1: commit n1 e1"]
    );
    job.committed(0, 1);
    assert_eq!(job.committed(1, 1)[0], "committed e1");
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted -"]);
}

#[test]
fn cancel_does_not_wait_for_ever_and_says_what_is_uncommitted() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.until_claimed(1, 1);
    assert_eq!(job.give(Event::CancelRequested), NOTHING);
    assert_eq!(job.pass(2999), NOTHING);
    assert_eq!(job.pass(1), ["0: stop", "1: stop"]);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted 1"]);

    let mut job = Job::running(options());
    job.pass(1000);
    job.until_claimed(1, 1);
    job.give(Event::CancelRequested);
    assert_eq!(
        job.failed(0, Severity::Restart),
        ["! restarting in 100", "0: stop", "1: stop"]
    );
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted 1"]);
}

#[test]
fn cancel_while_another_leader_overtakes_ends_all_the_same() {
    let mut job = Job::running(options());
    job.pass(1000);
    job.acknowledged(0, 1);
    job.acknowledged(1, 1);
    job.written(1);
    job.give(Event::CancelRequested);
    job.lost(1, 0);
    job.stopped(0);
    assert_eq!(job.stopped(1), ["canceled, uncommitted -"]);
    assert_eq!(job.coordinator.status().epoch, None::<Epoch>);
}

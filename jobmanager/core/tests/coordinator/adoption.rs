//! Going on with what outlived the former coordinator, and what must not be gone on with.

use std::time::Duration;

use tidegate_coordinator::{Chain, CoordinatorOptions, Event, JobState, Requirement};
use tidegate_core::{
    Attempt, AttemptPhase, BarrierKind, CheckpointId, Epoch, Generation, Lineage, RunningAttempt, Severity,
    WorkerId, control::WorkerReport,
};

use crate::harness::{Job, chain, options, worker_name};

const NOTHING: [&str; 0] = [];

/// Two slots, and five seconds for workers to come back.
fn adopting() -> CoordinatorOptions {
    CoordinatorOptions {
        requirement: Requirement::Slots(2),
        adoption: Some(Duration::from_secs(5)),
        ..options()
    }
}

fn attempt() -> Attempt {
    Attempt(1 << 16 | 3)
}

/// What a worker of the third attempt of generation 1 runs, which restored checkpoint 7.
fn running(worker: u32) -> RunningAttempt {
    RunningAttempt {
        generation: Generation(1),
        attempt: attempt(),
        worker: WorkerId(worker),
        phase: AttemptPhase::Running,
        claimed: Some(CheckpointId(7)),
        acknowledged: vec![],
        newest: None,
        lineage: Lineage::new("old"),
        default_parallelism: 2,
        seats: vec![WorkerId(5), WorkerId(6)],
    }
}

/// A new coordinator on a chain, to which workers come back; what follows until the chain is sealed and what was asked for is
/// done.
fn come_back(before: Chain, workers: Vec<RunningAttempt>) -> (Job, Vec<String>) {
    let mut job = Job::new(adopting());
    let tail = before.tail.is_some();
    job.give(Event::Started);
    job.give(Event::ChainRead(Box::new(before)));
    for running in workers {
        job.attach_as(running.worker.0, 1, Some(running));
    }
    let mut lines = job.give(Event::GenerationCreated(Generation(2)));
    if tail {
        lines = job.claimed(4);
    }
    job.attempt = attempt();
    (job, lines)
}

fn committed() -> Chain {
    chain(3, 7, false, Some(3))
}

#[test]
fn workers_that_hold_the_tail_go_on_without_a_restart() {
    let (mut job, lines) = come_back(committed(), vec![running(5), running(6)]);
    assert_eq!(lines, ["! adopted 3 on 2"], "nothing is restarted");
    let status = job.coordinator.status();
    assert_eq!((status.state, status.attempt), (JobState::Running, attempt()));
    assert_eq!(status.seats[1].name, worker_name(6));
    assert_eq!(status.restarts, 0);
    assert_eq!(
        job.pass(1000),
        [
            "5: trigger n8 since 7 Checkpoint",
            "6: trigger n8 since 7 Checkpoint"
        ]
    );
}

#[test]
fn what_was_pending_is_aborted_and_its_ids_are_not_used_again() {
    let mut first = running(5);
    first.acknowledged = vec![CheckpointId(9)];
    first.newest = Some(CheckpointId(9));
    let mut second = running(6);
    second.newest = Some(CheckpointId(12));
    let (mut job, lines) = come_back(committed(), vec![first, second]);
    assert_eq!(
        lines,
        [
            "! adopted 3 on 2",
            "5: abort n9",
            "6: abort n9",
            "5: abort n12",
            "6: abort n12"
        ]
    );
    assert_eq!(job.pass(1000)[0], "5: trigger n13 since 7 Checkpoint");
}

#[test]
fn a_claim_whose_commit_was_never_ordered_is_committed() {
    // The tail is checkpoint 7 of generation 1; workers have acknowledged it and know of 6 only.
    let behind = |worker| RunningAttempt {
        claimed: Some(CheckpointId(6)),
        acknowledged: vec![CheckpointId(7)],
        newest: Some(CheckpointId(7)),
        ..running(worker)
    };
    let (mut job, lines) = come_back(chain(3, 7, false, Some(2)), vec![behind(5), running(6)]);
    assert_eq!(
        lines,
        ["! adopted 3 on 2", "5: commit n7 e3", "6: commit n7 e3"],
        "as the epoch that it was written for, not as the seal's"
    );
    assert_eq!(job.pass(2000), NOTHING, "no checkpoint before that");
    assert_eq!(job.report_of(5, 7), NOTHING);
    let lines = job.report_of(6, 7);
    assert_eq!(lines[0], "committed e4");
    assert_eq!(lines.last().unwrap(), "6: trigger n8 since 7 Checkpoint");
}

#[test]
fn what_another_attempt_has_published_is_committed_by_one_that_was_not_told() {
    let behind = RunningAttempt {
        claimed: Some(CheckpointId(6)),
        acknowledged: vec![CheckpointId(7)],
        ..running(5)
    };
    let (_, lines) = come_back(committed(), vec![behind, running(6)]);
    assert_eq!(lines, ["! adopted 3 on 2", "5: commit n7 e3", "6: commit n7 e3"]);
}

impl Job {
    fn report_of(&mut self, worker: u32, checkpoint: u64) -> Vec<String> {
        let (attempt, checkpoint) = (attempt(), CheckpointId(checkpoint));
        self.report(worker, WorkerReport::Committed { attempt, checkpoint })
    }
}

#[test]
fn a_job_that_has_never_claimed_anything_is_adopted_with_its_lineage() {
    let fresh = |worker| RunningAttempt {
        claimed: None,
        lineage: Lineage::new("theirs"),
        ..running(worker)
    };
    let (mut job, lines) = come_back(Chain::default(), vec![fresh(5), fresh(6)]);
    assert_eq!(lines, ["! adopted 3 on 2"]);
    assert_eq!(job.coordinator.status().lineage, Lineage::new("theirs"));
    job.pass(1000);
    assert_eq!(job.coordinator.status().epoch, None);
}

#[test]
fn a_finished_tail_is_committed_and_the_job_ends() {
    let ended = |worker| RunningAttempt {
        phase: AttemptPhase::Ended,
        ..running(worker)
    };
    let (mut job, lines) = come_back(chain(3, 7, true, Some(2)), vec![ended(5), ended(6)]);
    assert_eq!(lines[1..], ["5: commit n7 e3", "6: commit n7 e3"]);
    job.report_of(5, 7);
    assert_eq!(job.report_of(6, 7)[2..], ["5: stop", "6: stop"]);
}

#[test]
fn a_job_whose_sources_have_ended_takes_its_last_checkpoint_at_once() {
    let ended = |worker| RunningAttempt {
        phase: AttemptPhase::Ended,
        ..running(worker)
    };
    let (_, lines) = come_back(committed(), vec![ended(5), ended(6)]);
    assert_eq!(lines[1], "5: trigger n8 since 7 Checkpoint");
}

#[test]
fn what_is_in_doubt_is_stopped_and_deployed_anew() {
    type Change = fn(&mut RunningAttempt);
    let cases: [(&str, Change); 12] = [
        ("another lineage", |running| {
            running.lineage = Lineage::new("other")
        }),
        ("another size", |running| running.default_parallelism = 3),
        ("other seats", |running| running.seats.push(WorkerId(6))),
        ("not started", |running| running.phase = AttemptPhase::Deployed),
        ("not deployed", |running| running.phase = AttemptPhase::Deploying),
        ("failed", |running| running.phase = AttemptPhase::Broken),
        ("behind the tail", |running| {
            running.claimed = Some(CheckpointId(6))
        }),
        ("ahead of the tail", |running| {
            running.claimed = Some(CheckpointId(8))
        }),
        ("without state", |running| running.claimed = None),
        ("the tail's number under another generation", |running| {
            running.claimed = None;
            running.generation = Generation(0);
            running.acknowledged = vec![CheckpointId(7)];
        }),
        ("led by a newer one", |running| running.generation = Generation(2)),
        ("another attempt", |running| {
            running.attempt = Attempt(1 << 16 | 2)
        }),
    ];
    for (what, change) in cases {
        let mut changed = running(6);
        change(&mut changed);
        let stops = changed.attempt;
        let (mut job, mut lines) = come_back(committed(), vec![running(5), changed.clone()]);
        // One worker of an attempt alone is waited for; the other's attempt never comes.
        lines.extend(job.pass(5000));
        assert!(lines[0].starts_with("! not adopted"), "{what}: {lines:?}");
        assert_eq!(lines[1..], ["5: stop", "6: stop"], "{what}");
        assert_eq!(job.stopped(5), NOTHING, "{what}: the other still runs");
        let report = WorkerReport::Stopped { attempt: stops };
        assert_eq!(
            job.report(6, report),
            [
                "5: deploy 1 on 2 restore n7 old",
                "6: deploy 1 on 2 restore n7 old"
            ],
            "{what}"
        );
        assert_eq!(job.attempt.0 >> 16, 2, "attempts are those of the new generation");
    }
}

#[test]
fn a_suspended_tail_is_not_gone_on_with() {
    let mut before = committed();
    let manifest = before.tail.as_mut().unwrap().manifest.as_mut().unwrap();
    std::sync::Arc::make_mut(manifest).kind = BarrierKind::Suspend;
    let (_, lines) = come_back(before, vec![running(5), running(6)]);
    assert_eq!(lines[1..], ["5: stop", "6: stop"]);
}

#[test]
fn whoever_is_missing_is_waited_for_but_not_for_ever() {
    let (mut job, lines) = come_back(committed(), vec![running(5)]);
    assert_eq!(lines, NOTHING, "one slot of two is not enough to lead");
    let mut job2 = Job::new(adopting());
    job2.give(Event::Started);
    job2.give(Event::ChainRead(Box::new(committed())));
    job2.attach_as(5, 1, Some(running(5)));
    assert_eq!(
        job2.attach(7),
        ["create generation above 1"],
        "a stranger makes up the number"
    );
    job2.give(Event::GenerationCreated(Generation(2)));
    assert_eq!(job2.claimed(4), NOTHING);
    assert_eq!(job2.coordinator.state(), JobState::Created);
    assert_eq!(job2.attach_as(6, 1, Some(running(6))), ["! adopted 3 on 2"]);

    job.attach(7);
    job.give(Event::GenerationCreated(Generation(2)));
    assert_eq!(job.claimed(4), NOTHING);
    assert_eq!(job.pass(4999), NOTHING);
    assert_eq!(
        job.pass(1),
        [
            "! not adopted: workers of it have not come back in time",
            "5: stop"
        ]
    );
    assert_eq!(
        job.stopped(5),
        [
            "5: deploy 1 on 2 restore n7 old",
            "7: deploy 1 on 2 restore n7 old"
        ]
    );
    assert_eq!(
        job.attach_as(6, 1, Some(running(6))),
        ["6: stop"],
        "who comes too late is told to stop"
    );
    assert_eq!(job.coordinator.state(), JobState::Deploying);
}

#[test]
fn a_candidate_that_fails_before_it_is_adopted_is_not() {
    let mut job = Job::new(adopting());
    job.give(Event::Started);
    job.give(Event::ChainRead(Box::new(committed())));
    job.attach_as(5, 1, Some(running(5)));
    job.attach_as(6, 1, Some(running(6)));
    job.give(Event::GenerationCreated(Generation(2)));
    job.attempt = attempt();
    assert_eq!(job.failed(5, Severity::Restart), NOTHING);
    assert_eq!(job.claimed(4)[1..], ["5: stop", "6: stop"]);
}

#[test]
fn a_worker_that_comes_back_to_the_coordinator_that_gave_it_up_is_stopped_and_used_again() {
    let mut job = Job::running(CoordinatorOptions {
        requirement: Requirement::Slots(2),
        ..adopting()
    });
    let mine = RunningAttempt {
        generation: Generation(1),
        attempt: job.attempt,
        claimed: None,
        lineage: Lineage::new("fresh"),
        seats: vec![WorkerId(0), WorkerId(1)],
        ..running(1)
    };
    job.give(Event::WorkerLost {
        worker: WorkerId(1),
        reason: "its connection broke".into(),
    });
    assert_eq!(job.attach_as(1, 1, Some(mine)), ["1: stop"]);
    job.stopped(0);
    assert_eq!(
        job.pass(100),
        NOTHING,
        "it is not given anything before it has stopped"
    );
    assert_eq!(
        job.stopped(1),
        [
            "0: deploy 2 on 2 restore - fresh",
            "1: deploy 2 on 2 restore - fresh"
        ]
    );
}

#[test]
fn who_is_led_by_a_newer_coordinator_or_has_anothers_place_is_refused_by_name() {
    let (mut job, _) = come_back(committed(), vec![running(5), running(6)]);
    let mut newer = running(8);
    newer.generation = Generation(3);
    let lines = job.attach_as(8, 1, Some(newer));
    assert!(
        lines[0].starts_with("refuse: worker node-8 runs attempt 65539 of generation 3, and generation 2"),
        "{lines:?}"
    );
    let mut taken = running(5);
    taken.worker = WorkerId(5);
    let lines = job.attach_as(9, 1, Some(taken));
    assert!(
        lines[0].starts_with("refuse: worker node-9 has number 5"),
        "{lines:?}"
    );
    let lines = job.attach_as(5, 1, None);
    assert!(
        lines[0].starts_with("refuse: there is a worker node-5 already"),
        "{lines:?}"
    );
}

#[test]
fn an_adopted_attempt_fails_and_restarts_like_any_other() {
    let (mut job, _) = come_back(committed(), vec![running(5), running(6)]);
    assert_eq!(job.failed(5, Severity::Restart)[1..], ["5: stop", "6: stop"]);
    job.stopped(5);
    job.stopped(6);
    assert_eq!(job.pass(100)[0], "5: deploy 1 on 2 restore n7 old");
    assert_eq!(job.coordinator.status().epoch, Some(Epoch(4)));
}

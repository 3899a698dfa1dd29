//! From nothing to running.

use tidegate_coordinator::{Chain, Event, JobState, StartMode, StoreStep, Tail};
use tidegate_core::{
    CheckpointId, Epoch, Generation, KeySpace, NodeId, control::WorkerReport, epoch::EpochKind, source::Split,
};

use crate::harness::{Job, chain, manifest, options, record, reference};

#[test]
fn a_fresh_start_claims_nothing_before_its_first_checkpoint() {
    let mut job = Job::new(options());
    assert_eq!(job.give(Event::Started), ["read chain"]);
    assert_eq!(job.give(Event::ChainRead(Box::default())), Vec::<String>::new());
    assert_eq!(job.attach(0), Vec::<String>::new());
    assert_eq!(job.attach(1), ["create generation above 0"]);
    assert_eq!(
        job.give(Event::GenerationCreated(Generation(4))),
        [
            "0: deploy 1 on 2 restore - fresh",
            "1: deploy 1 on 2 restore - fresh"
        ]
    );
    assert_eq!(
        job.attempt.0 >> 16,
        4,
        "attempts of two generations never coincide"
    );
    assert_eq!(job.coordinator.state(), JobState::Deploying);
    assert_eq!(job.deployed(1), Vec::<String>::new());
    assert_eq!(job.deployed(1), Vec::<String>::new(), "one answer counts once");
    assert_eq!(job.deployed(0), ["0: start", "1: start"]);
    assert_eq!(job.coordinator.state(), JobState::Running);
    assert_eq!(job.pass(999), Vec::<String>::new());
    assert_eq!(
        job.pass(1),
        [
            "0: trigger n1 since - Checkpoint",
            "1: trigger n1 since - Checkpoint"
        ]
    );
}

fn opened(chain: Chain, options: tidegate_coordinator::CoordinatorOptions) -> (Job, Vec<String>) {
    let mut job = Job::new(options);
    job.give(Event::Started);
    job.attach(0);
    job.attach(1);
    let mut lines = job.give(Event::ChainRead(Box::new(chain)));
    if lines.iter().any(|line| line.starts_with("create generation")) {
        lines.extend(job.give(Event::GenerationCreated(Generation(2))));
    }
    (job, lines)
}

#[test]
fn a_new_generation_seals_before_it_restores() {
    let mut before = chain(3, 7, false, Some(3));
    before.largest_checkpoint = CheckpointId(9);
    let (mut job, lines) = opened(before, options());
    assert_eq!(
        lines,
        ["create generation above 1", "claim e4 Seal n7 g2 floor 3 old"],
        "the seal repeats its parent's manifest and lineage"
    );
    assert_eq!(
        job.claimed(4),
        [
            "0: deploy 1 on 2 restore n7 old",
            "1: deploy 1 on 2 restore n7 old"
        ]
    );
    job.deployed(0);
    assert_eq!(
        job.deployed(1),
        [
            "committed e4",
            "collect below e3 of e4 up to n7 but n7",
            "0: start",
            "1: start"
        ]
    );
    assert_eq!(
        job.pass(1000)[0],
        "0: trigger n10 since 7 Checkpoint",
        "ids start after the largest ever seen"
    );
    job.until_committed(10, 5);
    assert_eq!(job.coordinator.status().epoch, Some(Epoch(5)));
}

#[test]
fn whoever_takes_the_link_first_decides() {
    let (mut job, _) = opened(chain(3, 7, false, Some(3)), options());
    assert_eq!(
        job.lost(4, 1),
        ["read chain"],
        "an older leader's checkpoint becomes the tail"
    );
    assert_eq!(
        job.give(Event::ChainRead(Box::new(chain(4, 8, false, Some(3))))),
        ["claim e5 Seal n8 g2 floor 4 old"]
    );
    assert_eq!(
        job.lost(5, 3),
        ["fenced at 5 by 3"],
        "a newer leader's seal ends this one"
    );

    let (mut job, _) = opened(chain(3, 7, false, Some(3)), options());
    job.lost(4, 1);
    let mut newer = chain(5, 8, false, Some(3));
    newer.tail.as_mut().unwrap().record.generation = Generation(9);
    assert_eq!(job.give(Event::ChainRead(Box::new(newer))), ["fenced at 5 by 9"]);
}

#[test]
fn a_finished_job_is_left_alone_once_it_is_committed() {
    let (job, lines) = opened(chain(3, 7, true, Some(3)), options());
    // Who finished it may have died in its last collection.
    assert_eq!(
        lines,
        ["collect below e3 of e3 up to n7 but n7", "already finished at 3"]
    );
    assert_eq!(job.coordinator.state(), JobState::Finished);

    let (mut job, lines) = opened(chain(3, 7, true, Some(2)), options());
    assert_eq!(lines[1], "claim e4 Seal n7 g2 floor 3 old");
    job.claimed(4);
    job.deployed(0);
    assert_eq!(
        job.deployed(1),
        [
            "committed e4",
            "collect below e3 of e4 up to n7 but n7",
            "0: stop",
            "1: stop"
        ],
        "the commit is replayed and nothing is started"
    );
    job.stopped(0);
    assert_eq!(job.stopped(1), ["finished at 4"]);
}

#[test]
fn a_chain_without_state_is_sealed_all_the_same() {
    let before = Chain {
        tail: Some(Tail {
            record: record(3, 1, EpochKind::Start, None),
            manifest: None,
        }),
        ..Chain::default()
    };
    let (mut job, lines) = opened(before, options());
    assert_eq!(lines[1], "claim e4 Seal - g2 floor 4 old");
    assert_eq!(job.claimed(4)[0], "0: deploy 1 on 2 restore - old");
}

#[test]
fn the_user_can_begin_anew() {
    let mut fresh = options();
    fresh.start = StartMode::Fresh;
    let (mut job, lines) = opened(chain(3, 7, true, Some(3)), fresh.clone());
    assert_eq!(
        lines[1], "claim e4 Start - g2 floor 3 fresh",
        "what is retained stays for now"
    );
    assert_eq!(job.claimed(4)[0], "0: deploy 1 on 2 restore - fresh");
    job.deployed(0);
    job.deployed(1);
    assert_eq!(job.pass(1000)[0], "0: trigger n8 since - Checkpoint");

    let (_, lines) = opened(Chain::default(), fresh);
    assert_eq!(
        lines[1], "0: deploy 1 on 2 restore - fresh",
        "there is nothing to supersede"
    );
}

#[test]
fn a_savepoint_becomes_the_start_of_a_new_lineage() {
    let mut from = options();
    from.start = StartMode::FromSavepoint {
        location: "there".into(),
    };
    let (mut job, lines) = opened(chain(3, 7, false, Some(3)), from);
    assert_eq!(lines[1], "import there as n8 e4 g2 fresh");
    let mut imported = manifest(12, 4, false);
    imported.lineage = "fresh".into();
    let lines = job.give(Event::SavepointImported {
        manifest: imported.into(),
        reference: reference(12),
    });
    assert_eq!(lines, ["claim e4 Start n12 g2 floor 3 fresh"]);
    assert_eq!(job.claimed(4)[0], "0: deploy 1 on 2 restore n12 fresh");
    job.deployed(0);
    job.deployed(1);
    assert_eq!(job.pass(1000)[0], "0: trigger n13 since 12 Checkpoint");
}

#[test]
fn what_cannot_be_read_or_restored_ends_the_job() {
    let mut job = Job::new(options());
    job.give(Event::Started);
    let lines = job.give(Event::StoreFailed {
        step: StoreStep::ReadChain,
        reason: "epochs/3 is corrupt".into(),
    });
    assert_eq!(lines, ["failed, uncommitted -: epochs/3 is corrupt"]);

    let mut narrow = chain(3, 7, false, Some(3));
    let mut other = manifest(7, 3, false);
    other.space = KeySpace::new(64).unwrap();
    narrow.tail.as_mut().unwrap().manifest = Some(other.into());
    let (_, lines) = opened(narrow, options());
    assert!(
        lines[0].contains("has 64 key groups and the job now has 1024"),
        "{lines:?}"
    );
}

#[test]
fn changes_since_the_last_run_are_told() {
    let mut changed = options();
    changed.description.arguments = vec!["--input".into(), "b".into()];
    let mut before = chain(3, 7, false, Some(3));
    let mut other = manifest(7, 3, false);
    other.graph_fingerprint = 1;
    before.tail.as_mut().unwrap().manifest = Some(other.into());
    let (_, lines) = opened(before, changed);
    assert_eq!(lines[..2], ["! graph changed", "! arguments changed"]);
}

#[test]
fn splits_are_relayed_to_all_workers() {
    let mut job = Job::running(options());
    let attempt = job.attempt;
    let splits = vec![
        Split {
            index: 0,
            state: vec![]
        };
        3
    ];
    let report = WorkerReport::SplitsDiscovered {
        attempt,
        node: NodeId(0),
        splits,
    };
    assert_eq!(job.report(0, report), ["0: assign 3 of 0", "1: assign 3 of 0"]);
}

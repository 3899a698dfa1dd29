//! Random interleavings of facts, sensible and not: what may never happen does not.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate_coordinator::{Command, Coordinator, Event, Newcomer, RequestId, SavepointError, StoreStep};
use tidegate_core::{
    Attempt, CheckpointId, Epoch, Generation, Holdup, ProcessingTime, Severity, TaskError, TaskId, VertexId,
    WorkerId,
    control::{WorkerOrder, WorkerReport, WorkerSnapshot},
    epoch::EpochKind,
};

use crate::harness::{chain, options, record, reference, task, worker_name};

/// One step: which kind of fact, about which worker, and two numbers to fill it in.
type Step = (u8, u32, u8, i64);

/// Follows the commands and checks them.
#[derive(Default)]
struct Observer {
    attempt: Attempt,
    largest_trigger: CheckpointId,
    in_flight: BTreeSet<CheckpointId>,
    acknowledged: BTreeSet<CheckpointId>,
    claims: BTreeMap<Epoch, CheckpointId>,
    claimed: BTreeMap<CheckpointId, Epoch>,
    last_claimed: Option<CheckpointId>,
    written: Vec<CheckpointId>,
    pending_claims: Vec<Epoch>,
    open_requests: BTreeSet<RequestId>,
    ended: bool,
    /// The numbers of the workers by the numbers in their names.
    workers: BTreeMap<u32, WorkerId>,
    /// Whose seat is which.
    seats: Vec<WorkerId>,
}

impl Observer {
    fn observe(&mut self, command: &Command) {
        assert!(
            !self.ended || matches!(command, Command::Answer { .. } | Command::Refuse { .. }),
            "{command:?} after the end"
        );
        match command {
            Command::Send { order, .. } => self.observe_order(order),
            Command::Seat { request, worker } => {
                self.workers.insert(request.0 as u32, *worker);
            }
            Command::WriteManifest(manifest) => self.written.push(manifest.checkpoint),
            Command::ClaimEpoch(record) => {
                let checkpoint = record.manifest.as_ref().map(|m| m.checkpoint).unwrap_or_default();
                let before = self.claims.insert(record.epoch, checkpoint);
                assert!(
                    before.is_none_or(|before| before == checkpoint),
                    "a claim is only repeated as it was"
                );
                self.pending_claims.push(record.epoch);
            }
            Command::Answer { request, .. } => {
                assert!(self.open_requests.remove(request), "one answer for one request");
            }
            Command::Terminate(_) => {
                self.ended = true;
                assert!(self.open_requests.is_empty(), "every request is answered");
            }
            _ => {}
        }
    }

    fn observe_order(&mut self, order: &WorkerOrder) {
        match order {
            WorkerOrder::Deploy(deployment) => {
                assert!(deployment.attempt >= self.attempt);
                self.attempt = deployment.attempt;
                self.seats = deployment.seats.clone();
                let restore = deployment.restore.as_ref().map(|m| m.checkpoint);
                assert_eq!(restore, self.last_claimed, "exactly the tail is restored");
                self.in_flight.clear();
            }
            WorkerOrder::Trigger { barrier, .. } => {
                if barrier.checkpoint != self.largest_trigger {
                    assert!(barrier.checkpoint > self.largest_trigger, "ids rise");
                    assert!(self.in_flight.is_empty(), "at most one in flight");
                }
                assert_eq!(
                    barrier.since, self.last_claimed,
                    "changes are measured from the last claimed"
                );
                self.largest_trigger = barrier.checkpoint;
                self.in_flight.insert(barrier.checkpoint);
            }
            WorkerOrder::Abort { checkpoint, .. } => {
                assert!(
                    !self.claimed.contains_key(checkpoint),
                    "nothing claimed is aborted"
                );
                self.in_flight.remove(checkpoint);
            }
            WorkerOrder::Commit {
                checkpoint, epoch, ..
            } => {
                assert_eq!(
                    self.claimed.get(checkpoint),
                    Some(epoch),
                    "only what is claimed is committed"
                );
            }
            _ => {}
        }
    }
}

/// A worker comes, in a request of its own number.
fn come(worker: u32) -> Event {
    Event::WorkerAttached {
        request: RequestId(worker.into()),
        newcomer: Box::new(Newcomer {
            name: worker_name(worker),
            slots: 1,
            data: None,
            running: None,
        }),
    }
}

fn event(step: Step, observer: &mut Observer, requests: &mut u64) -> Option<Event> {
    let (kind, worker, pick, _) = step;
    let attempt = observer.attempt;
    let worker_id = observer.workers.get(&worker).copied().unwrap_or(WorkerId(worker));
    let seat = observer.seats.iter().position(|seat| *seat == worker_id);
    let seat = seat.map_or(worker, |seat| seat as u32);
    let checkpoint = CheckpointId(
        observer
            .largest_trigger
            .0
            .saturating_sub(u64::from(pick % 8 == 0)),
    );
    let report = |report| {
        Some(Event::Reported {
            worker: worker_id,
            report,
        })
    };
    match kind {
        0 => Some(Event::Wakeup),
        1 => Some(come(worker)),
        2 if pick < 40 => Some(Event::WorkerLost {
            worker: worker_id,
            reason: "gone".into(),
        }),
        3 | 4 => report(WorkerReport::Deployed { attempt }),
        5..=8 => {
            observer.acknowledged.insert(checkpoint);
            report(WorkerReport::Acknowledged {
                attempt,
                checkpoint,
                snapshot: Box::new(WorkerSnapshot {
                    segments: vec![],
                    tasks: vec![task(seat, pick > 240)],
                }),
            })
        }
        9 if pick < 80 => report(WorkerReport::Declined {
            attempt,
            checkpoint,
            reason: "no".into(),
        }),
        9 if pick < 160 => report(WorkerReport::Explained {
            attempt,
            checkpoint,
            holdup: Holdup::Segments,
        }),
        10..=12 => report(WorkerReport::Committed { attempt, checkpoint }),
        13 if pick < 60 => report(WorkerReport::Failed {
            attempt,
            error: TaskError {
                task: TaskId {
                    vertex: VertexId(0),
                    index: worker,
                },
                task_name: String::new(),
                operator: None,
                message: "boom".into(),
                severity: if pick < 2 {
                    Severity::FailJob
                } else {
                    Severity::Restart
                },
            },
        }),
        14 | 15 => report(WorkerReport::Stopped { attempt }),
        16 if pick < 60 => report(WorkerReport::Ended { attempt }),
        17..=19 => {
            let checkpoint = observer.written.pop()?;
            if pick < 200 {
                let reference = reference(checkpoint.0);
                Some(Event::ManifestWritten { reference })
            } else {
                let reason = "no room".into();
                Some(Event::ManifestFailed { checkpoint, reason })
            }
        }
        20..=22 => {
            let epoch = observer.pending_claims.pop()?;
            match pick {
                0..200 => {
                    let checkpoint = observer.claims[&epoch];
                    observer.claimed.insert(checkpoint, epoch);
                    observer.last_claimed = Some(checkpoint).filter(|n| *n > CheckpointId(0));
                    observer.in_flight.clear();
                    Some(Event::EpochClaimed(epoch))
                }
                200..245 => Some(Event::EpochUnresolved {
                    epoch,
                    reason: "timeout".into(),
                }),
                245..250 => Some(Event::StoreFailed {
                    step: StoreStep::ClaimEpoch,
                    reason: "corrupt".into(),
                }),
                _ => Some(Event::EpochLost {
                    epoch,
                    winner: Box::new(record(epoch.0, 9, EpochKind::Seal, None)),
                }),
            }
        }
        23 if pick < 60 => {
            *requests += 1;
            let request = RequestId(*requests);
            observer.open_requests.insert(request);
            Some(Event::SavepointRequested {
                request,
                name: "a".into(),
            })
        }
        24 if pick < 10 => {
            *requests += 1;
            let request = RequestId(*requests);
            let savepoint = (pick < 5).then(|| "a".to_owned());
            if savepoint.is_some() {
                observer.open_requests.insert(request);
            }
            Some(Event::SuspendRequested { request, savepoint })
        }
        25 if pick < 5 => Some(Event::CancelRequested),
        26 => Some(Event::SavepointExported {
            request: RequestId(u64::from(pick) % (*requests + 1)),
            result: Err(SavepointError::Busy {
                name: "a".into(),
                waiting: 0,
            }),
        }),
        27 => report(WorkerReport::Deployed {
            attempt: Attempt(attempt.0.wrapping_sub(1)),
        }),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn nothing_forbidden_happens(
        resumes in any::<bool>(),
        steps in proptest::collection::vec((0..28u8, 0..3u32, any::<u8>(), 0..400i64), 1..300)
    ) {
        let mut coordinator = Coordinator::new(options());
        let mut observer = Observer::default();
        let (mut now, mut requests) = (0, 0);
        let mut opening: Vec<Event> = vec![Event::Started];
        opening.extend((0..2).map(come));
        if resumes {
            let chain = chain(3, 7, false, None);
            observer.last_claimed = Some(CheckpointId(7));
            observer.largest_trigger = CheckpointId(7);
            opening.push(Event::ChainRead(Box::new(chain)));
        } else {
            opening.push(Event::ChainRead(Box::default()));
        }
        opening.push(Event::GenerationCreated(Generation(2)));
        for event in opening {
            for command in coordinator.handle(ProcessingTime(now), event) {
                observer.observe(&command);
            }
        }
        for step in steps {
            now += step.3;
            if let Some(event) = event(step, &mut observer, &mut requests) {
                for command in coordinator.handle(ProcessingTime(now), event) {
                    observer.observe(&command);
                }
                prop_assert_eq!(observer.ended, coordinator.is_terminated());
                if let Some(at) = coordinator.next_wakeup() {
                    prop_assert!(at.0 > now, "what is due is done, {} at {now}", at.0);
                }
            }
        }
    }
}

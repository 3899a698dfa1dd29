//! What the worker runs, kept as it changes: what it says when it attaches again.
//!
//! Every change is noted before it is reported, so that a report which is lost with the link is in what the worker says
//! of itself when it has another.

use std::{collections::BTreeSet, sync::Arc};

use tidegate_core::{
    Attempt, AttemptPhase, BarrierKind, CheckpointId, Generation, NodeId, RunningAttempt, WorkerId,
    control::{Deployment, WorkerOrder, WorkerReport},
};
use tokio::sync::watch;

/// What the worker runs, with what it takes to know how far that has come.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Current {
    attempt: RunningAttempt,
    /// Sources may read.
    is_started: bool,
    /// Sources with tasks on this worker that do not know their splits.
    without_splits: BTreeSet<NodeId>,
}

/// What the worker runs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Standing(Arc<watch::Sender<Option<Current>>>);

impl Default for Standing {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Standing {
    /// What there is to say.
    pub(crate) fn running(&self) -> Option<RunningAttempt> {
        self.0.borrow().as_ref().map(|current| current.attempt.clone())
    }

    /// An attempt begins, in which the worker is `me`. `sources` have tasks on it and must be told their splits.
    pub(crate) fn begin(&self, me: WorkerId, deployment: &Deployment, sources: BTreeSet<NodeId>) {
        let restored = deployment.restore.as_ref().map(|manifest| manifest.checkpoint);
        self.0.send_replace(Some(Current {
            attempt: RunningAttempt {
                generation: deployment.generation,
                attempt: deployment.attempt,
                worker: me,
                phase: AttemptPhase::Deploying,
                claimed: restored,
                acknowledged: Vec::new(),
                newest: restored,
                lineage: deployment.lineage.clone(),
                default_parallelism: deployment.default_parallelism,
                seats: deployment.seats.clone(),
            },
            is_started: false,
            without_splits: sources,
        }));
    }

    /// Nothing runs any more.
    pub(crate) fn end(&self) {
        self.0.send_replace(None);
    }

    /// A coordinator of `generation` has given an order for an attempt: it leads it.
    pub(crate) fn led_by(&self, generation: Generation, attempt: Attempt) {
        self.change(attempt, |current| {
            current.attempt.generation = current.attempt.generation.max(generation);
        });
    }

    /// The splits of a source are known to its tasks.
    pub(crate) fn assigned(&self, attempt: Attempt, node: NodeId) {
        self.change(attempt, |current| {
            current.without_splits.remove(&node);
            current.settle();
        });
    }

    /// An order is about to be obeyed.
    pub(crate) fn ordered(&self, order: &WorkerOrder) {
        match order {
            WorkerOrder::Start { attempt } => self.change(*attempt, |current| {
                current.is_started = true;
                current.settle();
            }),
            WorkerOrder::Trigger { attempt, barrier } => self.change(*attempt, |current| {
                current.meet(barrier.checkpoint);
                if matches!(
                    barrier.kind,
                    BarrierKind::Suspend | BarrierKind::SuspendWithSavepoint
                ) {
                    current.attempt.phase = AttemptPhase::Broken;
                }
            }),
            WorkerOrder::Abort { attempt, checkpoint } => self.change(*attempt, |current| {
                current.meet(*checkpoint);
                current
                    .attempt
                    .acknowledged
                    .retain(|acknowledged| acknowledged != checkpoint);
            }),
            WorkerOrder::Commit {
                attempt, checkpoint, ..
            } => self.change(*attempt, |current| {
                current.meet(*checkpoint);
                current.attempt.claimed = current.attempt.claimed.max(Some(*checkpoint));
                current
                    .attempt
                    .acknowledged
                    .retain(|acknowledged| acknowledged > checkpoint);
            }),
            WorkerOrder::Stop { attempt } => self.change(*attempt, |current| {
                current.attempt.phase = AttemptPhase::Broken;
            }),
            WorkerOrder::Deploy(_) | WorkerOrder::AssignSplits { .. } | WorkerOrder::Explain { .. } => {}
        }
    }

    /// A report is about to be sent.
    pub(crate) fn reporting(&self, report: &WorkerReport) {
        self.change(report.attempt(), |current| match report {
            WorkerReport::Deployed { .. } if current.attempt.phase == AttemptPhase::Deploying => {
                current.attempt.phase = AttemptPhase::Deployed;
                current.settle();
            }
            WorkerReport::Ended { .. } if current.attempt.phase != AttemptPhase::Broken => {
                current.attempt.phase = AttemptPhase::Ended;
            }
            WorkerReport::Failed { .. } => current.attempt.phase = AttemptPhase::Broken,
            WorkerReport::Acknowledged { checkpoint, .. } => {
                current.meet(*checkpoint);
                current.attempt.acknowledged.push(*checkpoint);
            }
            _ => {}
        });
    }

    fn change(&self, attempt: Attempt, change: impl FnOnce(&mut Current)) {
        self.0.send_if_modified(|current| match current {
            Some(current) if current.attempt.attempt == attempt => {
                change(current);
                true
            }
            _ => false,
        });
    }
}

impl Current {
    fn meet(&mut self, checkpoint: CheckpointId) {
        self.attempt.newest = self.attempt.newest.max(Some(checkpoint));
    }

    /// Takes note when all that is needed to run has come, in whatever order.
    fn settle(&mut self) {
        if self.attempt.phase == AttemptPhase::Deployed && self.is_started && self.without_splits.is_empty() {
            self.attempt.phase = AttemptPhase::Running;
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Barrier, Epoch, JobId, Lineage, Severity, TaskError, TaskId, VertexId};

    use super::*;

    const ATTEMPT: Attempt = Attempt(4);
    const SOURCE: NodeId = NodeId(7);

    fn begun() -> Standing {
        let standing = Standing::default();
        let deployment = Deployment {
            job: JobId::from("job"),
            lineage: Lineage::from("lineage"),
            generation: Generation(2),
            attempt: ATTEMPT,
            graph_fingerprint: 0,
            default_parallelism: 1,
            workers: Vec::new(),
            seats: vec![WorkerId(1)],
            restore: None,
            allow_non_restored_state: false,
        };
        standing.begin(WorkerId(1), &deployment, [SOURCE].into());
        standing
    }

    fn phase(standing: &Standing) -> AttemptPhase {
        standing.running().unwrap().phase
    }

    fn commit(checkpoint: u64) -> WorkerOrder {
        WorkerOrder::Commit {
            attempt: ATTEMPT,
            checkpoint: CheckpointId(checkpoint),
            epoch: Epoch(checkpoint),
        }
    }

    fn trigger(checkpoint: u64, kind: BarrierKind) -> WorkerOrder {
        WorkerOrder::Trigger {
            attempt: ATTEMPT,
            barrier: Barrier {
                checkpoint: CheckpointId(checkpoint),
                since: None,
                kind,
            },
        }
    }

    fn acknowledged(checkpoint: u64) -> WorkerReport {
        WorkerReport::Acknowledged {
            attempt: ATTEMPT,
            checkpoint: CheckpointId(checkpoint),
            snapshot: Box::default(),
        }
    }

    #[test]
    fn an_attempt_runs_once_it_is_deployed_started_and_knows_its_splits() {
        type Step = fn(&Standing);
        let deployed: Step = |it| it.reporting(&WorkerReport::Deployed { attempt: ATTEMPT });
        let started: Step = |it| it.ordered(&WorkerOrder::Start { attempt: ATTEMPT });
        let assigned: Step = |it| it.assigned(ATTEMPT, SOURCE);
        for steps in [
            [deployed, started, assigned],
            [deployed, assigned, started],
            [assigned, deployed, started],
        ] {
            let standing = begun();
            for step in steps {
                assert_ne!(phase(&standing), AttemptPhase::Running);
                step(&standing);
            }
            assert_eq!(phase(&standing), AttemptPhase::Running);
        }
    }

    #[test]
    fn what_is_broken_stays_so() {
        let error = TaskError {
            task: TaskId {
                vertex: VertexId(0),
                index: 0,
            },
            task_name: "task".to_owned(),
            operator: None,
            message: "it failed".to_owned(),
            severity: Severity::Restart,
        };
        type Step = Box<dyn Fn(&Standing)>;
        let breaks: [Step; 3] = [
            Box::new(move |it| {
                it.reporting(&WorkerReport::Failed {
                    attempt: ATTEMPT,
                    error: error.clone(),
                });
            }),
            Box::new(|it| it.ordered(&WorkerOrder::Stop { attempt: ATTEMPT })),
            Box::new(|it| it.ordered(&trigger(1, BarrierKind::Suspend))),
        ];
        for breaks in breaks {
            let standing = begun();
            breaks(&standing);
            standing.reporting(&WorkerReport::Deployed { attempt: ATTEMPT });
            standing.reporting(&WorkerReport::Ended { attempt: ATTEMPT });
            assert_eq!(phase(&standing), AttemptPhase::Broken);
        }
    }

    #[test]
    fn checkpoints_that_may_have_been_claimed_are_told() {
        let standing = begun();
        let told = |standing: &Standing| {
            let running = standing.running().unwrap();
            let acknowledged: Vec<u64> = running.acknowledged.iter().map(|it| it.0).collect();
            (
                running.claimed.map(|it| it.0),
                acknowledged,
                running.newest.map(|it| it.0),
            )
        };
        standing.ordered(&trigger(1, BarrierKind::Checkpoint));
        assert_eq!(told(&standing), (None, vec![], Some(1)));
        for checkpoint in [1, 3, 4] {
            standing.reporting(&acknowledged(checkpoint));
        }
        assert_eq!(told(&standing), (None, vec![1, 3, 4], Some(4)));
        standing.ordered(&WorkerOrder::Abort {
            attempt: ATTEMPT,
            checkpoint: CheckpointId(1),
        });
        assert_eq!(told(&standing), (None, vec![3, 4], Some(4)));
        standing.ordered(&commit(3));
        assert_eq!(told(&standing), (Some(3), vec![4], Some(4)));
        // An order that comes again takes nothing back.
        standing.ordered(&commit(2));
        assert_eq!(told(&standing), (Some(3), vec![4], Some(4)));
    }

    #[test]
    fn whoever_orders_last_leads_and_other_attempts_say_nothing() {
        let standing = begun();
        standing.led_by(Generation(3), ATTEMPT);
        standing.led_by(Generation(9), Attempt(5));
        standing.ordered(&WorkerOrder::Stop { attempt: Attempt(3) });
        let running = standing.running().unwrap();
        assert_eq!(
            (running.generation, running.phase),
            (Generation(3), AttemptPhase::Deploying)
        );
        standing.end();
        assert_eq!(standing.running(), None);
    }
}

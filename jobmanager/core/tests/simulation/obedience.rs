//! What a worker does about an order, with whatever goes wrong in it.

use tidegate_core::{
    CheckpointId, Epoch, Generation, Holdup, Lineage, Severity, TaskError, TaskId, VertexId,
    control::{WorkerOrder, WorkerReport},
};

use crate::{
    random::Random,
    store::Store,
    tally::Tally,
    worker::{Staged, Worker},
};

/// What follows from an order, so long after it.
pub(crate) enum Effect {
    Report(WorkerReport),
    Publish {
        lineage: Lineage,
        epoch: Epoch,
        staged: Staged,
    },
}

/// Everything that an order meets.
pub(crate) struct Surroundings<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) random: &'a mut Random,
    pub(crate) faulty: bool,
    pub(crate) tally: &'a mut Tally,
}

impl Surroundings<'_> {
    fn goes_wrong(&mut self, per_mille: u64) -> bool {
        self.faulty && self.random.per_mille(per_mille)
    }
}

/// Carries out what the coordinator of `generation` orders. Reports are in order, and none comes before the one before it.
pub(crate) fn obey(
    worker: &mut Worker,
    order: WorkerOrder,
    generation: Generation,
    around: &mut Surroundings<'_>,
) -> Vec<(i64, Effect)> {
    match order {
        WorkerOrder::Deploy(deployment) => {
            let staged = worker.deploy(&deployment);
            let delay = around.random.within(0..300);
            let mut effects = vec![];
            if let Some(manifest) = &deployment.restore {
                around
                    .store
                    .assert_sealed(deployment.generation, manifest.checkpoint);
                let (lineage, epoch) = (manifest.lineage.clone(), manifest.epoch);
                effects.push((
                    delay,
                    Effect::Publish {
                        lineage,
                        epoch,
                        staged,
                    },
                ));
            }
            let attempt = deployment.attempt;
            effects.push((delay, Effect::Report(WorkerReport::Deployed { attempt })));
            effects
        }
        WorkerOrder::Start { attempt } if attempt == worker.attempt => {
            worker.start();
            ended(worker, 0)
        }
        WorkerOrder::Trigger { attempt, barrier } if attempt == worker.attempt => {
            let delay = around.random.within(0..400);
            take_part(worker, barrier.checkpoint, around)
                .map(|report| (delay, Effect::Report(report)))
                .into_iter()
                .collect()
        }
        WorkerOrder::Commit {
            attempt,
            checkpoint,
            epoch,
        } if attempt == worker.attempt => {
            around.store.assert_decided(epoch, checkpoint, generation);
            let (lineage, staged) = (worker.lineage.clone(), worker.commit(checkpoint));
            let delay = around.random.within(0..300);
            let publish = Effect::Publish {
                lineage,
                epoch,
                staged,
            };
            let committed = WorkerReport::Committed { attempt, checkpoint };
            let mut effects = vec![(delay, publish), (delay, Effect::Report(committed))];
            effects.extend(ended(worker, delay));
            effects
        }
        WorkerOrder::Stop { attempt } if attempt == worker.attempt => {
            worker.stop();
            vec![(0, Effect::Report(WorkerReport::Stopped { attempt }))]
        }
        WorkerOrder::Explain { attempt, checkpoint } => {
            let explained = WorkerReport::Explained {
                attempt,
                checkpoint,
                holdup: Holdup::Segments,
            };
            vec![(0, Effect::Report(explained))]
        }
        WorkerOrder::Abort { attempt, checkpoint } if attempt == worker.attempt => {
            worker.abort(checkpoint);
            vec![]
        }
        // Of another attempt, or nothing to it.
        _ => vec![],
    }
}

fn ended(worker: &mut Worker, delay: i64) -> Vec<(i64, Effect)> {
    if !worker.is_running() || !worker.has_ended() {
        return vec![];
    }
    let attempt = worker.attempt;
    vec![(delay, Effect::Report(WorkerReport::Ended { attempt }))]
}

fn take_part(
    worker: &mut Worker,
    checkpoint: CheckpointId,
    around: &mut Surroundings<'_>,
) -> Option<WorkerReport> {
    if !worker.is_running() {
        return None;
    }
    let attempt = worker.attempt;
    if around.goes_wrong(20) {
        around.tally.failed_tasks += 1;
        worker.fail();
        let error = TaskError {
            task: TaskId {
                vertex: VertexId(0),
                index: 0,
            },
            task_name: "simulated".into(),
            operator: None,
            message: "boom".into(),
            severity: Severity::Restart,
        };
        return Some(WorkerReport::Failed { attempt, error });
    }
    let (object, snapshot) = worker.snapshot(checkpoint);
    around.store.segments.insert(object);
    if around.goes_wrong(30) {
        let reason = "simulated".into();
        return Some(WorkerReport::Declined {
            attempt,
            checkpoint,
            reason,
        });
    }
    if around.goes_wrong(20) {
        return None;
    }
    worker.acknowledge(checkpoint);
    let snapshot = Box::new(snapshot);
    Some(WorkerReport::Acknowledged {
        attempt,
        checkpoint,
        snapshot,
    })
}

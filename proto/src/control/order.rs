//! Orders to and from their messages.

use std::sync::Arc;

use tidegate_core::{
    Attempt, Barrier, CheckpointId, Epoch, Generation, JobId, Lineage, NodeId, WorkerId,
    control::{Deployment, WorkerAddress, WorkerOrder},
    source::Split,
};

use super::message::data_address;
use crate::{
    convert::{barrier_kind, required, split_from_wire, split_to_wire},
    generated as wire,
    object::DecodeReason,
};

impl From<&WorkerOrder> for wire::WorkerOrder {
    fn from(order: &WorkerOrder) -> Self {
        use wire::worker_order::Order;
        let (attempt, order) = match order {
            WorkerOrder::Deploy(deployment) => {
                (deployment.attempt, Order::Deploy(deployment_to_wire(deployment)))
            }
            WorkerOrder::Start { attempt } => (*attempt, Order::Start(wire::Start {})),
            WorkerOrder::AssignSplits {
                attempt,
                node,
                splits,
            } => (*attempt, Order::AssignSplits(splits_to_wire(*node, splits))),
            WorkerOrder::Trigger { attempt, barrier } => (
                *attempt,
                Order::Trigger(wire::Barrier {
                    checkpoint: barrier.checkpoint.0,
                    since: barrier.since.map(|since| since.0),
                    kind: wire::BarrierKind::from(barrier.kind).into(),
                }),
            ),
            WorkerOrder::Explain { attempt, checkpoint } => {
                (*attempt, Order::Explain(checkpoint_only(*checkpoint)))
            }
            WorkerOrder::Abort { attempt, checkpoint } => {
                (*attempt, Order::Abort(checkpoint_only(*checkpoint)))
            }
            WorkerOrder::Commit {
                attempt,
                checkpoint,
                epoch,
            } => (
                *attempt,
                Order::Commit(wire::Commit {
                    checkpoint: checkpoint.0,
                    epoch: epoch.0,
                }),
            ),
            WorkerOrder::Stop { attempt } => (*attempt, Order::Stop(wire::Stop {})),
        };
        Self {
            attempt: attempt.0,
            order: Some(order),
        }
    }
}

impl TryFrom<wire::WorkerOrder> for WorkerOrder {
    type Error = DecodeReason;

    fn try_from(order: wire::WorkerOrder) -> Result<Self, DecodeReason> {
        use wire::worker_order::Order;
        let attempt = Attempt(order.attempt);
        Ok(match required("order", order.order)? {
            Order::Deploy(deployment) => Self::Deploy(Box::new(deployment_from_wire(attempt, deployment)?)),
            Order::Start(wire::Start {}) => Self::Start { attempt },
            Order::AssignSplits(splits) => {
                let (node, splits) = splits_from_wire(splits);
                Self::AssignSplits {
                    attempt,
                    node,
                    splits,
                }
            }
            Order::Trigger(barrier) => Self::Trigger {
                attempt,
                barrier: Barrier {
                    checkpoint: CheckpointId(barrier.checkpoint),
                    since: barrier.since.map(CheckpointId),
                    kind: barrier_kind(barrier.kind)?,
                },
            },
            Order::Explain(of) => Self::Explain {
                attempt,
                checkpoint: CheckpointId(of.checkpoint),
            },
            Order::Abort(of) => Self::Abort {
                attempt,
                checkpoint: CheckpointId(of.checkpoint),
            },
            Order::Commit(commit) => Self::Commit {
                attempt,
                checkpoint: CheckpointId(commit.checkpoint),
                epoch: Epoch(commit.epoch),
            },
            Order::Stop(wire::Stop {}) => Self::Stop { attempt },
        })
    }
}

pub(super) fn checkpoint_only(checkpoint: CheckpointId) -> wire::CheckpointOnly {
    wire::CheckpointOnly {
        checkpoint: checkpoint.0,
    }
}

pub(super) fn splits_to_wire(node: NodeId, splits: &[Split]) -> wire::Splits {
    wire::Splits {
        node: node.0,
        splits: splits.iter().map(split_to_wire).collect(),
    }
}

pub(super) fn splits_from_wire(splits: wire::Splits) -> (NodeId, Vec<Split>) {
    let found = splits.splits.into_iter().map(split_from_wire).collect();
    (NodeId(splits.node), found)
}

fn workers_to_wire(workers: &[WorkerAddress]) -> Vec<wire::WorkerAddress> {
    let workers = workers.iter().map(|worker| wire::WorkerAddress {
        worker: worker.worker.0,
        slots: worker.slots,
        data_address: worker.data.map(|address| address.to_string()),
    });
    workers.collect()
}

fn workers_from_wire(workers: Vec<wire::WorkerAddress>) -> Result<Vec<WorkerAddress>, DecodeReason> {
    let workers = workers.into_iter().map(|worker| {
        Ok(WorkerAddress {
            worker: WorkerId(worker.worker),
            slots: worker.slots,
            data: data_address(worker.data_address)?,
        })
    });
    workers.collect()
}

fn deployment_to_wire(deployment: &Deployment) -> wire::Deployment {
    wire::Deployment {
        job: deployment.job.as_str().to_owned(),
        lineage: deployment.lineage.as_str().to_owned(),
        generation: deployment.generation.0,
        graph_fingerprint: deployment.graph_fingerprint,
        default_parallelism: deployment.default_parallelism,
        workers: workers_to_wire(&deployment.workers),
        seats: deployment.seats.iter().map(|worker| worker.0).collect(),
        restore: deployment.restore.as_deref().map(Into::into),
        allow_non_restored_state: deployment.allow_non_restored_state,
    }
}

fn deployment_from_wire(attempt: Attempt, deployment: wire::Deployment) -> Result<Deployment, DecodeReason> {
    Ok(Deployment {
        job: JobId::new(deployment.job),
        lineage: Lineage::new(deployment.lineage),
        generation: Generation(deployment.generation),
        attempt,
        graph_fingerprint: deployment.graph_fingerprint,
        default_parallelism: deployment.default_parallelism,
        workers: workers_from_wire(deployment.workers)?,
        seats: deployment.seats.into_iter().map(WorkerId).collect(),
        restore: deployment
            .restore
            .map(|manifest| manifest.try_into().map(Arc::new))
            .transpose()?,
        allow_non_restored_state: deployment.allow_non_restored_state,
    })
}

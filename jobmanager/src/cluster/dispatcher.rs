//! What all parts of a job manager share.

use std::{collections::BTreeMap, sync::Arc};

use tidegate_coordinator::cluster::{Admission, ClusterEvent, SlotUse};
use tidegate_core::{Generation, TaskManagerId};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    artifact::Artifacts,
    clock::Clock,
    job::{JobEntry, Jobs},
    options::ClusterOptions,
    store::ClusterStore,
    task_manager::TaskManagers,
};
use crate::WorkerPortHandle;

/// How many facts may wait for the cluster.
pub(crate) const FACT_CAPACITY: usize = 1024;

/// What reaches the loop around the cluster.
#[derive(Debug)]
pub(crate) enum Fact {
    /// Something has happened.
    Happened(ClusterEvent),
    /// A job is to be run.
    Host {
        /// Which.
        entry: Arc<JobEntry>,
        /// How it comes.
        admission: Admission,
        /// Told when workers can attach to it.
        hosted: Option<oneshot::Sender<()>>,
    },
}

/// The loop around the cluster has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClusterGone;

/// Where a job manager is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It reads what is in the store.
    Starting,
    /// It takes requests.
    Serving,
    /// It has ended, or is about to.
    Ending,
}

/// The slots of the task managers that are attached.
pub(crate) type SlotTable = BTreeMap<TaskManagerId, SlotUse>;

/// What all parts of a job manager share. Each of them locks for itself, and only for look-ups.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) options: ClusterOptions,
    pub(crate) generation: Generation,
    pub(crate) clock: Clock,
    pub(crate) store: ClusterStore,
    pub(crate) artifacts: Artifacts,
    pub(crate) jobs: Jobs,
    pub(crate) task_managers: TaskManagers,
    pub(crate) port: WorkerPortHandle,
    pub(crate) facts: mpsc::Sender<Fact>,
    pub(crate) slots: watch::Sender<SlotTable>,
    pub(crate) phase: watch::Sender<Phase>,
}

impl Dispatcher {
    /// Tells the cluster what has happened, in order.
    pub(crate) async fn tell(&self, event: ClusterEvent) -> Result<(), ClusterGone> {
        self.facts
            .send(Fact::Happened(event))
            .await
            .map_err(|_| ClusterGone)
    }
}

//! Intentions that the cluster has.

use tidegate_core::{JobId, Severity, TaskManagerId, WorkerName};

use super::shortage::Shortage;

/// An intention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterCommand {
    /// Start a worker's process and answer with its end, whenever that is.
    StartWorker {
        /// Where.
        task_manager: TaskManagerId,
        /// For which job.
        job: JobId,
        /// What to call it. No process was ever called so.
        worker: WorkerName,
        /// How many slots it has.
        slots: u32,
    },
    /// End a worker's process and answer with its end. May be ordered twice.
    StopWorker {
        /// Where.
        task_manager: TaskManagerId,
        /// For which job.
        job: JobId,
        /// Which.
        worker: WorkerName,
    },
    /// A worker is gone, or as good as gone: tell its job's driver at once.
    WorkerGone {
        /// Whose.
        job: JobId,
        /// Which.
        worker: WorkerName,
        /// Why.
        reason: String,
        /// Whether the job may go on with another.
        severity: Severity,
    },
    /// A job is short of slots, for this reason from now on.
    JobWaits {
        /// Which.
        job: JobId,
        /// What it waits for.
        shortage: Shortage,
    },
    /// A job has all of its slots. Its workers may still be on their way.
    JobPlaced {
        /// Which.
        job: JobId,
    },
}

//! Facts that the cluster is told.

use tidegate_core::{JobId, Severity, TaskManagerId, WorkerName};

/// A worker that a task manager runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostedWorker {
    /// Its name.
    pub worker: WorkerName,
    /// The job that it works for.
    pub job: JobId,
    /// How many slots it has.
    pub slots: u32,
}

/// How a job comes to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Somebody has submitted it: no worker of it exists.
    Submitted,
    /// It was there before this job manager: workers of it may still run, and are waited for a while.
    Recovered,
}

/// A fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterEvent {
    /// A task manager has come, or has come back. Recovered jobs are admitted before the first.
    TaskManagerAttached {
        /// Which.
        task_manager: TaskManagerId,
        /// Which start of its process.
        incarnation: u64,
        /// How many slots it has.
        slots: u32,
        /// What it can execute.
        target: String,
        /// What it still runs.
        workers: Vec<HostedWorker>,
    },
    /// A task manager is gone, or has not been heard of for too long. One of another incarnation is not meant.
    TaskManagerLost {
        /// Which.
        task_manager: TaskManagerId,
        /// Which start of its process.
        incarnation: u64,
        /// How it is known.
        reason: String,
    },
    /// A job is to run.
    JobAdmitted {
        /// Which.
        job: JobId,
        /// How many slots it needs.
        slots: u32,
        /// What its executable was compiled for; `None` runs anywhere.
        target: Option<String>,
        /// How it comes.
        admission: Admission,
    },
    /// A job needs another number of slots from now on. Whole workers are stopped if it needs fewer; none is made smaller.
    JobNeeds {
        /// Which.
        job: JobId,
        /// How many.
        slots: u32,
    },
    /// A job is over. Told as soon as its coordinator has ended, so that the ends of its workers are no failures.
    JobEnded {
        /// Which.
        job: JobId,
    },
    /// A worker's process runs.
    WorkerStarted {
        /// Where.
        task_manager: TaskManagerId,
        /// For which job.
        job: JobId,
        /// Which.
        worker: WorkerName,
    },
    /// A worker's process has ended, or could not be started.
    WorkerEnded {
        /// Where.
        task_manager: TaskManagerId,
        /// For which job.
        job: JobId,
        /// Which.
        worker: WorkerName,
        /// How: exit status and last words.
        reason: String,
        /// Whether another may be tried.
        severity: Severity,
    },
    /// The time that [`Cluster::next_wakeup`](super::Cluster::next_wakeup) named has come.
    Wakeup,
}

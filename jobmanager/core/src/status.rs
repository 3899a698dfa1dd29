//! What a job looks like from outside.

use std::{fmt, sync::Arc, time::Duration};

use tidegate_core::{
    Attempt, BarrierKind, CheckpointId, Epoch, Generation, Lineage, ProcessingTime, TaskError, WorkerId,
    WorkerName,
};

use crate::newcomer::Seat;

/// How many exceptions are remembered.
pub(crate) const EXCEPTION_HISTORY: usize = 32;
/// How many failed checkpoints are remembered.
pub(crate) const CHECKPOINT_FAILURE_HISTORY: usize = 32;

/// The state of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// Finding out where it stands.
    Created,
    /// Tasks are being put in place.
    Deploying,
    /// Tasks are running.
    Running,
    /// Tasks have been stopped, or are being, and will be deployed again.
    Restarting,
    /// Tasks are being stopped because the job has failed.
    Failing,
    /// The job has failed for good.
    Failed,
    /// A claimed epoch is being committed and tasks are being stopped because somebody asked for it.
    Cancelling,
    /// Somebody ended the job.
    Canceled,
    /// The job stands still at a checkpoint and can be resumed.
    Suspended,
    /// All input has ended and everything is committed.
    Finished,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Failing => "failing",
            Self::Failed => "failed",
            Self::Cancelling => "cancelling",
            Self::Canceled => "canceled",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
        })
    }
}

/// How a job's run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All input has ended and everything is committed.
    Finished {
        /// The last epoch.
        epoch: Epoch,
    },
    /// The job had finished before; nothing was done.
    AlreadyFinished {
        /// The last epoch.
        epoch: Epoch,
    },
    /// The job stands still at a checkpoint.
    Suspended {
        /// The last epoch, if one was ever claimed.
        epoch: Option<Epoch>,
    },
    /// Somebody ended the job.
    Canceled {
        /// The last epoch, if sinks may not have committed it; resuming the job will.
        uncommitted: Option<Epoch>,
    },
    /// The job has failed.
    Failed {
        /// Why.
        cause: String,
        /// The task that failed, if one did.
        task: Option<TaskError>,
        /// The last epoch, if sinks may not have committed it; resuming the job will.
        uncommitted: Option<Epoch>,
    },
    /// Another leader has taken over; it decides about the job now.
    Fenced {
        /// The epoch at which that showed.
        epoch: Epoch,
        /// The leader's generation.
        generation: Generation,
    },
}

impl Outcome {
    /// The state that the job is in.
    pub fn state(&self) -> JobState {
        match self {
            Self::Finished { .. } | Self::AlreadyFinished { .. } => JobState::Finished,
            Self::Suspended { .. } | Self::Fenced { .. } => JobState::Suspended,
            Self::Canceled { .. } => JobState::Canceled,
            Self::Failed { .. } => JobState::Failed,
        }
    }
}

/// What a claimed checkpoint was like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointStatistics {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The epoch it became.
    pub epoch: Epoch,
    /// Why it was taken.
    pub kind: BarrierKind,
    /// When it was triggered.
    pub triggered_at: ProcessingTime,
    /// When it was claimed.
    pub claimed_at: ProcessingTime,
    /// From its trigger until all workers had acknowledged it.
    pub acknowledged_after: Duration,
    /// From its trigger until it was claimed.
    pub duration: Duration,
    /// Bytes of segments written for it.
    pub written_bytes: u64,
    /// Bytes of all segments that a restore would read.
    pub total_bytes: u64,
    /// The longest alignment of a task, in microseconds.
    pub longest_alignment_us: u64,
    /// The longest time that a task stood still, in microseconds.
    pub longest_sync_us: u64,
}

/// A checkpoint that did not come to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointFailure {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Why it was taken.
    pub kind: BarrierKind,
    /// When it was triggered.
    pub triggered_at: ProcessingTime,
    /// When it was given up.
    pub failed_at: ProcessingTime,
    /// Why; of one that timed out: which tasks had not acknowledged it, and what each of them waited for.
    pub reason: String,
}

impl fmt::Display for CheckpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint {} failed: {}", self.checkpoint, self.reason)
    }
}

/// Something that ended an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExceptionRecord {
    /// When.
    pub at: ProcessingTime,
    /// In which attempt.
    pub attempt: Attempt,
    /// On which worker, if on one that was attached.
    pub worker: Option<WorkerId>,
    /// The name of that worker's process, which tells its task manager.
    pub host: Option<WorkerName>,
    /// What.
    pub cause: String,
}

/// A job at a glance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobStatus {
    /// Its state.
    pub state: JobState,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// The attempt that runs, ran last or will run next.
    pub attempt: Attempt,
    /// The term of leadership, once there is one.
    pub generation: Option<Generation>,
    /// The seats of the attempt, in order: task *i* of every vertex runs in seat *i* modulo their number.
    pub seats: Arc<[Seat]>,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The tail of the chain.
    pub epoch: Option<Epoch>,
    /// How far sinks are known to have committed.
    pub committed: Option<Epoch>,
    /// The last checkpoint that was claimed in this run.
    pub last_checkpoint: Option<CheckpointStatistics>,
    /// The checkpoint that is being taken, and when it was triggered.
    pub pending_checkpoint: Option<(CheckpointId, ProcessingTime)>,
    /// How many checkpoints were claimed in this run.
    pub completed_checkpoints: u64,
    /// How many checkpoints failed in this run.
    pub failed_checkpoints: u64,
    /// The checkpoints that failed in this run, newest last; the oldest are forgotten.
    pub checkpoint_failures: Vec<CheckpointFailure>,
    /// How many times tasks have been restarted.
    pub restarts: u32,
    /// What ended attempts, newest last; the oldest are forgotten.
    pub exceptions: Vec<ExceptionRecord>,
    /// The last thing that went wrong, checkpoints and commits included.
    pub last_cause: Option<String>,
}

impl JobStatus {
    /// How old the last claimed checkpoint is.
    pub fn checkpoint_age(&self, now: ProcessingTime) -> Option<Duration> {
        self.last_checkpoint
            .as_ref()
            .map(|last| now.since(last.claimed_at))
    }
}

//! Jobs.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use tidegate_driver::JobState;
use tidegate_proto::JobEndKind;
use utoipa::ToSchema;

use super::{PlanView, VertexView};

/// A job was submitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Submitted {
    /// Its id.
    pub jobid: String,
}

/// All jobs by id.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct JobIds {
    /// Oldest first.
    pub jobs: Vec<JobIdWithStatus>,
}

/// A job and its state.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct JobIdWithStatus {
    /// Its id.
    pub id: String,
    /// Its state.
    pub status: JobPhase,
}

/// All jobs at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct JobOverview {
    /// Oldest first.
    pub jobs: Vec<JobSummary>,
}

/// The state of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobPhase {
    /// Finding out where it stands, or waiting for slots.
    Created,
    /// Its tasks are being put in place.
    Deploying,
    /// Its tasks run.
    Running,
    /// Its tasks have been stopped, or are being, and will be deployed again.
    Restarting,
    /// Its tasks are being stopped because it has failed.
    Failing,
    /// It has failed for good.
    Failed,
    /// Its tasks are being stopped because somebody asked for it.
    Cancelling,
    /// Somebody ended it.
    Canceled,
    /// It stands still at a savepoint and can be started from there.
    Suspended,
    /// All its input has ended and everything is committed.
    Finished,
}

impl JobPhase {
    /// Whether nothing follows.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Canceled | Self::Suspended | Self::Finished
        )
    }
}

impl From<JobState> for JobPhase {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Created => Self::Created,
            JobState::Deploying => Self::Deploying,
            JobState::Running => Self::Running,
            JobState::Restarting => Self::Restarting,
            JobState::Failing => Self::Failing,
            JobState::Failed => Self::Failed,
            JobState::Cancelling => Self::Cancelling,
            JobState::Canceled => Self::Canceled,
            JobState::Suspended => Self::Suspended,
            JobState::Finished => Self::Finished,
        }
    }
}

/// A job at a glance.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobSummary {
    /// Its id.
    pub jid: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: JobPhase,
    /// When it was submitted.
    pub start_time: i64,
    /// When it ended; -1 until then.
    pub end_time: i64,
    /// From its submission to its end, or until now.
    pub duration: i64,
    /// When its state last changed.
    pub last_modification: i64,
    /// How many tasks it has, by state.
    pub tasks: TaskCounts,
}

/// How many tasks are in which state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct TaskCounts {
    /// All.
    pub total: u32,
    /// Not in place yet.
    pub created: u32,
    /// Being put in place.
    pub deploying: u32,
    /// Running.
    pub running: u32,
    /// Whose input has ended.
    pub finished: u32,
    /// Being stopped.
    pub canceling: u32,
    /// Stopped.
    pub canceled: u32,
    /// Failed.
    pub failed: u32,
}

/// When a job entered which state for the last time.
pub type StateTimes = BTreeMap<String, i64>;

/// Everything about a job.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobDetails {
    /// Its id.
    pub jid: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: JobPhase,
    /// When it was submitted.
    pub start_time: i64,
    /// When it ended; -1 until then.
    pub end_time: i64,
    /// From its submission to its end, or until now.
    pub duration: i64,
    /// The time of this answer.
    pub now: i64,
    /// The executable that it runs.
    pub artifact: String,
    /// Its arguments.
    pub program_arguments: Vec<String>,
    /// The parallelism of operators that do not say otherwise.
    pub parallelism: u32,
    /// How many slots it takes.
    pub slots: u32,
    /// The most tasks that an operator can have: its key groups.
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: u32,
    /// Why it waits for slots, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it failed or was stopped, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The attempt that runs, ran last or will run next.
    pub attempt: u32,
    /// How often its tasks have been restarted since this job manager leads it.
    pub restarts: u32,
    /// The term of leadership over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The last link of its chain of checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// How far its sinks are known to have committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_epoch: Option<u64>,
    /// When it entered which state for the last time.
    pub timestamps: StateTimes,
    /// Its chains of operators, producers before consumers.
    pub vertices: Vec<VertexView>,
    /// How many vertices are in which state.
    pub status_counts: TaskCounts,
    /// Its plan.
    pub plan: PlanView,
}

impl fmt::Display for JobPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "CREATED",
            Self::Deploying => "DEPLOYING",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Suspended => "SUSPENDED",
            Self::Finished => "FINISHED",
        })
    }
}

impl From<JobEndKind> for JobPhase {
    fn from(kind: JobEndKind) -> Self {
        match kind {
            JobEndKind::Finished => Self::Finished,
            JobEndKind::Suspended => Self::Suspended,
            JobEndKind::Canceled => Self::Canceled,
            JobEndKind::Failed => Self::Failed,
        }
    }
}

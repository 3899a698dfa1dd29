//! A job's checkpoints.

use serde::Serialize;
use utoipa::ToSchema;

/// How checkpoints have gone so far.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CheckpointHistory {
    /// How many.
    pub counts: CheckpointCounts,
    /// The last of each kind.
    pub latest: CheckpointLatest,
    /// Newest first; the oldest are forgotten.
    pub history: Vec<CheckpointView>,
}

/// How many checkpoints there were since this job manager leads the job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct CheckpointCounts {
    /// All.
    pub total: u64,
    /// Being taken.
    pub in_progress: u64,
    /// Claimed.
    pub completed: u64,
    /// Given up.
    pub failed: u64,
    /// How often tasks were restored from one.
    pub restored: u64,
}

/// The last checkpoint of each kind.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct CheckpointLatest {
    /// That was claimed.
    pub completed: Option<CheckpointView>,
    /// That was claimed for a savepoint.
    pub savepoint: Option<CheckpointView>,
    /// That was given up.
    pub failed: Option<CheckpointView>,
}

/// Where a checkpoint is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointState {
    /// Being taken.
    InProgress,
    /// Claimed: recovery would start from it.
    Completed,
    /// Given up.
    Failed,
}

/// One checkpoint.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CheckpointView {
    /// Its id: rising, with gaps where one was given up.
    pub id: u64,
    /// Where it is.
    pub status: CheckpointState,
    /// The link of the chain that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Why it was taken.
    pub checkpoint_type: String,
    /// When it was triggered.
    pub trigger_timestamp: i64,
    /// When the last part had come; -1 until then.
    pub latest_ack_timestamp: i64,
    /// From its trigger until it was claimed or given up, or until now.
    pub end_to_end_duration: i64,
    /// Bytes that a restore from it would read.
    pub state_size: u64,
    /// Bytes written for it: what has changed.
    pub checkpointed_size: u64,
    /// The longest alignment of a task, in microseconds.
    pub longest_alignment_us: u64,
    /// The longest time that a task stood still, in microseconds.
    pub longest_sync_us: u64,
    /// Where a job can be started from, if it is retained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_path: Option<String>,
    /// Why it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
}

/// One checkpoint with its tasks.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CheckpointDetails {
    /// The checkpoint.
    #[serde(flatten)]
    pub checkpoint: CheckpointView,
    /// Its tasks, while its manifest is kept.
    pub tasks: Vec<CheckpointTask>,
    /// How many objects a restore reads, beside the manifest.
    pub segments: usize,
    /// The generation that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// A task's part in a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckpointTask {
    /// The vertex.
    pub vertex: u32,
    /// Which of its tasks.
    pub subtask: u32,
    /// From the first barrier to the last, in microseconds.
    pub alignment_us: u64,
    /// How long the task stood still, in microseconds.
    pub sync_us: u64,
    /// How long its state was being serialised, in microseconds, between batches.
    pub scan_us: u64,
    /// How long it took until what its worker had serialised was durable, in microseconds.
    pub upload_us: u64,
    /// How much state it wrote, in bytes.
    pub written_bytes: u64,
    /// Whether its input had ended.
    pub ended: bool,
}

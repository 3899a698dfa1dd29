//! The job manager's documents, as far as tables show them.
//!
//! What is not needed is not read, and what may be missing has a value for it, so that the command gets along with job
//! managers a little older or newer than itself. With `-o json` the documents are passed on as they came.

use serde::Deserialize;

/// `GET /v1/overview`.
#[derive(Deserialize, Debug, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Overview {
    pub(crate) taskmanagers: u64,
    pub(crate) slots_total: u64,
    pub(crate) slots_available: u64,
    pub(crate) jobs_running: u64,
    pub(crate) jobs_finished: u64,
    pub(crate) jobs_cancelled: u64,
    pub(crate) jobs_failed: u64,
    pub(crate) version: String,
    pub(crate) generation: u64,
    pub(crate) storage: String,
}

/// `GET /v1/jobs/overview`.
#[derive(Deserialize, Debug)]
pub(crate) struct JobsOverview {
    pub(crate) jobs: Vec<JobSummary>,
}

/// A job at a glance.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobSummary {
    pub(crate) jid: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default = "not_yet")]
    pub(crate) start_time: i64,
    #[serde(default)]
    pub(crate) duration: i64,
    #[serde(default)]
    pub(crate) tasks: TaskCounts,
}

impl JobSummary {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(&self.state)
    }
}

/// Whether nothing follows a job's state.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(state, "FINISHED" | "FAILED" | "CANCELED" | "SUSPENDED")
}

fn not_yet() -> i64 {
    -1
}

/// How many tasks are in which state.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
pub(crate) struct TaskCounts {
    pub(crate) total: u64,
    pub(crate) running: u64,
    pub(crate) finished: u64,
}

/// `GET /v1/jobs/<job>`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobDetails {
    pub(crate) jid: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default = "not_yet")]
    pub(crate) start_time: i64,
    #[serde(default = "not_yet")]
    pub(crate) end_time: i64,
    #[serde(default)]
    pub(crate) duration: i64,
    #[serde(default)]
    pub(crate) artifact: String,
    #[serde(default)]
    pub(crate) program_arguments: Vec<String>,
    #[serde(default)]
    pub(crate) parallelism: u64,
    #[serde(default)]
    pub(crate) slots: u64,
    pub(crate) waits_for: Option<String>,
    pub(crate) cause: Option<String>,
    #[serde(default)]
    pub(crate) restarts: u64,
    pub(crate) epoch: Option<u64>,
    pub(crate) committed_epoch: Option<u64>,
    #[serde(default)]
    pub(crate) vertices: Vec<Vertex>,
}

impl JobDetails {
    /// Its tasks in all.
    pub(crate) fn tasks(&self) -> TaskCounts {
        self.vertices
            .iter()
            .fold(TaskCounts::default(), |sum, vertex| TaskCounts {
                total: sum.total + vertex.tasks.total,
                running: sum.running + vertex.tasks.running,
                finished: sum.finished + vertex.tasks.finished,
            })
    }
}

/// A chain of operators of a job.
#[derive(Deserialize, Debug)]
pub(crate) struct Vertex {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) parallelism: u64,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) tasks: TaskCounts,
    #[serde(default)]
    pub(crate) metrics: Metrics,
}

/// `GET /v1/jobs/<job>/vertices/<vertex>`.
#[derive(Deserialize, Debug)]
pub(crate) struct VertexDetails {
    #[serde(default)]
    pub(crate) subtasks: Vec<Subtask>,
}

/// One task of a vertex.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subtask {
    pub(crate) subtask: u64,
    #[serde(default)]
    pub(crate) status: String,
    pub(crate) worker: Option<String>,
    pub(crate) taskmanager_id: Option<String>,
    #[serde(default)]
    pub(crate) metrics: Metrics,
}

/// What was measured of a vertex or a task.
#[derive(Deserialize, Debug, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Metrics {
    pub(crate) read_records: u64,
    pub(crate) write_records: u64,
    pub(crate) accumulated_backpressured_time: u64,
    pub(crate) accumulated_idle_time: u64,
    pub(crate) accumulated_busy_time: u64,
    pub(crate) state_size: u64,
    pub(crate) current_watermark: Option<i64>,
}

/// `GET /v1/jobs/<job>/plan`.
#[derive(Deserialize, Debug)]
pub(crate) struct JobPlan {
    pub(crate) plan: Plan,
}

/// A job's graph.
#[derive(Deserialize, Debug)]
pub(crate) struct Plan {
    #[serde(default)]
    pub(crate) nodes: Vec<PlanNode>,
}

/// A chain of operators in it.
#[derive(Deserialize, Debug)]
pub(crate) struct PlanNode {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) parallelism: u64,
    #[serde(default)]
    pub(crate) operators: Vec<String>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) inputs: Vec<PlanInput>,
}

/// Where a chain's records come from.
#[derive(Deserialize, Debug)]
pub(crate) struct PlanInput {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) ship_strategy: String,
}

/// `GET /v1/artifacts`.
#[derive(Deserialize, Debug)]
pub(crate) struct Artifacts {
    pub(crate) artifacts: Vec<Artifact>,
}

/// An executable.
#[derive(Deserialize, Debug)]
pub(crate) struct Artifact {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default = "not_yet")]
    pub(crate) uploaded: i64,
    #[serde(default)]
    pub(crate) target: Option<String>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) jobs: Vec<String>,
}

/// The answer to a submission.
#[derive(Deserialize, Debug)]
pub(crate) struct Submitted {
    pub(crate) jobid: String,
}

/// The answer to what takes a while.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Triggered {
    pub(crate) request_id: String,
}

/// How far a savepoint is.
#[derive(Deserialize, Debug)]
pub(crate) struct SavepointStatus {
    pub(crate) status: SavepointProgress,
    #[serde(default)]
    pub(crate) operation: SavepointOperation,
}

/// Whether it is done.
#[derive(Deserialize, Debug)]
pub(crate) struct SavepointProgress {
    pub(crate) id: String,
}

/// What came of it.
#[derive(Deserialize, Debug, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct SavepointOperation {
    pub(crate) location: Option<String>,
    pub(crate) failure_cause: Option<String>,
}

/// `GET /v1/jobs/<job>/checkpoints`.
#[derive(Deserialize, Debug)]
pub(crate) struct Checkpoints {
    #[serde(default)]
    pub(crate) history: Vec<Checkpoint>,
}

/// One checkpoint.
#[derive(Deserialize, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) id: u64,
    pub(crate) status: String,
    pub(crate) epoch: Option<u64>,
    #[serde(default)]
    pub(crate) is_savepoint: bool,
    #[serde(default = "not_yet")]
    pub(crate) trigger_timestamp: i64,
    #[serde(default)]
    pub(crate) end_to_end_duration: i64,
    #[serde(default)]
    pub(crate) state_size: u64,
    #[serde(default)]
    pub(crate) checkpointed_size: u64,
    pub(crate) external_path: Option<String>,
    pub(crate) failure_message: Option<String>,
}

/// One checkpoint with its tasks.
#[derive(Deserialize, Debug)]
pub(crate) struct CheckpointDetails {
    #[serde(default)]
    pub(crate) tasks: Vec<CheckpointTask>,
    #[serde(default)]
    pub(crate) segments: u64,
}

/// A task's part in a checkpoint; times are microseconds.
#[derive(Deserialize, Debug, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct CheckpointTask {
    pub(crate) vertex: u64,
    pub(crate) subtask: u64,
    pub(crate) alignment_us: u64,
    pub(crate) sync_us: u64,
    pub(crate) scan_us: u64,
    pub(crate) ended: bool,
}

/// `GET /v1/jobs/<job>/exceptions`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exceptions {
    pub(crate) exception_history: ExceptionHistory,
}

/// What went wrong, newest first.
#[derive(Deserialize, Debug)]
pub(crate) struct ExceptionHistory {
    #[serde(default)]
    pub(crate) entries: Vec<ExceptionEntry>,
}

/// Something that went wrong.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExceptionEntry {
    pub(crate) exception_name: String,
    #[serde(default = "not_yet")]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) attempt: u64,
    pub(crate) worker: Option<String>,
    pub(crate) task_manager_id: Option<String>,
}

/// `GET /v1/jobs/<job>/logs`.
#[derive(Deserialize, Debug)]
pub(crate) struct LogFiles {
    pub(crate) logs: Vec<LogFile>,
    #[serde(default)]
    pub(crate) unreachable: Vec<String>,
}

/// A log file.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LogFile {
    pub(crate) task_manager: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) size: u64,
}

/// `GET /v1/taskmanagers`.
#[derive(Deserialize, Debug)]
pub(crate) struct TaskManagers {
    pub(crate) taskmanagers: Vec<TaskManager>,
}

/// A task manager.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManager {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) host: String,
    #[serde(default = "not_yet")]
    pub(crate) time_since_last_heartbeat: i64,
    #[serde(default)]
    pub(crate) slots_number: u64,
    #[serde(default)]
    pub(crate) free_slots: u64,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) physical_memory: u64,
    #[serde(default)]
    pub(crate) used_memory: u64,
    #[serde(default)]
    pub(crate) workers: Vec<TaskManagerWorker>,
}

/// A worker on a task manager.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TaskManagerWorker {
    pub(crate) worker: String,
    pub(crate) job: String,
    #[serde(default)]
    pub(crate) memory: u64,
    #[serde(default)]
    pub(crate) cpu_millicores: u64,
}

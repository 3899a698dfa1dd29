//! A job's vertices and their tasks.

use serde::Serialize;
use utoipa::ToSchema;

use super::{JobPhase, TaskCounts};

/// A chain of operators.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VertexView {
    /// Its number.
    pub id: String,
    /// The names of its operators.
    pub name: String,
    /// How many tasks run it.
    pub parallelism: u32,
    /// The most that could.
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: u32,
    /// Its state: that of the job, as all tasks of a job live and die together.
    pub status: JobPhase,
    /// Its tasks by state.
    pub tasks: TaskCounts,
    /// The sums over its tasks.
    pub metrics: TaskMetricsView,
}

/// A vertex with its tasks.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VertexDetails {
    /// Its number.
    pub id: String,
    /// The names of its operators.
    pub name: String,
    /// How many tasks run it.
    pub parallelism: u32,
    /// The most that could.
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: u32,
    /// The time of this answer.
    pub now: i64,
    /// Its tasks.
    pub subtasks: Vec<SubtaskView>,
}

/// One task.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SubtaskView {
    /// Which of the vertex's tasks.
    pub subtask: u32,
    /// Its state.
    pub status: JobPhase,
    /// The attempt.
    pub attempt: u32,
    /// The worker that runs it, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The task manager that it runs on, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taskmanager_id: Option<String>,
    /// What was measured.
    pub metrics: TaskMetricsView,
}

/// What was measured of a task, or of all tasks of a vertex.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TaskMetricsView {
    /// Records received, or read by a source.
    pub read_records: u64,
    /// Records sent to other tasks or written to sinks.
    pub write_records: u64,
    /// Bytes received from other workers.
    pub read_bytes: u64,
    /// Bytes sent to other workers.
    pub write_bytes: u64,
    /// Milliseconds in which a consumer or a sink had no room.
    pub accumulated_backpressured_time: u64,
    /// Milliseconds in which there was nothing to do.
    pub accumulated_idle_time: u64,
    /// Milliseconds in which it ran.
    pub accumulated_busy_time: u64,
    /// Records that came too late.
    pub late_records: u64,
    /// Bytes of keyed state, estimated.
    pub state_size: u64,
    /// How far event time has come, in milliseconds since the Unix epoch; of several tasks the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_watermark: Option<i64>,
}

/// How much a vertex is held up by those behind it.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct VertexBackpressure {
    /// Always `ok`: it is known.
    pub status: &'static str,
    /// The worst of its tasks.
    #[serde(rename = "backpressureLevel")]
    pub backpressure_level: BackpressureLevel,
    /// The time of this answer.
    #[serde(rename = "end-timestamp")]
    pub end_timestamp: i64,
    /// Its tasks.
    pub subtasks: Vec<SubtaskBackpressure>,
}

/// How much a task is held up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackpressureLevel {
    /// For at most a tenth of the time.
    Ok,
    /// For at most half of the time.
    Low,
    /// For more than half of the time.
    High,
}

impl BackpressureLevel {
    /// The level of a share of time, from 0 to 1.
    pub fn of(ratio: f64) -> Self {
        match ratio {
            ratio if ratio <= 0.1 => Self::Ok,
            ratio if ratio <= 0.5 => Self::Low,
            _ => Self::High,
        }
    }
}

/// How much a task is held up, as shares of the time since it was last looked at.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SubtaskBackpressure {
    /// Which of the vertex's tasks.
    pub subtask: u32,
    /// How much.
    #[serde(rename = "backpressureLevel")]
    pub backpressure_level: BackpressureLevel,
    /// The share in which a consumer or a sink had no room.
    pub ratio: f64,
    /// The share in which there was nothing to do.
    #[serde(rename = "idleRatio")]
    pub idle_ratio: f64,
    /// The share in which it ran.
    #[serde(rename = "busyRatio")]
    pub busy_ratio: f64,
}

/// How far event time has come in a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct WatermarkView {
    /// `<subtask>.currentInputWatermark`.
    pub id: String,
    /// In milliseconds since the Unix epoch.
    pub value: String,
}

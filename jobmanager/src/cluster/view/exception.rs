//! What went wrong in a job.

use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong in a job, as far as it is remembered.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct JobExceptions {
    /// The last cause.
    #[serde(rename = "root-exception")]
    pub root_exception: Option<String>,
    /// When.
    pub timestamp: Option<i64>,
    /// All causes.
    #[serde(rename = "exceptionHistory")]
    pub exception_history: ExceptionHistory,
}

/// Causes in time.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ExceptionHistory {
    /// Newest first.
    pub entries: Vec<ExceptionEntry>,
    /// Whether older ones are forgotten.
    pub truncated: bool,
}

/// Something that ended an attempt.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ExceptionEntry {
    /// What.
    #[serde(rename = "exceptionName")]
    pub exception_name: String,
    /// When.
    pub timestamp: i64,
    /// In which attempt.
    pub attempt: u32,
    /// On which worker, if on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// On which task manager, if on one.
    #[serde(rename = "taskManagerId", skip_serializing_if = "Option::is_none")]
    pub task_manager_id: Option<String>,
}

//! What goes wrong inside a task, with where.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    id::{OperatorUid, TaskId},
    snapshot::StateError,
};

/// An opaque cause.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why an operator, source or sink could not go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// User code returned an error for one record.
    #[error("record {position}: {cause}")]
    Record {
        /// The record's place among those the operator has received in this attempt, from 0.
        position: u64,
        /// What user code said.
        cause: BoxError,
    },
    /// State could not be restored, read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// Anything else: opening, closing, reading, writing.
    #[error("{0}")]
    Other(BoxError),
}

impl OperatorError {
    /// Wraps any error.
    pub fn other(cause: impl Into<BoxError>) -> Self {
        Self::Other(cause.into())
    }
}

/// The failure of a task: which task, which operator in it, and why. It travels to the coordinator as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// The task that failed.
    pub task: TaskId,
    /// The name of the task's chain.
    pub task_name: String,
    /// The operator in the task that failed, if one did.
    pub operator: Option<OperatorUid>,
    /// What happened, in words.
    pub message: String,
    /// What the coordinator should do about it.
    pub severity: Severity,
}

/// What the coordinator should do about a failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Restart by the job's restart strategy.
    Restart,
    /// Fail the job: a restart would end the same way.
    FailJob,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ({})", self.task, self.task_name)?;
        if let Some(operator) = &self.operator {
            write!(f, ", operator {operator:?}", operator = operator.as_str())?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for TaskError {}

//! The counters of a worker's tasks, to be read from outside.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_core::{TaskId, metrics::TaskMetrics};

/// The counters of one task, to be read while it runs.
#[derive(Clone, Debug)]
pub struct TaskMetricsEntry {
    /// The task.
    pub task: TaskId,
    /// The names of its operators, joined.
    pub name: String,
    /// Whether it starts with a source.
    pub is_source: bool,
    /// Whether it ends in a sink.
    pub is_sink: bool,
    /// Its counters.
    pub metrics: Arc<TaskMetrics>,
}

/// The counters of a worker's tasks in the current attempt.
#[derive(Clone, Debug, Default)]
pub struct WorkerMetrics {
    /// Taken briefly when an attempt begins and when somebody reads.
    tasks: Arc<Mutex<Vec<TaskMetricsEntry>>>,
}

impl WorkerMetrics {
    /// The tasks of the current attempt.
    pub fn tasks(&self) -> Vec<TaskMetricsEntry> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, tasks: Vec<TaskMetricsEntry>) {
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }
}

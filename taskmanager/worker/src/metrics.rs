//! The metrics of a worker's tasks, to be read from outside.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_core::{
    TaskId,
    metrics::{ActivityTimes, TaskMetrics},
};
use tidegate_exchange::{ChannelMeter, ReceiverEnd, SenderEnd};

use crate::clock::Clock;

/// The metrics of one task, to be read while it runs.
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
    /// What it measures.
    pub metrics: Arc<TaskMetrics>,
    pub(crate) traffic: Traffic,
    pub(crate) clock: Clock,
}

impl TaskMetricsEntry {
    /// What the task has done with its time until now.
    pub fn times(&self) -> ActivityTimes {
        self.metrics.activity.times(self.clock.nanos())
    }

    /// Bytes of records received from other workers. Records that stay in a worker are never bytes.
    pub fn bytes_in(&self) -> u64 {
        sum(&self.traffic.received)
    }

    /// Bytes of records sent to other workers.
    pub fn bytes_out(&self) -> u64 {
        sum(&self.traffic.sent)
    }
}

fn sum(meters: &[Arc<ChannelMeter>]) -> u64 {
    meters.iter().map(|meter| meter.bytes.get()).sum()
}

/// The meters of a task's channels to and from other workers.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    sent: Arc<[Arc<ChannelMeter>]>,
    received: Arc<[Arc<ChannelMeter>]>,
}

impl Traffic {
    pub(crate) fn of<'a>(
        senders: impl Iterator<Item = &'a SenderEnd>,
        receivers: impl Iterator<Item = &'a ReceiverEnd>,
    ) -> Self {
        let sent = senders.filter_map(|end| match end {
            SenderEnd::Remote(sender) => Some(sender.meter()),
            SenderEnd::Local(_) => None,
        });
        let received = receivers.filter_map(|end| match end {
            ReceiverEnd::Remote(receiver) => Some(receiver.meter()),
            ReceiverEnd::Local(_) => None,
        });
        Self {
            sent: sent.collect(),
            received: received.collect(),
        }
    }
}

/// The metrics of a worker's tasks in the current attempt.
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

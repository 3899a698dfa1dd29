//! The metrics of a worker's tasks, to be read from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidegate_core::{
    Attempt, TaskId, VertexId,
    metrics::{ActivityTimes, RestoredBytes, TaskMeasurement, TaskMetrics, WorkerMeasurement},
};
use tidegate_exchange::{ChannelMeter, Network, ReceiverEnd, SenderEnd};

use crate::{clock::Clock, segments::ReadBytes};

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

    /// All of it as it is now.
    pub fn measure(&self) -> TaskMeasurement {
        let metrics = &self.metrics;
        TaskMeasurement {
            task: self.task,
            records_in: metrics.records_in.get(),
            records_out: metrics.records_out.get(),
            records_written: metrics.records_written.get(),
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out(),
            late_records: metrics.late_records.get(),
            malformed_records: metrics.malformed.get(),
            times: self.times(),
            watermark: metrics.watermark.get(),
            watermark_held_by: metrics.watermark_held_by.get(),
            held_back_by: metrics
                .held_back_by
                .get()
                .checked_sub(1)
                .and_then(|vertex| u32::try_from(vertex).ok())
                .map(VertexId),
            state_bytes: metrics.state_bytes.get(),
            alignment_us: metrics.alignment_us.get(),
        }
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
    current: Arc<Mutex<Current>>,
    /// Does not keep the worker's connections open.
    network: Weak<Network>,
}

/// An attempt's.
#[derive(Debug, Default)]
struct Current {
    attempt: Attempt,
    tasks: Vec<TaskMetricsEntry>,
    restored: Arc<ReadBytes>,
}

impl WorkerMetrics {
    pub(crate) fn of(network: Option<&Arc<Network>>) -> Self {
        Self {
            current: Arc::default(),
            network: network.map(Arc::downgrade).unwrap_or_default(),
        }
    }

    /// The tasks of the current attempt.
    pub fn tasks(&self) -> Vec<TaskMetricsEntry> {
        self.current().tasks.clone()
    }

    /// How much of segments the current attempt's tasks have restored, and from where.
    pub fn restored(&self) -> RestoredBytes {
        self.current().restored.get()
    }

    /// Connections that the worker's data port has turned away.
    pub fn refused_connections(&self) -> u64 {
        let network = self.network.upgrade();
        network.map_or(0, |network| network.refused_connections())
    }

    /// All of it as it is now.
    pub fn measure(&self) -> WorkerMeasurement {
        let current = self.current();
        WorkerMeasurement {
            attempt: current.attempt,
            tasks: current.tasks.iter().map(TaskMetricsEntry::measure).collect(),
            restored: current.restored.get(),
            refused_connections: self.refused_connections(),
        }
    }

    pub(crate) fn begin(&self, attempt: Attempt, tasks: Vec<TaskMetricsEntry>, restored: Arc<ReadBytes>) {
        *self.current() = Current {
            attempt,
            tasks,
            restored,
        };
    }

    /// The attempt's tasks are gone.
    pub(crate) fn end(&self) {
        self.current().tasks.clear();
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

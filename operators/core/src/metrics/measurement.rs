//! What a worker measured, as values that can be sent.

use super::{ActivityTimes, WatermarkHolder};
use crate::{
    id::{Attempt, TaskId, VertexId},
    time::EventTime,
};

/// What a task has measured since its attempt began, as of one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskMeasurement {
    /// The task.
    pub task: TaskId,
    /// Records received, or read by a source.
    pub records_in: u64,
    /// Records sent to other tasks or written to sinks.
    pub records_out: u64,
    /// Those of them that were written to sinks.
    pub records_written: u64,
    /// Bytes received from other workers.
    pub bytes_in: u64,
    /// Bytes sent to other workers.
    pub bytes_out: u64,
    /// Records dropped because they were too late.
    pub late_records: u64,
    /// Records that a policy dropped or diverted.
    pub malformed_records: u64,
    /// What the task has done with its time, in whole microseconds once it has been sent.
    pub times: ActivityTimes,
    /// How far event time has come in it.
    pub watermark: EventTime,
    /// Which input holds it there.
    pub watermark_held_by: WatermarkHolder,
    /// The chain whose lack of room last held the task back.
    pub held_back_by: Option<VertexId>,
    /// Bytes of keyed state, estimated, at the last checkpoint.
    pub state_bytes: u64,
    /// From the first barrier of the last checkpoint to its last, in microseconds.
    pub alignment_us: u64,
}

/// Where a worker read what it restored, in bytes of segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoredBytes {
    /// From its own copies of what it had written.
    pub local: u64,
    /// From the store.
    pub remote: u64,
}

/// What a worker has measured, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerMeasurement {
    /// The attempt that its tasks belong to.
    pub attempt: Attempt,
    /// Its tasks.
    pub tasks: Vec<TaskMeasurement>,
    /// What the attempt's tasks restored, and from where.
    pub restored: RestoredBytes,
    /// Connections that its data port has turned away since the worker started.
    pub refused_connections: u64,
}

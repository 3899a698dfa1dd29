//! What a worker has measured, to and from its message.

use std::time::Duration;

use tidegate_core::{
    Attempt, EventTime, TaskId, VertexId,
    metrics::{ActivityTimes, RestoredBytes, TaskMeasurement, WatermarkHolder, WorkerMeasurement},
};

use crate::{generated as wire, object::DecodeReason};

impl From<&WorkerMeasurement> for wire::WorkerMeasurement {
    fn from(measurement: &WorkerMeasurement) -> Self {
        Self {
            attempt: measurement.attempt.0,
            tasks: measurement.tasks.iter().map(task_to_wire).collect(),
            restored_local_bytes: measurement.restored.local,
            restored_remote_bytes: measurement.restored.remote,
            refused_connections: measurement.refused_connections,
        }
    }
}

impl TryFrom<wire::WorkerMeasurement> for WorkerMeasurement {
    type Error = DecodeReason;

    fn try_from(measurement: wire::WorkerMeasurement) -> Result<Self, DecodeReason> {
        Ok(Self {
            attempt: Attempt(measurement.attempt),
            tasks: measurement.tasks.into_iter().map(task_from_wire).collect(),
            restored: RestoredBytes {
                local: measurement.restored_local_bytes,
                remote: measurement.restored_remote_bytes,
            },
            refused_connections: measurement.refused_connections,
        })
    }
}

fn task_to_wire(task: &TaskMeasurement) -> wire::TaskMeasurement {
    use wire::task_measurement::WatermarkHeldBy as Wire;
    let watermark_held_by = match task.watermark_held_by {
        WatermarkHolder::Nobody => None,
        WatermarkHolder::Channel { vertex, task } => Some(Wire::Channel(wire::WatermarkChannel {
            vertex: vertex.0,
            task,
        })),
        WatermarkHolder::Split { split } => Some(Wire::Split(split)),
        WatermarkHolder::UnreadSplit { split } => Some(Wire::UnreadSplit(split)),
        WatermarkHolder::Input => Some(Wire::Input(wire::WatermarkInput {})),
    };
    wire::TaskMeasurement {
        vertex: task.task.vertex.0,
        index: task.task.index,
        records_in: task.records_in,
        records_out: task.records_out,
        records_written: task.records_written,
        bytes_in: task.bytes_in,
        bytes_out: task.bytes_out,
        late_records: task.late_records,
        malformed_records: task.malformed_records,
        idle_us: micros(task.times.idle),
        queued_us: micros(task.times.queued),
        busy_us: micros(task.times.busy),
        backpressured_us: micros(task.times.backpressured),
        watermark_ms: task.watermark.0,
        watermark_held_by,
        held_back_by: task.held_back_by.map(|vertex| vertex.0),
        state_bytes: task.state_bytes,
        alignment_us: task.alignment_us,
    }
}

fn task_from_wire(task: wire::TaskMeasurement) -> TaskMeasurement {
    use wire::task_measurement::WatermarkHeldBy as Wire;
    let watermark_held_by = match task.watermark_held_by {
        None => WatermarkHolder::Nobody,
        Some(Wire::Channel(channel)) => WatermarkHolder::Channel {
            vertex: VertexId(channel.vertex),
            task: channel.task,
        },
        Some(Wire::Split(split)) => WatermarkHolder::Split { split },
        Some(Wire::UnreadSplit(split)) => WatermarkHolder::UnreadSplit { split },
        Some(Wire::Input(wire::WatermarkInput {})) => WatermarkHolder::Input,
    };
    TaskMeasurement {
        task: TaskId {
            vertex: VertexId(task.vertex),
            index: task.index,
        },
        records_in: task.records_in,
        records_out: task.records_out,
        records_written: task.records_written,
        bytes_in: task.bytes_in,
        bytes_out: task.bytes_out,
        late_records: task.late_records,
        malformed_records: task.malformed_records,
        times: ActivityTimes {
            idle: Duration::from_micros(task.idle_us),
            queued: Duration::from_micros(task.queued_us),
            busy: Duration::from_micros(task.busy_us),
            backpressured: Duration::from_micros(task.backpressured_us),
        },
        watermark: EventTime(task.watermark_ms),
        watermark_held_by,
        held_back_by: task.held_back_by.map(VertexId),
        state_bytes: task.state_bytes,
        alignment_us: task.alignment_us,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

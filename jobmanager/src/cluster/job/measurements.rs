//! What the tasks of a job have measured, as their workers last said.

use std::collections::BTreeMap;

use tidegate_core::{
    Attempt, EventTime, TaskId, VertexId, WorkerId,
    metrics::{TaskMeasurement, WorkerMeasurement},
};

use crate::cluster::view::TaskMetricsView;

/// The latest of each worker.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    attempt: Attempt,
    workers: BTreeMap<WorkerId, Measured>,
}

/// Of one worker: now, and before that, to tell what has changed meanwhile.
#[derive(Debug)]
struct Measured {
    last: WorkerMeasurement,
    before: Option<WorkerMeasurement>,
}

impl Measurements {
    pub(crate) fn add(&mut self, worker: WorkerId, measurement: WorkerMeasurement) {
        if measurement.attempt > self.attempt {
            self.attempt = measurement.attempt;
            self.workers.clear();
        }
        if measurement.attempt < self.attempt {
            return;
        }
        let before = self.workers.remove(&worker).map(|measured| measured.last);
        let last = measurement;
        self.workers.insert(worker, Measured { last, before });
    }

    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }

    /// A task's latest.
    pub(crate) fn of(&self, task: TaskId) -> Option<&TaskMeasurement> {
        self.pair(task).map(|(last, _)| last)
    }

    /// A task's latest and the one before.
    pub(crate) fn pair(&self, task: TaskId) -> Option<(&TaskMeasurement, Option<&TaskMeasurement>)> {
        self.workers.values().find_map(|measured| {
            let last = find(&measured.last, task)?;
            let before = measured.before.as_ref().and_then(|before| find(before, task));
            Some((last, before))
        })
    }

    /// All tasks of all workers.
    pub(crate) fn all(&self) -> impl Iterator<Item = &TaskMeasurement> {
        self.workers.values().flat_map(|measured| &measured.last.tasks)
    }

    /// All workers.
    pub(crate) fn by_worker(&self) -> impl Iterator<Item = (WorkerId, &WorkerMeasurement)> {
        self.workers
            .iter()
            .map(|(worker, measured)| (*worker, &measured.last))
    }

    /// The sums over a vertex.
    pub(crate) fn sum(&self, vertex: VertexId) -> TaskMetricsView {
        let tasks = self.all().filter(|measured| measured.task.vertex == vertex);
        tasks.map(view).fold(TaskMetricsView::default(), add)
    }
}

fn find(measurement: &WorkerMeasurement, task: TaskId) -> Option<&TaskMeasurement> {
    measurement.tasks.iter().find(|measured| measured.task == task)
}

/// A task's measurements as they are shown.
pub(crate) fn view(task: &TaskMeasurement) -> TaskMetricsView {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    TaskMetricsView {
        read_records: task.records_in,
        write_records: task.records_out,
        read_bytes: task.bytes_in,
        write_bytes: task.bytes_out,
        accumulated_backpressured_time: millis(task.times.backpressured),
        accumulated_idle_time: millis(task.times.idle),
        accumulated_busy_time: millis(task.times.busy),
        late_records: task.late_records,
        state_size: task.state_bytes,
        current_watermark: (task.watermark != EventTime::MIN).then_some(task.watermark.0),
    }
}

fn add(a: TaskMetricsView, b: TaskMetricsView) -> TaskMetricsView {
    let least = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    TaskMetricsView {
        read_records: a.read_records + b.read_records,
        write_records: a.write_records + b.write_records,
        read_bytes: a.read_bytes + b.read_bytes,
        write_bytes: a.write_bytes + b.write_bytes,
        accumulated_backpressured_time: a.accumulated_backpressured_time + b.accumulated_backpressured_time,
        accumulated_idle_time: a.accumulated_idle_time + b.accumulated_idle_time,
        accumulated_busy_time: a.accumulated_busy_time + b.accumulated_busy_time,
        late_records: a.late_records + b.late_records,
        state_size: a.state_size + b.state_size,
        current_watermark: least(a.current_watermark, b.current_watermark),
    }
}

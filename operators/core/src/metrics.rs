//! Metrics that live where they are measured and are read from elsewhere.

mod activity;
mod measurement;
mod own;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

pub use activity::{Activity, ActivityClock, ActivityTimes};
pub use measurement::{RestoredBytes, TaskMeasurement, WorkerMeasurement};
pub use own::{
    Gauge, Histogram, HistogramValues, MetricError, MetricKind, MetricNames, OperatorMetrics, OwnMetric,
};

use own::OwnMetrics;

use crate::{
    id::{OperatorUid, VertexId},
    run_times::RunTimes,
    time::EventTime,
};

/// A value written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only its owner calls this, so a plain read and write are enough.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How far event time has come, written by one thread and read by any.
#[derive(Debug)]
pub struct WatermarkGauge(AtomicI64);

impl Default for WatermarkGauge {
    fn default() -> Self {
        Self(AtomicI64::new(EventTime::MIN.0))
    }
}

impl WatermarkGauge {
    /// Sets it.
    pub fn set(&self, watermark: EventTime) {
        self.0.store(watermark.0, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> EventTime {
        EventTime(self.0.load(Relaxed))
    }
}

/// Which input holds a task's watermark where it is: the one that is furthest behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WatermarkHolder {
    /// None: all have ended or are idle, or there is nothing that assigns watermarks.
    #[default]
    Nobody,
    /// What comes from a task further up.
    Channel {
        /// The chain that sends.
        vertex: VertexId,
        /// Which of its tasks.
        task: u32,
    },
    /// A split of a source.
    Split {
        /// Its index.
        split: u32,
    },
    /// A split of a source of which nothing has been read yet.
    UnreadSplit {
        /// Its index.
        split: u32,
    },
    /// The records themselves, where watermarks are assigned to the whole input of a task.
    Input,
}

/// A [`WatermarkHolder`] written by one thread and read by any.
#[derive(Debug, Default)]
pub struct WatermarkHolderCell(AtomicU64);

impl WatermarkHolderCell {
    /// How far left the kind stands: below it are 28 bits of a chain and 32 of an index.
    const KIND: u32 = 60;
    const VERTEX: u32 = 32;

    /// Sets it. A chain above 2²⁸ is told as another one: no job has as many.
    pub fn set(&self, holder: WatermarkHolder) {
        let (kind, vertex, index) = match holder {
            WatermarkHolder::Nobody => (0u64, 0, 0),
            WatermarkHolder::Channel { vertex, task } => (1, vertex.0, task),
            WatermarkHolder::Split { split } => (2, 0, split),
            WatermarkHolder::UnreadSplit { split } => (3, 0, split),
            WatermarkHolder::Input => (4, 0, 0),
        };
        let vertex = u64::from(vertex) & ((1 << (Self::KIND - Self::VERTEX)) - 1);
        let packed = kind << Self::KIND | vertex << Self::VERTEX | u64::from(index);
        self.0.store(packed, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> WatermarkHolder {
        let packed = self.0.load(Relaxed);
        let index = packed as u32;
        let vertex = (packed >> Self::VERTEX) as u32 & ((1 << (Self::KIND - Self::VERTEX)) - 1);
        match packed >> Self::KIND {
            1 => WatermarkHolder::Channel {
                vertex: VertexId(vertex),
                task: index,
            },
            2 => WatermarkHolder::Split { split: index },
            3 => WatermarkHolder::UnreadSplit { split: index },
            4 => WatermarkHolder::Input,
            _ => WatermarkHolder::Nobody,
        }
    }
}

/// What one operator of a task counts.
#[derive(Debug, Default)]
pub struct OperatorCounters {
    /// Records that it has taken in; of a source, that it has read.
    pub records_in: Counter,
    /// Records that it has handed on through its main output; of a sink, that it has written.
    pub records_out: Counter,
}

/// What one task measures about itself.
#[derive(Debug, Default)]
pub struct TaskMetrics {
    /// Records received from channels, or produced by the source.
    pub records_in: Counter,
    /// Records sent to channels or written to sinks; one that goes to all consumers counts once for each edge.
    pub records_out: Counter,
    /// Those of them that were written to sinks.
    pub records_written: Counter,
    /// What it does with its time.
    pub activity: ActivityClock,
    /// The longest single run, in nanoseconds.
    pub longest_run_ns: Counter,
    /// How long its runs took.
    pub run_times: RunTimes,
    /// Bytes of keyed state, estimated, at the last checkpoint.
    pub state_bytes: Counter,
    /// From the first barrier of the last checkpoint to its last, in microseconds.
    pub alignment_us: Counter,
    /// Records that a policy dropped or diverted as malformed.
    pub malformed: Counter,
    /// Records that came too late for their windows and were dropped.
    pub late_records: Counter,
    /// How far event time has come in the task: at its inputs or, where it assigns watermarks itself, behind that.
    pub watermark: WatermarkGauge,
    /// Which input holds it there.
    pub watermark_held_by: WatermarkHolderCell,
    /// The vertex (plus one) of the consumer that last held this task back; 0 when none does.
    pub held_back_by: Counter,
    /// Taken when the chain is built and when somebody reads.
    operators: Mutex<Vec<(OperatorUid, Arc<OperatorCounters>)>>,
    own: OwnMetrics,
}

impl TaskMetrics {
    /// The metrics of a task whose functions share the names of their metrics with those of other tasks.
    pub fn sharing(names: Arc<MetricNames>) -> Self {
        Self {
            own: OwnMetrics::sharing(names),
            ..Self::default()
        }
    }

    /// Makes the counters of an operator of the task; for whoever builds its chain.
    pub fn add_operator(&self, operator: &OperatorUid) -> Arc<OperatorCounters> {
        let counters = Arc::<OperatorCounters>::default();
        let mut operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        operators.push((operator.clone(), Arc::clone(&counters)));
        counters
    }

    /// The counters of the task's operators.
    pub fn operators(&self) -> Vec<(OperatorUid, Arc<OperatorCounters>)> {
        let operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        operators.clone()
    }

    /// Makes metrics for the function in `operator`.
    pub fn own<'a>(&'a self, operator: &'a OperatorUid) -> OperatorMetrics<'a> {
        OperatorMetrics::new(operator, &self.own)
    }

    /// The metrics of users' functions with their operators and names.
    pub fn all_own(&self) -> Vec<(OperatorUid, String, OwnMetric)> {
        self.own.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_written() {
        let cell = WatermarkHolderCell::default();
        assert_eq!(cell.get(), WatermarkHolder::Nobody);
        for holder in [
            WatermarkHolder::Channel {
                vertex: VertexId(7),
                task: u32::MAX,
            },
            WatermarkHolder::Split { split: 3 },
            WatermarkHolder::UnreadSplit { split: u32::MAX },
            WatermarkHolder::Input,
            WatermarkHolder::Nobody,
        ] {
            cell.set(holder);
            assert_eq!(cell.get(), holder);
        }
    }
}

//! A sink that notes how late records are.

use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;
use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use crate::schedule::Schedule;

/// How late records were, in nanoseconds, from a microsecond to a minute, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

const SHORTEST_NS: u64 = 1_000;
const LONGEST_NS: u64 = 60_000_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, 3)
                .expect("the bounds are in order and three digits are allowed"),
        )
    }
}

impl Latencies {
    /// Notes how late a record is now.
    #[inline]
    pub fn note(&mut self, schedule: &Schedule, number: u64) {
        let nanos = schedule.latency(number).as_nanos() as u64;
        self.0.saturating_record(nanos.max(SHORTEST_NS));
    }

    /// Adds those of another task.
    pub fn add(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("histograms with the same bounds add up");
    }

    /// How many records were noted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// So many milliseconds late were at most a share of `quantile` of all records.
    pub fn millis_at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// Takes pairs of a key and a record's number, and notes how late each is, from number `after` on.
#[derive(Clone, Debug)]
pub struct LatencySink {
    schedule: Schedule,
    after: u64,
    all: Arc<Mutex<Latencies>>,
}

impl LatencySink {
    /// A sink that passes over the first `after` records.
    pub fn new(schedule: Schedule, after: u64) -> Self {
        Self {
            schedule,
            after,
            all: Arc::default(),
        }
    }

    /// What the tasks that have ended have noted.
    pub fn latencies(&self) -> Latencies {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink<u64> for LatencySink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<u64>>, OperatorError> {
        Ok(Box::new(Writer {
            sink: self.clone(),
            own: Latencies::default(),
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Writer {
    sink: LatencySink,
    own: Latencies,
}

impl SinkWriter<u64> for Writer {
    fn write(&mut self, batch: Batch<u64>) -> Result<Flow, OperatorError> {
        for number in &batch.records {
            if *number >= self.sink.after {
                self.own.note(&self.sink.schedule, *number);
            }
        }
        batch.recycle();
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(Box::pin(async { Ok(Vec::new()) }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sink
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(&self.own);
    }
}

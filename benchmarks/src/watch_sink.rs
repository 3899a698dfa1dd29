//! A sink that watches the thread it runs on: how much processor time it has used, and how long it did something else
//! than bring records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use crate::runner::thread_cpu;

/// A gap above this is a long one.
pub(crate) const LONG_GAP: Duration = Duration::from_millis(2);

/// Counts records. Meant for one task: what is watched is the thread of the last to write.
#[derive(Clone, Debug, Default)]
pub struct WatchSink {
    watched: Arc<Watched>,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Watched {
    records: AtomicU64,
    cpu_ns: AtomicU64,
    longest_cpu_ns: AtomicU64,
    longest_wall_ns: AtomicU64,
    long_gaps: AtomicU64,
    /// Which watch it is: gaps that begin in one and end in another do not count.
    watch: AtomicU64,
}

impl WatchSink {
    /// What the sink sees.
    pub fn watched(&self) -> Arc<Watched> {
        Arc::clone(&self.watched)
    }
}

impl Watched {
    /// The records so far.
    pub fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// The processor time that the thread had used when it last brought records.
    pub fn thread_cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Relaxed))
    }

    /// The longest time between two batches since [`begin`](Self::begin): the thread's processor time.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_cpu_ns.load(Relaxed))
    }

    /// The longest time between two batches since [`begin`](Self::begin), on the wall.
    pub fn longest_wall_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_wall_ns.load(Relaxed))
    }

    /// How many gaps took the thread more than two milliseconds of processor time since [`begin`](Self::begin).
    pub fn long_gaps(&self) -> u64 {
        self.long_gaps.load(Relaxed)
    }

    /// Forgets gaps, and does not count the one that now goes on.
    pub fn begin(&self) {
        self.watch.fetch_add(1, Relaxed);
        self.longest_cpu_ns.store(0, Relaxed);
        self.longest_wall_ns.store(0, Relaxed);
        self.long_gaps.store(0, Relaxed);
    }
}

impl<T: Send + 'static> Sink<T> for WatchSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        Ok(Box::new(Writer {
            watched: self.watched(),
            last: None,
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Last {
    watch: u64,
    cpu: Duration,
    wall: Instant,
}

struct Writer {
    watched: Arc<Watched>,
    last: Option<Last>,
}

impl<T> SinkWriter<T> for Writer {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        let watched = &*self.watched;
        let now = Last {
            watch: watched.watch.load(Relaxed),
            cpu: thread_cpu(),
            wall: Instant::now(),
        };
        if let Some(last) = self.last.as_ref().filter(|last| last.watch == now.watch) {
            let gap = now.cpu.saturating_sub(last.cpu);
            watched.longest_cpu_ns.fetch_max(nanos(gap), Relaxed);
            if gap > LONG_GAP {
                watched.long_gaps.fetch_add(1, Relaxed);
            }
            watched
                .longest_wall_ns
                .fetch_max(nanos(now.wall - last.wall), Relaxed);
        }
        watched.cpu_ns.store(nanos(now.cpu), Relaxed);
        watched.records.fetch_add(batch.len() as u64, Relaxed);
        self.last = Some(now);
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(Box::pin(async { Ok(Vec::new()) }))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

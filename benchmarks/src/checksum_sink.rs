//! The sink of all benchmark jobs: adds up checksums.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use crate::checksum::Checksum;

/// Adds up the checksums of the records that come, and counts them.
#[derive(Debug)]
pub struct ChecksumSink<T> {
    seen: Arc<Seen>,
    records: PhantomData<fn(T)>,
}

/// What has come so far, to be looked at from outside.
#[derive(Debug, Default)]
pub struct Seen {
    checksum: AtomicU64,
    records: AtomicU64,
}

impl Seen {
    /// The sum of all checksums.
    pub fn checksum(&self) -> u64 {
        self.checksum.load(Relaxed)
    }

    /// The number of records.
    pub fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }
}

impl<T> Default for ChecksumSink<T> {
    fn default() -> Self {
        Self {
            seen: Arc::default(),
            records: PhantomData,
        }
    }
}

impl<T> ChecksumSink<T> {
    /// What comes into the sink.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl<T: Checksum + Send + 'static> Sink<T> for ChecksumSink<T> {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        Ok(Box::new(Writer(Arc::clone(&self.seen))))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Writer(Arc<Seen>);

impl<T: Checksum + 'static> SinkWriter<T> for Writer {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        let count = batch.len() as u64;
        let sum = batch
            .records
            .iter()
            .fold(0u64, |sum, record| sum.wrapping_add(record.checksum()));
        batch.recycle();
        self.0.checksum.fetch_add(sum, Relaxed);
        self.0.records.fetch_add(count, Relaxed);
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(Box::pin(async { Ok(Vec::new()) }))
    }
}

//! Takes records and forgets them.

use std::sync::Arc;

use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use super::nothing_prepared;

/// Drops every record. Nothing leaves, so nothing leaves twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiscardSink;

impl<T: Send + 'static> Sink<T> for DiscardSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        Ok(Box::new(Self))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

impl<T: Send + 'static> SinkWriter<T> for DiscardSink {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        batch.recycle();
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(nothing_prepared())
    }
}

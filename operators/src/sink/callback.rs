//! Gives records to a function.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

use super::nothing_prepared;

/// Calls a function with each record, at least once: after a failure, records since the last checkpoint come again. The
/// function is called on the executor thread and should not block. Its error fails the task and names the record.
pub struct CallbackSink<F> {
    function: Arc<F>,
}

impl<F> CallbackSink<F> {
    /// Calls `function`, which all tasks share.
    pub fn new<T, E>(function: F) -> Self
    where
        F: Fn(&T) -> Result<(), E> + Send + Sync + 'static,
    {
        Self {
            function: Arc::new(function),
        }
    }
}

impl<T, E, F> Sink<T> for CallbackSink<F>
where
    T: Send + 'static,
    E: Into<BoxError>,
    F: Fn(&T) -> Result<(), E> + Send + Sync + 'static,
{
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        Ok(Box::new(Writer {
            function: Arc::clone(&self.function),
            received: 0,
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Writer<F> {
    function: Arc<F>,
    received: u64,
}

impl<T, E, F> SinkWriter<T> for Writer<F>
where
    T: Send + 'static,
    E: Into<BoxError>,
    F: Fn(&T) -> Result<(), E> + Send + Sync,
{
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        for record in &batch.records {
            (self.function)(record).map_err(|cause| OperatorError::Record {
                position: self.received,
                cause: cause.into(),
            })?;
            self.received += 1;
        }
        batch.recycle();
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(nothing_prepared())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::sink_context;

    #[test]
    fn an_error_names_the_record() {
        let sink = CallbackSink::new(|n: &u32| if *n < 3 { Ok(()) } else { Err("too large") });
        let mut writer = sink_context("callback", "lineage", 1, 0, |context| sink.writer(context)).unwrap();
        assert_eq!(writer.write(vec![1, 2].into()).unwrap(), Flow::Ready);
        assert_eq!(
            writer.write(vec![2, 3].into()).unwrap_err().to_string(),
            "record 3: too large"
        );
    }
}

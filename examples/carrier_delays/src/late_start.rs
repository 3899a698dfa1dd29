//! A source that begins late.

use std::{task::Waker, time::Duration};

use tidegate::{
    OperatorContext, OperatorError, Output, ProcessingTime,
    source::{Source, SourceReader, SourceStatus, Split},
};

/// Reads nothing in the first while after each start. For demonstrations of what has to wait.
pub(crate) struct LateStart<S> {
    pub(crate) source: S,
    pub(crate) delay: Duration,
}

impl<T: 'static, S: Source<T>> Source<T> for LateStart<S> {
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        self.source.discover(parallelism)
    }

    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        let from = context.now().after(self.delay);
        Ok(Box::new(LateReader {
            reader: self.source.reader(context)?,
            from,
        }))
    }
}

struct LateReader<T> {
    reader: Box<dyn SourceReader<T>>,
    from: ProcessingTime,
}

impl<T> SourceReader<T> for LateReader<T> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        self.reader.assign(splits)
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        if context.now() < self.from {
            return Ok(SourceStatus::Until(self.from));
        }
        self.reader.poll(waker, out, context)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.reader.snapshot()
    }
}

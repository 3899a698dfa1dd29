//! Drives one task of a source, and gives sinks what they need to make a writer.

use std::{sync::Arc, task::Waker, thread};

use tidegate_core::{
    Attempt, Io, KeySpace, Lineage, OperatorContext, OperatorError, OperatorUid, Output, OutputTag,
    ProcessingTime, SideOutputs, TaskId, TaskProbe, VertexId,
    metrics::TaskMetrics,
    sink::SinkContext,
    source::{Source, SourceReader, SourceStatus, Split},
};

use super::{
    InlineIo,
    capture::{Capture, Sides, records},
    io::unpark_current,
};

/// Drives one task of a source.
pub struct SourceHarness<T> {
    reader: Box<dyn SourceReader<T>>,
    context: OperatorContext,
    out: Output<T>,
    output: Capture<T>,
    sides: Sides,
}

fn context(uid: OperatorUid, index: u32, parallelism: u32, io: Arc<dyn Io>) -> OperatorContext {
    let vertex = VertexId(0);
    OperatorContext::new(
        uid,
        TaskId { vertex, index },
        parallelism,
        KeySpace::DEFAULT,
        io,
        Arc::new(TaskMetrics::default()),
        TaskProbe::new(ProcessingTime(0)),
    )
}

impl<T: Send + 'static> SourceHarness<T> {
    /// The only task of a source, with fresh splits.
    pub fn new(source: &dyn Source<T>) -> Result<Self, OperatorError> {
        let splits = source.discover(1)?;
        Self::with_splits(source, splits, 0, 1)
    }

    /// Task `index` of `parallelism` many, with those of `splits` that it reads.
    pub fn with_splits(
        source: &dyn Source<T>,
        splits: Vec<Split>,
        index: u32,
        parallelism: u32,
    ) -> Result<Self, OperatorError> {
        let context = context("source".into(), index, parallelism, Arc::new(InlineIo));
        Self::start(source, splits, context)
    }

    /// The only task of a source, with fresh splits, whose I/O runs where `io` says. [`InlineIo`] unless set.
    pub fn with_io(source: &dyn Source<T>, io: Arc<dyn Io>) -> Result<Self, OperatorError> {
        let context = context("source".into(), 0, 1, io);
        Self::start(source, source.discover(1)?, context)
    }

    fn start(
        source: &dyn Source<T>,
        splits: Vec<Split>,
        context: OperatorContext,
    ) -> Result<Self, OperatorError> {
        let (index, parallelism) = (context.index(), context.parallelism);
        let mut reader = source.reader(&context)?;
        reader.assign(
            splits
                .into_iter()
                .filter(|split| split.index % parallelism == index)
                .collect(),
        )?;
        let output = Capture::new(usize::MAX);
        Ok(Self {
            reader,
            context,
            out: Output::new(output.link()),
            output,
            sides: Sides::default(),
        })
    }

    /// Reads a side output.
    #[must_use]
    pub fn side<S: Send + 'static>(mut self, tag: OutputTag<S>) -> Self {
        let capture = Capture::new(usize::MAX);
        let sides = SideOutputs::none().with(tag, Output::new(capture.link()));
        self.out = Output::with_sides(self.output.link(), sides);
        self.sides.insert(tag, capture);
        self
    }

    /// Moves the clock.
    pub fn set_processing_time(&mut self, now: ProcessingTime) {
        self.context.probe.set_now(now);
    }

    /// Polls the reader once.
    ///
    /// # Panics
    /// If an output fails: outputs of a harness do not.
    pub fn poll(&mut self) -> Result<SourceStatus, OperatorError> {
        self.poll_with(Waker::noop())
    }

    fn poll_with(&mut self, waker: &Waker) -> Result<SourceStatus, OperatorError> {
        let status = self.reader.poll(waker, &mut self.out, &self.context)?;
        let _ = self
            .out
            .settle()
            .expect("the outputs of a harness take everything");
        Ok(status)
    }

    /// Polls until the source has finished or wants to wait for a time. Waits where the source waits to be woken.
    pub fn run(&mut self) -> Result<SourceStatus, OperatorError> {
        let waker = unpark_current();
        loop {
            match self.poll_with(&waker)? {
                SourceStatus::More => {}
                SourceStatus::Waiting => thread::park(),
                done => return Ok(done),
            }
        }
    }

    /// The reader's splits with their positions.
    pub fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.reader.snapshot()
    }

    /// Takes the records emitted since the last call.
    pub fn take(&mut self) -> Vec<T> {
        records(self.output.take())
            .into_iter()
            .map(|(record, _)| record)
            .collect()
    }

    /// Takes the records emitted into a side output since the last call.
    ///
    /// # Panics
    /// If the harness was not built with this side output.
    pub fn take_side<S: Send + 'static>(&mut self, tag: OutputTag<S>) -> Vec<S> {
        records(self.sides.get(tag).take())
            .into_iter()
            .map(|(record, _)| record)
            .collect()
    }

    /// The task's counters.
    pub fn metrics(&self) -> &TaskMetrics {
        &self.context.metrics
    }
}

/// Calls `use_context` with what task `index` of a sink knows about itself. I/O is done at once.
pub fn sink_context<R>(
    uid: &str,
    lineage: &str,
    attempt: u32,
    index: u32,
    use_context: impl FnOnce(&SinkContext<'_>) -> R,
) -> R {
    sink_context_with_io(uid, lineage, attempt, index, Arc::new(InlineIo), use_context)
}

/// Calls `use_context` with what task `index` of a sink knows about itself, whose I/O runs where `io` says.
pub fn sink_context_with_io<R>(
    uid: &str,
    lineage: &str,
    attempt: u32,
    index: u32,
    io: Arc<dyn Io>,
    use_context: impl FnOnce(&SinkContext<'_>) -> R,
) -> R {
    let operator = context(uid.into(), index, index + 1, io);
    let lineage = Lineage::from(lineage);
    use_context(&SinkContext {
        operator: &operator,
        lineage: &lineage,
        attempt: Attempt(attempt),
    })
}

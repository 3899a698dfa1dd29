//! The head of a chain that reads from outside.

use std::{sync::Arc, task::Waker};

use crate::head::ChainHead;

use tidegate_core::{
    Barrier, Control, Flow, OperatorContext, OperatorError, OperatorVisitor, Output, ProcessingTime,
    VisitOperators,
    chain::{ChainError, ChainedOperator},
    snapshot::{KeyedState, OperatorState, RestoredState},
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
};

/// The head of a source task.
pub trait SourceHead: ChainHead {
    /// Gives the reader its splits, once.
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), ChainError>;
    /// Reads about a batch and pushes it through the chain.
    fn poll(&mut self, waker: &Waker) -> Result<Polled, ChainError>;
    /// The reader's splits with their positions.
    fn splits(&mut self) -> Result<Vec<Split>, ChainError>;
}

/// What came of a poll.
pub struct Polled {
    /// What the reader says.
    pub status: SourceStatus,
    /// What the chain says.
    pub flow: Flow,
    /// How many records were read.
    pub records: usize,
}

pub(crate) struct SourceNode<T> {
    source: Arc<dyn Source<T>>,
    reader: Option<Box<dyn SourceReader<T>>>,
    context: OperatorContext,
    out: Output<T>,
}

impl<T> SourceNode<T> {
    pub(crate) fn new(source: Arc<dyn Source<T>>, context: OperatorContext, out: Output<T>) -> Self {
        Self {
            source,
            reader: None,
            context,
            out,
        }
    }

    fn wrap(&self, error: OperatorError) -> ChainError {
        ChainError {
            operator: self.context.uid.clone(),
            error,
        }
    }
}

impl<T> ChainedOperator for SourceNode<T> {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn open(&mut self) -> Result<(), OperatorError> {
        self.context.enter();
        self.reader = Some(self.source.reader(&self.context)?);
        Ok(())
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        Vec::new()
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _state: &RestoredState) -> Result<(), OperatorError> {
        Ok(())
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        None
    }

    fn on_timer(&mut self) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.reader = None;
        Ok(())
    }
}

impl<T> VisitOperators for SourceNode<T> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        visitor(self)?;
        self.out.visit(visitor)
    }
}

impl<T: Send + 'static> SourceHead for SourceNode<T> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), ChainError> {
        // Whoever assigns watermarks hears of all splits before anything is read.
        for split in &splits {
            self.out.mark(SplitMark::Assigned(split.index));
        }
        let assigned = match &mut self.reader {
            Some(reader) => reader.assign(splits),
            None => Err(OperatorError::other("splits came before the source was opened")),
        };
        assigned.map_err(|error| self.wrap(error))
    }

    fn poll(&mut self, waker: &Waker) -> Result<Polled, ChainError> {
        let Some(reader) = &mut self.reader else {
            return Err(self.wrap(OperatorError::other("the source was polled before it was opened")));
        };
        self.context.enter();
        let before = self.out.emitted();
        let polled = reader.poll(waker, &mut self.out, &self.context);
        let flow = self.out.settle()?;
        let status = polled.map_err(|error| self.wrap(error))?;
        let records = usize::try_from(self.out.emitted() - before).unwrap_or(usize::MAX);
        self.context.add_emitted(records);
        Ok(Polled {
            status,
            flow,
            records,
        })
    }

    fn splits(&mut self) -> Result<Vec<Split>, ChainError> {
        let splits = match &mut self.reader {
            Some(reader) => reader.snapshot(),
            None => Ok(Vec::new()),
        };
        splits.map_err(|error| self.wrap(error))
    }
}

impl<T: Send + 'static> ChainHead for SourceNode<T> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.out.control(control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        self.out.drain()
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        self.out.flush()
    }
}

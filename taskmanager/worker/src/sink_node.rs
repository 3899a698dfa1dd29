//! The end of a chain that writes to the outside.

use std::task::Waker;

use tidegate_core::{
    Attempt, Barrier, Batch, Control, Flow, Lineage, OperatorContext, OperatorError, OperatorVisitor,
    ProcessingTime, Push, VisitOperators,
    chain::{ChainError, ChainedOperator},
    sink::{PrepareResult, Sink, SinkContext, SinkWriter},
    snapshot::{KeyedState, OperatorState, RestoredState},
};

/// Whether a writer can take more, and whether it knows whom to wake when it can.
#[derive(Clone, Copy)]
enum Room {
    /// It has said this, and has the task's waker if it is not ready.
    Said(Flow),
    /// It has said that it is blocked when it was written to. It has to be polled before the task may wait for it.
    Unpolled,
}

/// A sink's writer in its place at the end of a chain.
pub(crate) struct SinkNode<T> {
    writer: Box<dyn SinkWriter<T>>,
    context: OperatorContext,
    room: Room,
}

impl<T> SinkNode<T> {
    pub(crate) fn new(
        sink: &dyn Sink<T>,
        context: OperatorContext,
        lineage: &Lineage,
        attempt: Attempt,
    ) -> Result<Self, OperatorError> {
        let writer = sink.writer(&SinkContext {
            operator: &context,
            lineage,
            attempt,
        })?;
        Ok(Self {
            writer,
            context,
            room: Room::Said(Flow::Ready),
        })
    }

    fn flow(&self) -> Flow {
        match self.room {
            Room::Said(flow) => flow,
            Room::Unpolled => Flow::Pending,
        }
    }

    fn wrap(&self, error: OperatorError) -> ChainError {
        ChainError {
            operator: self.context.uid.clone(),
            error,
        }
    }
}

impl<T> ChainedOperator for SinkNode<T> {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn open(&mut self) -> Result<(), OperatorError> {
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
        self.context.enter();
        self.writer.close()
    }

    fn prepare(&mut self, barrier: &Barrier) -> Option<PrepareResult> {
        self.context.enter();
        match self.writer.prepare(barrier.checkpoint) {
            Ok(prepared) => Some(prepared),
            Err(error) => Some(Box::pin(std::future::ready(Err(error)))),
        }
    }

    fn poll(&mut self, waker: &Waker) -> Result<(), OperatorError> {
        if !self.flow().is_ready() {
            self.room = Room::Said(self.writer.poll(waker)?);
        }
        Ok(())
    }
}

impl<T> VisitOperators for SinkNode<T> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        visitor(self)
    }
}

impl<T: Send> Push<T> for SinkNode<T> {
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
        self.context.enter();
        let count = batch.len();
        self.context.metrics.records_out.add(count as u64);
        self.context.metrics.records_written.add(count as u64);
        self.room = match self.writer.write(batch).map_err(|error| self.wrap(error))? {
            Flow::Blocked => Room::Unpolled,
            flow => Room::Said(flow),
        };
        self.context.add_received(count);
        self.context.add_emitted(count);
        Ok(self.flow())
    }

    fn control(&mut self, _control: Control) -> Result<Flow, ChainError> {
        Ok(self.flow())
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        // The writer is polled by its task, which holds the waker, right before this.
        Ok(self.flow())
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        Ok(self.flow())
    }
}

//! The head of a chain that reads from edges: where typed records enter it from untyped hands.

use std::any::Any;

use tidegate_core::{
    Batch, Control, Flow, OperatorVisitor, Push, VisitOperators,
    chain::{ChainError, ChainedTwoInput},
};

/// The head of a chain, whatever feeds it.
pub trait ChainHead: VisitOperators + Send {
    /// Sends a control element, on which all inputs agree, through the chain.
    fn control(&mut self, control: Control) -> Result<Flow, ChainError>;
    /// See [`Push::drain`].
    fn drain(&mut self) -> Result<Flow, ChainError>;
    /// See [`Push::flush`].
    fn flush(&mut self) -> Result<Flow, ChainError>;
}

/// The head of a task that has inputs.
pub trait TaskHead: ChainHead {
    /// Takes a batch, given as `&mut Option<Batch<I>>` with the type of input slot `slot`.
    fn records(&mut self, slot: u8, batch: &mut dyn Any) -> Result<Flow, ChainError>;
}

fn take<T: 'static>(batch: &mut dyn Any) -> Batch<T> {
    batch
        .downcast_mut::<Option<Batch<T>>>()
        .and_then(Option::take)
        .expect("an edge and the head behind it have one element type, and a polled batch is there")
}

/// A head with one input type.
pub(crate) struct OneInputHead<I> {
    push: Box<dyn Push<I>>,
}

impl<I> OneInputHead<I> {
    pub(crate) fn new(push: Box<dyn Push<I>>) -> Self {
        Self { push }
    }
}

impl<I> VisitOperators for OneInputHead<I> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.push.visit(visitor)
    }
}

impl<I: Send + 'static> TaskHead for OneInputHead<I> {
    fn records(&mut self, _slot: u8, batch: &mut dyn Any) -> Result<Flow, ChainError> {
        self.push.push(take(batch))
    }
}

impl<I: Send + 'static> ChainHead for OneInputHead<I> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.push.control(control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        self.push.drain()
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        self.push.flush()
    }
}

/// A head with two input types.
pub(crate) struct TwoInputHead<A, B, O> {
    chain: ChainedTwoInput<A, B, O>,
}

impl<A, B, O> TwoInputHead<A, B, O> {
    pub(crate) fn new(chain: ChainedTwoInput<A, B, O>) -> Self {
        Self { chain }
    }
}

impl<A, B, O> VisitOperators for TwoInputHead<A, B, O> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.chain.visit(visitor)
    }
}

impl<A: Send + 'static, B: Send + 'static, O: Send + 'static> TaskHead for TwoInputHead<A, B, O> {
    fn records(&mut self, slot: u8, batch: &mut dyn Any) -> Result<Flow, ChainError> {
        if slot == 0 {
            self.chain.push_left(take(batch))
        } else {
            self.chain.push_right(take(batch))
        }
    }
}

impl<A: Send + 'static, B: Send + 'static, O: Send + 'static> ChainHead for TwoInputHead<A, B, O> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.chain.control(control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        self.chain.drain()
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        self.chain.flush()
    }
}

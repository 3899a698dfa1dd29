//! Operators fused on one thread: each owns the output in front of the next, and batches are pushed through.

use std::{collections::VecDeque, task::Waker};

use crate::{
    batch::Batch,
    error::OperatorError,
    id::OperatorUid,
    operator::{Operator, OperatorContext, OperatorLifecycle, Progress, TwoInputOperator},
    output::{Barrier, Control, Flow, OperatorVisitor, Output, Push, VisitOperators},
    sink::PrepareResult,
    snapshot::{KeyedState, OperatorState, RestoredState},
    source::SplitMark,
    time::ProcessingTime,
};

/// The failure of one operator of a chain.
#[derive(Debug, thiserror::Error)]
#[error("operator {:?}: {error}", operator.as_str())]
pub struct ChainError {
    /// The operator that failed.
    pub operator: OperatorUid,
    /// Why.
    pub error: OperatorError,
}

/// An operator in a chain as the task sees it: everything but its records.
pub trait ChainedOperator {
    /// The operator's context.
    fn context(&self) -> &OperatorContext;
    /// See [`OperatorLifecycle::open`].
    fn open(&mut self) -> Result<(), OperatorError>;
    /// See [`OperatorLifecycle::keyed_states`].
    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState>;
    /// See [`OperatorLifecycle::snapshot`].
    fn snapshot(&mut self, barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError>;
    /// See [`OperatorLifecycle::restore`].
    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError>;
    /// Whether a step is not done here, or something waits until it is. Control elements given now wait, too, but for
    /// barriers that may pass; of watermarks and idleness only the last is kept, so their number does not grow.
    fn is_pending(&self) -> bool {
        false
    }
    /// Whether a barrier may pass now: nothing is pending here, or only a step that the operator's snapshot tells.
    /// Watermarks and the end of the input may wait behind it: both are heard again after a restore.
    fn barrier_may_pass(&self) -> bool {
        true
    }
    /// See [`OperatorLifecycle::next_timer`].
    fn next_timer(&self) -> Option<ProcessingTime>;
    /// Fires timers that are due, unless something else is pending. What it cannot finish at once is pending then.
    fn on_timer(&mut self) -> Result<Flow, ChainError>;
    /// See [`OperatorLifecycle::close`].
    fn close(&mut self) -> Result<(), OperatorError>;
    /// A sink's part of a snapshot; other operators have none.
    fn prepare(&mut self, barrier: &Barrier) -> Option<PrepareResult> {
        let _ = barrier;
        None
    }
    /// Lets an operator that waits for something outside the executor look whether it has come.
    fn poll(&mut self, waker: &Waker) -> Result<(), OperatorError> {
        let _ = waker;
        Ok(())
    }
}

/// The batches that a two-input operator takes in.
enum Side<A, B> {
    Left(Batch<A>),
    Right(Batch<B>),
}

/// An operator that takes in `In`: what is left of the difference between one input and two.
trait Accept<O> {
    type In;
    type Op: OperatorLifecycle<O> + ?Sized;

    fn accept(
        op: &mut Self::Op,
        input: Self::In,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError>;

    fn count(input: &Self::In) -> usize;
}

struct OneInput<I>(std::marker::PhantomData<fn(I)>);

impl<I, O> Accept<O> for OneInput<I> {
    type In = Batch<I>;
    type Op = dyn Operator<I, O>;

    fn accept(
        op: &mut Self::Op,
        input: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        op.process(input, out, context)
    }

    fn count(input: &Batch<I>) -> usize {
        input.len()
    }
}

struct TwoInputs<A, B>(std::marker::PhantomData<fn(A, B)>);

impl<A, B, O> Accept<O> for TwoInputs<A, B> {
    type In = Side<A, B>;
    type Op = dyn TwoInputOperator<A, B, O>;

    fn accept(
        op: &mut Self::Op,
        input: Side<A, B>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        match input {
            Side::Left(batch) => op.process_left(batch, out, context),
            Side::Right(batch) => op.process_right(batch, out, context),
        }
    }

    fn count(input: &Side<A, B>) -> usize {
        match input {
            Side::Left(batch) => batch.len(),
            Side::Right(batch) => batch.len(),
        }
    }
}

/// What waits in front of an operator that is not done with what came before.
enum Element<In> {
    Records(In),
    Control(Control),
    Mark(SplitMark),
}

/// What an operator is in the middle of.
#[derive(Clone, Copy)]
enum Step {
    Nothing,
    Records,
    /// The control element goes on downstream when the step is done.
    Control(Control),
}

struct Stage<A: Accept<O>, O> {
    context: OperatorContext,
    op: Box<A::Op>,
    out: Output<O>,
    step: Step,
    waiting: VecDeque<Element<A::In>>,
}

impl<A: Accept<O>, O> Stage<A, O> {
    fn new(op: Box<A::Op>, context: OperatorContext, out: Output<O>) -> Self {
        Self {
            context,
            op,
            out,
            step: Step::Nothing,
            waiting: VecDeque::new(),
        }
    }

    fn offer(&mut self, element: Element<A::In>) -> Result<Flow, ChainError> {
        if self.is_pending() {
            if let Element::Control(barrier @ Control::Barrier(_)) = &element
                && self.barrier_may_pass()
            {
                return Ok(Flow::Pending.and(self.out.control(*barrier)?));
            }
            self.forget_superseded(&element);
            // Records come only from whoever had not noticed yet; they are at most one step's worth.
            self.waiting.push_back(element);
            return Ok(Flow::Pending);
        }
        self.start(element)
    }

    /// Lets go of what waits and says nothing any more once `next` has come behind it: a watermark, or idleness, before
    /// another watermark, and idleness before the same.
    fn forget_superseded(&mut self, next: &Element<A::In>) {
        let Element::Control(next) = next else {
            return;
        };
        while let Some(Element::Control(last)) = self.waiting.back()
            && matches!(
                (last, next),
                (Control::Watermark(_) | Control::Idle, Control::Watermark(_))
                    | (Control::Idle, Control::Idle)
            )
        {
            self.waiting.pop_back();
        }
    }

    fn start(&mut self, element: Element<A::In>) -> Result<Flow, ChainError> {
        self.context.enter();
        let (cause, result) = match element {
            Element::Records(input) => {
                let count = A::count(&input);
                let result = A::accept(&mut self.op, input, &mut self.out, &self.context);
                self.context.add_received(count);
                (Step::Records, result)
            }
            Element::Control(control) => {
                let result = match control {
                    Control::Watermark(watermark) => {
                        self.context.set_watermark(watermark);
                        self.op.on_watermark(watermark, &mut self.out, &self.context)
                    }
                    Control::End => self.op.on_end(&mut self.out, &self.context),
                    Control::Idle | Control::Barrier(_) => Ok(Progress::Done),
                };
                (Step::Control(control), result)
            }
            Element::Mark(mark) => {
                self.out.mark(mark);
                (Step::Nothing, Ok(Progress::Done))
            }
        };
        self.finish(cause, result)
    }

    fn finish(&mut self, cause: Step, result: Result<Progress, OperatorError>) -> Result<Flow, ChainError> {
        // A failure below is the cause of whatever the operator says about it.
        let flow = self.out.settle()?;
        self.context.set_emitted(self.out.emitted());
        let progress = result.map_err(|error| ChainError {
            operator: self.context.uid.clone(),
            error,
        })?;
        match (progress, cause) {
            (Progress::More, cause) => {
                self.step = cause;
                Ok(if flow.is_ready() { Flow::Pending } else { flow })
            }
            (Progress::Done, Step::Control(control)) => {
                self.step = Step::Nothing;
                self.out.control(control)
            }
            (Progress::Done, Step::Records | Step::Nothing) => {
                self.step = Step::Nothing;
                Ok(flow)
            }
        }
    }

    /// At most one step of this operator, so that the executor keeps its budget.
    fn drain(&mut self) -> Result<Flow, ChainError> {
        let was_full = self.out.is_full();
        let below = self.out.drain()?;
        if !below.is_ready() {
            return Ok(below);
        }
        if was_full && self.is_pending() && self.barrier_may_pass() {
            // What the last step has emitted is through just now. If every step followed at once, a barrier would never
            // meet the chain without somebody further down in the middle of something that no snapshot tells.
            return Ok(Flow::Pending);
        }
        let flow = match self.step {
            Step::Nothing => match self.waiting.pop_front() {
                None => return Ok(Flow::Ready),
                Some(element) => self.start(element)?,
            },
            cause => {
                self.context.enter();
                let result = self.op.resume(&mut self.out, &self.context);
                self.finish(cause, result)?
            }
        };
        Ok(if self.is_pending() && flow.is_ready() {
            Flow::Pending
        } else {
            flow
        })
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        let flow = self.out.flush()?;
        Ok(if self.is_pending() && flow.is_ready() {
            Flow::Pending
        } else {
            flow
        })
    }
}

impl<A: Accept<O>, O> ChainedOperator for Stage<A, O> {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn open(&mut self) -> Result<(), OperatorError> {
        self.context.enter();
        self.op.open(&self.context)
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        self.op.keyed_states()
    }

    fn snapshot(&mut self, barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        self.context.enter();
        self.op.snapshot(barrier)
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.op.restore(state)
    }

    fn is_pending(&self) -> bool {
        !matches!(self.step, Step::Nothing) || !self.waiting.is_empty()
    }

    fn barrier_may_pass(&self) -> bool {
        let is_heard_again = |element: &Element<A::In>| {
            matches!(
                element,
                Element::Control(Control::Watermark(_) | Control::Idle | Control::End)
            )
        };
        let may_pass_step = match self.step {
            Step::Nothing => true,
            Step::Records | Step::Control(_) => self.op.snapshots_midway(),
        };
        may_pass_step && self.waiting.iter().all(is_heard_again)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.op.next_timer()
    }

    fn on_timer(&mut self) -> Result<Flow, ChainError> {
        if self.is_pending() || self.out.is_full() {
            return Ok(Flow::Pending);
        }
        self.context.enter();
        let result = self.op.on_timer(&mut self.out, &self.context);
        self.finish(Step::Records, result)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.context.enter();
        self.op.close()
    }
}

impl<A: Accept<O>, O> VisitOperators for Stage<A, O> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        visitor(self)?;
        self.out.visit(visitor)
    }
}

/// An operator with one input in its place in a chain.
pub struct Chained<I, O>(Stage<OneInput<I>, O>);

impl<I, O> Chained<I, O> {
    /// Puts `op` in front of `out`.
    pub fn new(op: Box<dyn Operator<I, O>>, context: OperatorContext, out: Output<O>) -> Self {
        Self(Stage::new(op, context, out))
    }
}

impl<I, O> VisitOperators for Chained<I, O> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.0.visit(visitor)
    }
}

impl<I: Send, O: Send> Push<I> for Chained<I, O> {
    fn push(&mut self, batch: Batch<I>) -> Result<Flow, ChainError> {
        self.0.offer(Element::Records(batch))
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.0.offer(Element::Control(control))
    }

    fn mark(&mut self, mark: SplitMark) -> Result<Flow, ChainError> {
        self.0.offer(Element::Mark(mark))
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        self.0.drain()
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        self.0.flush()
    }
}

/// An operator with two inputs at the head of a chain.
pub struct ChainedTwoInput<A, B, O>(Stage<TwoInputs<A, B>, O>);

impl<A, B, O> ChainedTwoInput<A, B, O> {
    /// Puts `op` in front of `out`.
    pub fn new(op: Box<dyn TwoInputOperator<A, B, O>>, context: OperatorContext, out: Output<O>) -> Self {
        Self(Stage::new(op, context, out))
    }

    /// Takes a batch of the first input.
    pub fn push_left(&mut self, batch: Batch<A>) -> Result<Flow, ChainError> {
        self.0.offer(Element::Records(Side::Left(batch)))
    }

    /// Takes a batch of the second input.
    pub fn push_right(&mut self, batch: Batch<B>) -> Result<Flow, ChainError> {
        self.0.offer(Element::Records(Side::Right(batch)))
    }

    /// Takes a control element that both inputs agree on.
    pub fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.0.offer(Element::Control(control))
    }

    /// See [`Push::drain`].
    pub fn drain(&mut self) -> Result<Flow, ChainError> {
        self.0.drain()
    }

    /// See [`Push::flush`].
    pub fn flush(&mut self) -> Result<Flow, ChainError> {
        self.0.flush()
    }
}

impl<A, B, O> VisitOperators for ChainedTwoInput<A, B, O> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.0.visit(visitor)
    }
}

/// Several links behind one output: every batch goes to each, cloned for all but the last.
pub struct FanOut<T> {
    branches: Vec<Branch<T>>,
}

struct Branch<T> {
    next: Box<dyn Push<T>>,
    flow: Flow,
}

impl<T> FanOut<T> {
    /// A fan-out to `branches`; with none, records are dropped.
    pub fn new(branches: Vec<Box<dyn Push<T>>>) -> Self {
        Self {
            branches: branches
                .into_iter()
                .map(|next| Branch {
                    next,
                    flow: Flow::Ready,
                })
                .collect(),
        }
    }

    fn each(
        &mut self,
        mut step: impl FnMut(&mut dyn Push<T>) -> Result<Flow, ChainError>,
    ) -> Result<Flow, ChainError> {
        let mut flow = Flow::Ready;
        for branch in &mut self.branches {
            branch.flow = step(branch.next.as_mut())?;
            flow = flow.and(branch.flow);
        }
        Ok(flow)
    }
}

impl<T> VisitOperators for FanOut<T> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.branches
            .iter_mut()
            .try_for_each(|branch| branch.next.visit(visitor))
    }
}

impl<T: Clone + Send> Push<T> for FanOut<T> {
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
        let mut batch = Some(batch);
        let mut left = self.branches.len();
        self.each(|next| {
            left -= 1;
            let copy = if left == 0 { batch.take() } else { batch.clone() };
            next.push(copy.unwrap_or_default())
        })
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.each(|next| next.control(control))
    }

    fn mark(&mut self, mark: SplitMark) -> Result<Flow, ChainError> {
        self.each(|next| next.mark(mark))
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        let mut flow = Flow::Ready;
        for branch in &mut self.branches {
            branch.flow = branch.next.drain()?;
            flow = flow.and(branch.flow);
        }
        Ok(flow)
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        self.each(|next| next.flush())
    }
}

//! Where operators emit, and what flows between operators of one chain.

use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, target_records},
    chain::{ChainError, ChainedOperator},
    id::CheckpointId,
    recycle::roomy,
    side::{OutputTag, SideOutputs},
    source::SplitMark,
    time::EventTime,
};

/// Whether whatever comes next can take more. What has been given is kept in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Flow {
    /// There is room, and nothing is pending.
    Ready,
    /// Work is pending on this thread: nothing more should be given until `drain` says ready; call it soon.
    Pending,
    /// Someone else must make room first and will wake the task: nothing more should be given until then.
    Blocked,
}

impl Flow {
    /// Whether more may be given.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// The flow of two links behind one: pending while either has work of its own to do, else blocked while either is.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (Self::Blocked, _) | (_, Self::Blocked) => Self::Blocked,
            (Self::Ready, Self::Ready) => Self::Ready,
        }
    }
}

/// Why a checkpoint is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BarrierKind {
    /// Regular: what changed since the last claimed checkpoint.
    Checkpoint,
    /// Self-contained: everything is written as base.
    Savepoint,
    /// Regular, and sources stop reading after it; it is no end of input.
    Suspend,
    /// Self-contained, and sources stop reading after it.
    SuspendWithSavepoint,
}

impl BarrierKind {
    /// Whether everything is to be written.
    pub fn is_full(self) -> bool {
        matches!(self, Self::Savepoint | Self::SuspendWithSavepoint)
    }

    /// Whether sources stop after the barrier.
    pub fn suspends(self) -> bool {
        matches!(self, Self::Suspend | Self::SuspendWithSavepoint)
    }
}

/// Divides a stream into what belongs to a checkpoint and what comes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Barrier {
    /// The checkpoint it belongs to.
    pub checkpoint: CheckpointId,
    /// The last claimed checkpoint, from which changes are measured; `None` when there is none.
    pub since: Option<CheckpointId>,
    /// Why it is taken.
    pub kind: BarrierKind,
}

/// What travels between records, in order with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Control {
    /// No record at or before this event time is expected any more. It ends idleness: a channel that becomes active
    /// again repeats its last watermark.
    Watermark(EventTime),
    /// The channel will say nothing for a while and does not hold back event time, until a record or a watermark comes.
    Idle,
    /// A checkpoint's dividing line.
    Barrier(Barrier),
    /// Nothing follows.
    End,
}

/// Visits the operators of a chain, head first.
pub type OperatorVisitor<'a> = dyn FnMut(&mut dyn ChainedOperator) -> Result<(), ChainError> + 'a;

/// A part of a chain whose operators can be visited.
pub trait VisitOperators {
    /// Calls `visitor` for every operator from here on, head first.
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError>;
}

/// The receiving end of a link within a chain. Nothing given to it is ever lost or refused: when it answers
/// anything but [`Flow::Ready`], it has kept what it was given and asks to be [drained](Push::drain) before more comes.
pub trait Push<T>: VisitOperators + Send {
    /// Takes a batch.
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError>;

    /// Takes a control element, in order after all batches pushed before.
    fn control(&mut self, control: Control) -> Result<Flow, ChainError>;

    /// Hears which split the records that follow come from, in order after all batches pushed before. Where a chain
    /// ends nobody listens.
    fn mark(&mut self, mark: SplitMark) -> Result<Flow, ChainError> {
        let _ = mark;
        Ok(Flow::Ready)
    }

    /// Goes on with whatever is pending, deepest first. [`Flow::Ready`] means that nothing is.
    fn drain(&mut self) -> Result<Flow, ChainError>;

    /// Hands on buffered records, however few.
    fn flush(&mut self) -> Result<Flow, ChainError>;
}

/// Where an operator emits. Records gather into batches of [`target_records`] and go to the next link.
///
/// Emission never fails and never blocks: a failure further down surfaces after the operator returns. An operator
/// that emits more than about one record for each it takes asks [`is_full`](Self::is_full) in its loop.
pub struct Output<O> {
    batch: Batch<O>,
    next: Box<dyn Push<O>>,
    flow: Flow,
    failure: Option<ChainError>,
    emitted: u64,
    /// The split that is being read, as said last.
    reading: Option<u32>,
    sides: SideOutputs,
    /// Where vectors come from. A pointer, so that only whoever makes an output has to know that its records are `'static`.
    roomy: fn() -> Vec<O>,
}

impl<O: 'static> Output<O> {
    /// An output in front of `next`.
    pub fn new(next: Box<dyn Push<O>>) -> Self {
        Self::with_sides(next, SideOutputs::none())
    }

    /// An output in front of `next`, with side outputs.
    pub fn with_sides(next: Box<dyn Push<O>>, sides: SideOutputs) -> Self {
        Self {
            batch: Batch::new(),
            next,
            flow: Flow::Ready,
            failure: None,
            emitted: 0,
            reading: None,
            sides,
            roomy,
        }
    }
}

impl<O> Output<O> {
    /// Emits one record.
    #[inline]
    pub fn emit(&mut self, record: O, time: Option<EventTime>) {
        if self.batch.records.capacity() == 0 {
            self.batch.records = (self.roomy)();
        }
        self.batch.push(record, time);
        if self.batch.len() >= target_records::<O>() {
            self.hand_on();
        }
    }

    /// Emits a whole batch, in order after all emitted before.
    pub fn emit_batch(&mut self, batch: Batch<O>) {
        self.hand_on();
        if !batch.is_empty() {
            self.give(batch);
        }
    }

    /// A side output, or `None` if nobody reads it.
    ///
    /// # Panics
    /// If the port carries records of another type than the tag says.
    pub fn side<S: 'static>(&mut self, tag: OutputTag<S>) -> Option<&mut Output<S>> {
        self.sides.get(tag)
    }

    /// Emits one record into a side output; it is dropped if nobody reads there.
    pub fn emit_side<S: 'static>(&mut self, tag: OutputTag<S>, record: S, time: Option<EventTime>) {
        if let Some(side) = self.side(tag) {
            side.emit(record, time);
        }
    }

    /// Whether the operator should pause at its next convenience: downstream of the main or of a side output is
    /// pending, or has failed.
    #[inline]
    pub fn is_full(&self) -> bool {
        !self.flow.is_ready() || self.failure.is_some() || self.sides.is_full()
    }

    fn hand_on(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.give(batch);
        }
    }

    /// How many records have been handed on so far.
    pub fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Says which split of a source the records emitted from here on come from, or that one has ended. Saying again
    /// what was said last costs nothing.
    pub fn mark(&mut self, mark: SplitMark) {
        if let SplitMark::Reading(split) = mark {
            if self.reading == Some(split) {
                return;
            }
            self.reading = Some(split);
        }
        self.hand_on();
        if self.failure.is_none() {
            let marked = self.next.mark(mark);
            self.note(marked);
        }
    }

    fn give(&mut self, batch: Batch<O>) {
        self.emitted += batch.len() as u64;
        if self.failure.is_none() {
            let pushed = self.next.push(batch);
            self.note(pushed);
        }
    }

    fn note(&mut self, answer: Result<Flow, ChainError>) {
        match answer {
            Ok(flow) => self.flow = self.flow.and(flow),
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// Hands on what has been emitted so far; for whoever runs the operator, after each of its steps.
    pub fn settle(&mut self) -> Result<Flow, ChainError> {
        self.settle_main()?;
        Ok(self.flow.and(self.sides.settle()?))
    }

    fn settle_main(&mut self) -> Result<(), ChainError> {
        self.hand_on();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Sends a control element after everything emitted so far, on side outputs too.
    pub fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.settle_main()?;
        self.flow = self.flow.and(self.next.control(control)?);
        Ok(self.flow.and(self.sides.control(control)?))
    }

    /// Drains what comes next.
    pub fn drain(&mut self) -> Result<Flow, ChainError> {
        self.settle_main()?;
        // Whatever this output last heard: an operator further down may have been left pending by a timer.
        self.flow = self.next.drain()?;
        Ok(self.flow.and(self.sides.drain()?))
    }

    /// Flushes everything from here on.
    pub fn flush(&mut self) -> Result<Flow, ChainError> {
        self.settle_main()?;
        self.flow = self.flow.and(self.next.flush()?);
        Ok(self.flow.and(self.sides.flush()?))
    }
}

impl<O> VisitOperators for Output<O> {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.next.visit(visitor)?;
        self.sides.visit(visitor)
    }
}

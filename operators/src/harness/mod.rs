//! The operator test harness: drives one operator step by step, without a cluster, a clock or a thread.
//!
//! The operator stands in the same chain link as in a job, so steps, timers, side outputs and snapshots behave as
//! they do there. Nothing happens but what the test says, in the order in which it says it.
//!
//! ```
//! use tidegate_operators::{FlatMap, harness::HarnessBuilder};
//!
//! let words = FlatMap::new(|line: String| line.split(' ').map(String::from).collect::<Vec<_>>());
//! let mut harness = HarnessBuilder::new("words").one_input(words)?;
//! harness.push(["to be or".to_string()])?;
//! assert_eq!(harness.take(), ["to", "be", "or"]);
//!
//! // What the operator keeps survives in a snapshot, also for a task of another parallelism.
//! let snapshot = harness.checkpoint()?;
//! let words = FlatMap::new(|line: String| line.split(' ').map(String::from).collect::<Vec<_>>());
//! let mut restored = HarnessBuilder::new("words").task(0, 2).restore(&snapshot).one_input(words)?;
//! restored.push(["not to be".to_string()])?;
//! assert_eq!(restored.take(), ["not", "to", "be"]);
//! # Ok::<(), tidegate_core::chain::ChainError>(())
//! ```

mod async_map;
mod builder;
mod capture;
mod io;
mod snapshot;
mod source;
mod watermarks;

use std::sync::Arc;

use tidegate_core::{
    Barrier, BarrierKind, Batch, CheckpointId, Control, EventTime, Flow, KeyGroupRange, KeySpace, Output,
    OutputTag, ProcessingTime, Progress, Push, TaskProbe, VisitOperators,
    chain::{ChainError, Chained, ChainedOperator, ChainedTwoInput},
    metrics::TaskMetrics,
    snapshot::Freeze,
};

pub use async_map::AsyncMapHarness;
pub use builder::HarnessBuilder;
pub use capture::Emitted;
pub use io::{HeldIo, InlineIo, ThreadIo};
pub use snapshot::HarnessSnapshot;
pub use source::{SourceHarness, sink_context, sink_context_with_io};
pub use watermarks::WatermarkHarness;

use capture::{Capture, Sides};
use snapshot::PendingSnapshot;

/// How many entries a scan step of [`Harness::checkpoint`] looks at.
const SCAN_BUDGET: usize = 1024;

/// A harness of an operator with one input.
pub type OneInputHarness<I, O> = Harness<Chained<I, O>, O>;

/// A harness of an operator with two inputs.
pub type TwoInputHarness<A, B, O> = Harness<ChainedTwoInput<A, B, O>, O>;

/// The chain link that a harness drives.
pub trait HarnessLink: VisitOperators {
    /// Sends a control element through the operator.
    fn control(&mut self, control: Control) -> Result<Flow, ChainError>;
    /// Goes on with pending work: at most one step of the operator.
    fn drain(&mut self) -> Result<Flow, ChainError>;
}

impl<I: Send, O: Send> HarnessLink for Chained<I, O> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        Push::control(self, control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        Push::drain(self)
    }
}

impl<A, B, O> HarnessLink for ChainedTwoInput<A, B, O> {
    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        ChainedTwoInput::control(self, control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        ChainedTwoInput::drain(self)
    }
}

/// Drives one task of one operator. Made by [`HarnessBuilder`].
pub struct Harness<L, O> {
    link: L,
    flow: Flow,
    output: Capture<O>,
    sides: Sides,
    probe: Arc<TaskProbe>,
    metrics: Arc<TaskMetrics>,
    index: u32,
    space: KeySpace,
    groups: KeyGroupRange,
    pending: Option<PendingSnapshot>,
    last_checkpoint: CheckpointId,
    claimed: HarnessSnapshot,
}

impl<I: Send, O: Send + 'static> Harness<Chained<I, O>, O> {
    /// Gives the operator a batch of records without times and lets it finish.
    pub fn push(&mut self, records: impl IntoIterator<Item = I>) -> Result<(), ChainError> {
        self.push_batch(Vec::from_iter(records).into())?;
        self.settle()
    }

    /// Gives the operator a batch of records with their event times and lets it finish.
    pub fn push_timed<E: Into<EventTime>>(
        &mut self,
        records: impl IntoIterator<Item = (I, E)>,
    ) -> Result<(), ChainError> {
        self.push_batch(timed(records))?;
        self.settle()
    }

    /// Gives the operator a batch. If it cannot finish at once, [`step`](Self::step) or [`settle`](Self::settle) goes on.
    pub fn push_batch(&mut self, batch: Batch<I>) -> Result<(), ChainError> {
        let flow = self.link.push(batch)?;
        self.flow = flow;
        Ok(())
    }
}

impl<A, B, O: Send + 'static> Harness<ChainedTwoInput<A, B, O>, O> {
    /// Gives the first input records without times and lets the operator finish.
    pub fn push_left(&mut self, records: impl IntoIterator<Item = A>) -> Result<(), ChainError> {
        self.flow = self.link.push_left(Vec::from_iter(records).into())?;
        self.settle()
    }

    /// Gives the second input records without times and lets the operator finish.
    pub fn push_right(&mut self, records: impl IntoIterator<Item = B>) -> Result<(), ChainError> {
        self.flow = self.link.push_right(Vec::from_iter(records).into())?;
        self.settle()
    }

    /// Gives the first input records with their event times and lets the operator finish.
    pub fn push_left_timed<E: Into<EventTime>>(
        &mut self,
        records: impl IntoIterator<Item = (A, E)>,
    ) -> Result<(), ChainError> {
        self.push_left_batch(timed(records))?;
        self.settle()
    }

    /// Gives the second input records with their event times and lets the operator finish.
    pub fn push_right_timed<E: Into<EventTime>>(
        &mut self,
        records: impl IntoIterator<Item = (B, E)>,
    ) -> Result<(), ChainError> {
        self.push_right_batch(timed(records))?;
        self.settle()
    }

    /// Gives the first input a batch. If the operator cannot finish at once, [`step`](Self::step) goes on.
    pub fn push_left_batch(&mut self, batch: Batch<A>) -> Result<(), ChainError> {
        self.flow = self.link.push_left(batch)?;
        Ok(())
    }

    /// Gives the second input a batch. If the operator cannot finish at once, [`step`](Self::step) goes on.
    pub fn push_right_batch(&mut self, batch: Batch<B>) -> Result<(), ChainError> {
        self.flow = self.link.push_right(batch)?;
        Ok(())
    }
}

fn timed<T, E: Into<EventTime>>(records: impl IntoIterator<Item = (T, E)>) -> Batch<T> {
    let mut batch = Batch::new();
    for (record, time) in records {
        batch.push(record, Some(time.into()));
    }
    batch
}

impl<L: HarnessLink, O: Send + 'static> Harness<L, O> {
    /// Whether the operator has finished what it was given and every output has room.
    pub fn is_ready(&self) -> bool {
        self.flow.is_ready()
    }

    /// Makes room in the outputs and lets the operator do at most one step. Returns whether it has finished.
    pub fn step(&mut self) -> Result<bool, ChainError> {
        self.flow = self.link.drain()?;
        Ok(self.is_ready())
    }

    /// Lets the operator finish what it was given.
    pub fn settle(&mut self) -> Result<(), ChainError> {
        while !self.is_ready() {
            self.step()?;
        }
        Ok(())
    }

    /// Tells the operator how far event time has come, and lets it finish: timers and windows that are due fire.
    pub fn watermark(&mut self, time: impl Into<EventTime>) -> Result<(), ChainError> {
        self.start_watermark(time)?;
        self.settle()
    }

    /// Tells the operator how far event time has come. If it cannot finish at once, [`step`](Self::step) goes on: so a
    /// test can look, or take a snapshot, in the middle of a large firing.
    pub fn start_watermark(&mut self, time: impl Into<EventTime>) -> Result<(), ChainError> {
        let time = time.into();
        self.settle()?;
        self.probe.set_watermark(time);
        self.flow = self.link.control(Control::Watermark(time))?;
        Ok(())
    }

    /// Tells the operator that its input is idle.
    pub fn idle(&mut self) -> Result<(), ChainError> {
        self.control(Control::Idle)
    }

    /// Ends the input: the last watermark, then what the operator has kept for the end.
    pub fn end_of_time(&mut self) -> Result<(), ChainError> {
        self.watermark(EventTime::MAX)?;
        self.end()
    }

    /// Ends the input, without a last watermark: the operator emits what it has kept for the end.
    pub fn end(&mut self) -> Result<(), ChainError> {
        self.control(Control::End)
    }

    /// Ends the input as [`end`](Self::end) does. If the operator cannot finish at once, [`step`](Self::step) goes on.
    pub fn start_end(&mut self) -> Result<(), ChainError> {
        self.settle()?;
        self.flow = self.link.control(Control::End)?;
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), ChainError> {
        self.settle()?;
        self.flow = self.link.control(control)?;
        self.settle()
    }

    /// Moves the clock and lets all timers fire that are due.
    pub fn set_processing_time(&mut self, now: ProcessingTime) -> Result<(), ChainError> {
        self.settle()?;
        self.probe.set_now(now);
        self.with_operator(|operator| {
            operator
                .keyed_states()
                .into_iter()
                .for_each(|state| state.set_now(now));
            Ok(())
        })?;
        while self.next_timer()?.is_some_and(|due| due <= now) {
            let mut flow = Flow::Ready;
            self.link.visit(&mut |operator| {
                flow = operator.on_timer()?;
                Ok(())
            })?;
            self.flow = flow;
            self.settle()?;
        }
        Ok(())
    }

    /// When the operator wants its timers to be called next.
    pub fn next_timer(&mut self) -> Result<Option<ProcessingTime>, ChainError> {
        let mut next = None;
        self.with_operator(|operator| {
            next = operator.next_timer();
            Ok(())
        })?;
        Ok(next)
    }

    fn barrier_may_pass(&mut self) -> Result<bool, ChainError> {
        let mut may_pass = true;
        self.with_operator(|operator| {
            may_pass = operator.barrier_may_pass();
            Ok(())
        })?;
        Ok(may_pass)
    }

    /// Closes the operator, as a task does when it ends.
    pub fn close(&mut self) -> Result<(), ChainError> {
        self.with_operator(|operator| operator.close())
    }

    fn with_operator(
        &mut self,
        mut visit: impl FnMut(&mut dyn ChainedOperator) -> Result<(), tidegate_core::OperatorError>,
    ) -> Result<(), ChainError> {
        self.link.visit(&mut |operator| {
            let visited = visit(operator);
            visited.map_err(|error| ChainError {
                operator: operator.context().uid.clone(),
                error,
            })
        })
    }
}

/// Snapshots.
impl<L: HarnessLink, O: Send + 'static> Harness<L, O> {
    /// Freezes the operator's state at a barrier. Records may be pushed while [`scan`](Self::scan) goes on. A snapshot
    /// that is still pending is aborted. An operator in the middle of a step finishes it first, unless a barrier may
    /// [pass](tidegate_core::OperatorLifecycle::snapshots_midway).
    pub fn freeze(&mut self, kind: BarrierKind) -> Result<CheckpointId, ChainError> {
        while !self.is_ready() && !self.barrier_may_pass()? {
            self.step()?;
        }
        self.abort()?;
        let checkpoint = self.last_checkpoint.next();
        self.last_checkpoint = checkpoint;
        let since = self.claimed.checkpoint;
        let barrier = Barrier {
            checkpoint,
            since,
            kind,
        };
        let mut pending = PendingSnapshot::new(checkpoint, self.index, self.probe.watermark());
        let freeze = Freeze {
            checkpoint,
            since: since.filter(|_| !kind.is_full()),
        };
        self.with_operator(|operator| {
            for state in operator.keyed_states() {
                pending.schemas.push(state.schema());
                state.freeze(freeze);
            }
            pending.states = operator.snapshot(&barrier)?;
            Ok(())
        })?;
        self.pending = Some(pending);
        self.flow = self.link.control(Control::Barrier(barrier))?;
        Ok(checkpoint)
    }

    /// Serialises some of what is frozen: about `budget` entries are looked at. `Done` when nothing is left.
    pub fn scan(&mut self, budget: usize) -> Result<Progress, ChainError> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(Progress::Done);
        };
        let mut progress = Progress::Done;
        let scanned = self.with_operator(|operator| {
            let mut states = operator.keyed_states();
            while pending.scanned < states.len() {
                progress = states[pending.scanned].scan(budget, &mut pending.blocks)?;
                if progress == Progress::More {
                    break;
                }
                pending.scanned += 1;
            }
            Ok(())
        });
        self.pending = Some(pending);
        scanned.map(|()| progress)
    }

    /// Forgets the pending snapshot: its changes will be part of the next one.
    pub fn abort(&mut self) -> Result<(), ChainError> {
        if self.pending.take().is_some() {
            self.with_operator(|operator| {
                operator
                    .keyed_states()
                    .into_iter()
                    .for_each(|state| state.discard());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Scans to the end and claims the pending snapshot: the next one is measured from it. With none pending, the last
    /// one claimed is returned.
    pub fn claim(&mut self) -> Result<HarnessSnapshot, ChainError> {
        while self.scan(SCAN_BUDGET)? == Progress::More {}
        if let Some(pending) = self.pending.take() {
            let checkpoint = pending.checkpoint;
            self.claimed.append(pending);
            self.with_operator(|operator| {
                operator
                    .keyed_states()
                    .into_iter()
                    .for_each(|state| state.claimed(checkpoint));
                Ok(())
            })?;
        }
        Ok(self.claimed.clone())
    }

    /// Takes a snapshot in one go: [`freeze`](Self::freeze), [`scan`](Self::scan), [`claim`](Self::claim).
    pub fn checkpoint(&mut self) -> Result<HarnessSnapshot, ChainError> {
        self.freeze(BarrierKind::Checkpoint)?;
        self.claim()
    }

    /// The number of live entries in the operator's keyed states.
    pub fn entries(&mut self) -> u64 {
        self.sum_of_states(|state| state.entries())
    }

    /// The digest of the operator's keyed states; those of parallel tasks add up.
    pub fn digest(&mut self) -> u64 {
        self.sum_of_states(|state| state.digest())
    }

    fn sum_of_states(&mut self, value: impl Fn(&dyn tidegate_core::snapshot::KeyedState) -> u64) -> u64 {
        let mut sum = 0u64;
        let visited = self.with_operator(|operator| {
            for state in operator.keyed_states() {
                sum = sum.wrapping_add(value(state));
            }
            Ok(())
        });
        debug_assert!(visited.is_ok(), "reading a state's size cannot fail");
        sum
    }
}

/// What came out.
impl<L, O: Send + 'static> Harness<L, O> {
    /// Takes the records emitted since the last call.
    pub fn take(&mut self) -> Vec<O> {
        self.take_timed().into_iter().map(|(record, _)| record).collect()
    }

    /// Takes the records emitted since the last call, with their event times.
    pub fn take_timed(&mut self) -> Vec<(O, Option<EventTime>)> {
        capture::records(self.output.take())
    }

    /// Takes the records and control elements emitted since the last call.
    pub fn take_elements(&mut self) -> Vec<Emitted<O>> {
        self.output
            .take()
            .into_iter()
            .flat_map(capture::flatten)
            .collect()
    }

    /// Takes the batches emitted since the last call.
    pub fn take_batches(&mut self) -> Vec<Batch<O>> {
        capture::batches(self.output.take())
    }

    /// How many records have been emitted since the last time they were taken.
    pub fn collected(&self) -> usize {
        self.output.len()
    }

    /// The most records that were emitted between two times the output was drained: what an operator that works in steps
    /// keeps near the [room](HarnessBuilder::room) there is.
    pub fn most_at_once(&self) -> usize {
        self.output.most()
    }

    /// Takes the records emitted into a side output since the last call.
    ///
    /// # Panics
    /// If the harness was not built with this side output.
    pub fn take_side<S: Send + 'static>(&mut self, tag: OutputTag<S>) -> Vec<S> {
        capture::records(self.sides.get(tag).take())
            .into_iter()
            .map(|(record, _)| record)
            .collect()
    }

    /// The clock, the watermark and the panic record of the task.
    pub fn probe(&self) -> &TaskProbe {
        &self.probe
    }

    /// The counters of the task.
    pub fn metrics(&self) -> &TaskMetrics {
        &self.metrics
    }

    /// Whether a key with this hash belongs to this task.
    pub fn owns(&self, hash: u64) -> bool {
        self.groups.contains(self.space.group_of(hash))
    }
}

fn output_of<O: Send + 'static>(capture: &Capture<O>) -> Output<O> {
    Output::new(capture.link())
}

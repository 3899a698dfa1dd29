//! What an operator is to the engine.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

use crate::{
    batch::Batch,
    error::OperatorError,
    id::{OperatorUid, TaskId},
    io::Io,
    key::{KeyGroupRange, KeySpace},
    metrics::{OperatorCounters, OperatorMetrics, TaskMetrics},
    output::{Barrier, Output},
    snapshot::{KeyedState, OperatorState, RestoredState},
    time::{EventTime, ProcessingTime},
};

/// Whether a step finished its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// Nothing is left: the next input may come.
    Done,
    /// The output filled up first. `resume` is called, when there is room, until it is done.
    More,
}

/// What an operator instance knows about itself and its surroundings. Cheap to share; one per operator and task.
pub struct OperatorContext {
    /// The operator's uid; generated from its place for operators that keep no state.
    pub uid: OperatorUid,
    /// The task that runs it.
    pub task: TaskId,
    /// How many parallel tasks there are.
    pub parallelism: u32,
    /// The job's key groups.
    pub space: KeySpace,
    /// The key groups of this task.
    pub key_groups: KeyGroupRange,
    /// Where I/O may be started.
    pub io: Arc<dyn Io>,
    /// What the task measures; a function's own metrics are made by [`metrics`](Self::metrics).
    pub metrics: Arc<TaskMetrics>,
    /// The task's clock and its record of a panic.
    pub probe: Arc<TaskProbe>,
    watermark: AtomicI64,
    place: usize,
    counters: Arc<OperatorCounters>,
}

/// What the executor shows its operators, and what a panicking operator leaves behind.
#[derive(Debug, Default)]
pub struct TaskProbe {
    now: AtomicI64,
    watermark: AtomicI64,
    panicked: Mutex<Option<(OperatorUid, u64)>>,
    /// Taken when the chain is built and when somebody looks from outside.
    operators: Mutex<Vec<OperatorUid>>,
    /// The place of the operator that was entered last, plus one.
    entered: AtomicUsize,
    waker: OnceLock<Waker>,
}

impl TaskProbe {
    /// A probe at the given time whose watermark has said nothing yet.
    pub fn new(now: ProcessingTime) -> Arc<Self> {
        let probe = Self::default();
        probe.set_now(now);
        probe.set_watermark(EventTime::MIN);
        Arc::new(probe)
    }

    /// Says how the task is woken, once, before its operators are made.
    pub fn set_waker(&self, waker: Waker) {
        // A task is woken in one way for all of its life.
        let _ = self.waker.set(waker);
    }

    /// Wakes the task: its operators are then asked for their [timers](OperatorLifecycle::next_timer), and may have one that
    /// is due. A task that nobody can wake has one that does nothing.
    pub fn waker(&self) -> Waker {
        self.waker.get().cloned().unwrap_or_else(|| Waker::noop().clone())
    }

    /// Moves the clock. The executor does so before it runs the task.
    pub fn set_now(&self, now: ProcessingTime) {
        self.now.store(now.0, Relaxed);
    }

    /// The processing time of this run.
    pub fn now(&self) -> ProcessingTime {
        ProcessingTime(self.now.load(Relaxed))
    }

    /// Records the task's watermark: that of its inputs together.
    pub fn set_watermark(&self, watermark: EventTime) {
        self.watermark.store(watermark.0, Relaxed);
    }

    /// The task's watermark.
    pub fn watermark(&self) -> EventTime {
        EventTime(self.watermark.load(Relaxed))
    }

    /// The operator that panicked and the position of the record it held, if it was in its record loop.
    pub fn take_panicked(&self) -> Option<(OperatorUid, u64)> {
        self.panicked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Makes an operator known; its place among those of the task.
    pub fn register(&self, operator: &OperatorUid) -> usize {
        let mut operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        operators.push(operator.clone());
        operators.len() - 1
    }

    /// The operator at this place gets the thread.
    #[inline]
    pub fn enter(&self, place: usize) {
        self.entered.store(place + 1, Relaxed);
    }

    /// The operator that got the thread last; may be asked from any thread.
    pub fn entered(&self) -> Option<OperatorUid> {
        let place = self.entered.load(Relaxed).checked_sub(1)?;
        let operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        operators.get(place).cloned()
    }

    fn note_panic(&self, operator: &OperatorUid, position: u64) {
        let mut slot = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        // Unwinding passes the innermost operator first: it is the one to blame.
        slot.get_or_insert_with(|| (operator.clone(), position));
    }
}

impl OperatorContext {
    /// A context for an operator of `task`.
    pub fn new(
        uid: OperatorUid,
        task: TaskId,
        parallelism: u32,
        space: KeySpace,
        io: Arc<dyn Io>,
        metrics: Arc<TaskMetrics>,
        probe: Arc<TaskProbe>,
    ) -> Self {
        let key_groups = space.range_of(task.index, parallelism);
        let place = probe.register(&uid);
        let counters = metrics.add_operator(&uid);
        Self {
            uid,
            task,
            parallelism,
            space,
            key_groups,
            io,
            metrics,
            watermark: AtomicI64::new(probe.watermark().0),
            probe,
            place,
            counters,
        }
    }

    /// The task's index among the parallel ones.
    pub fn index(&self) -> u32 {
        self.task.index
    }

    /// The processing time of this run; it stands still within a run.
    pub fn now(&self) -> ProcessingTime {
        self.probe.now()
    }

    /// The operator's watermark: how far event time has come at its input. Within a chain it is the task's, unless
    /// watermarks are assigned in between.
    pub fn watermark(&self) -> EventTime {
        EventTime(self.watermark.load(Relaxed))
    }

    /// Records the operator's watermark; for whoever runs it, before it is told.
    pub fn set_watermark(&self, watermark: EventTime) {
        self.watermark.store(watermark.0, Relaxed);
    }

    /// Notes that this operator gets the thread: whoever runs it calls this before each step.
    #[inline]
    pub fn enter(&self) {
        self.probe.enter(self.place);
    }

    /// Starts to count through the records of the current batch, so that a panic can name the one it struck.
    #[inline]
    pub fn position(&self) -> Position<'_> {
        self.position_from(self.counters.records_in.get())
    }

    /// Goes on counting where the next record is the one at `absolute`: for an operator that is resumed in the middle
    /// of a batch, which has been counted as received by then.
    #[inline]
    pub fn position_from(&self, absolute: u64) -> Position<'_> {
        Position {
            context: self,
            base: absolute,
            index: 0,
        }
    }

    /// Notes that a batch of `count` records has been taken in.
    pub fn add_received(&self, count: usize) {
        self.counters.records_in.add(count as u64);
    }

    /// Notes that a batch of `count` records has been handed on.
    pub fn add_emitted(&self, count: usize) {
        self.counters.records_out.add(count as u64);
    }

    /// Notes how many records the operator has handed on so far.
    pub fn set_emitted(&self, count: u64) {
        self.counters.records_out.set(count);
    }

    /// Makes the metrics of the operator's function: counters, gauges and histograms by name.
    pub fn metrics(&self) -> OperatorMetrics<'_> {
        self.metrics.own(&self.uid)
    }
}

/// A count through a batch that costs nothing unless the thread panics while it lives.
pub struct Position<'a> {
    context: &'a OperatorContext,
    base: u64,
    index: u64,
}

impl Position<'_> {
    /// Call before each record's user code.
    #[inline]
    pub fn advance(&mut self) {
        self.index += 1;
    }

    /// The current record's place among all that the operator has received in this attempt, from 0.
    pub fn absolute(&self) -> u64 {
        self.base + self.index.saturating_sub(1)
    }

    /// The error of user code for the current record.
    pub fn error(&self, cause: impl Into<crate::BoxError>) -> OperatorError {
        OperatorError::Record {
            position: self.absolute(),
            cause: cause.into(),
        }
    }
}

impl Drop for Position<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.context.probe.note_panic(&self.context.uid, self.absolute());
        }
    }
}

/// The part of an operator's life that does not depend on its inputs.
///
/// Every method is called on the executor thread, between batches. Steps that may emit much return
/// [`Progress::More`] when [`Output::is_full`] says so, and go on in [`resume`](Self::resume).
pub trait OperatorLifecycle<O>: Send {
    /// Called once, before state is restored and before the first record.
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        let _ = context;
        Ok(())
    }

    /// The operator's keyed state tables, always the same and in the same order.
    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        Vec::new()
    }

    /// The operator's state that is not keyed, as of `barrier`. Must be small.
    fn snapshot(&mut self, barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        let _ = barrier;
        Ok(Vec::new())
    }

    /// Takes back state that is not keyed: that of *all* former tasks of this operator, to pick from.
    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        let _ = state;
        Ok(())
    }

    /// Continues what returned [`Progress::More`].
    fn resume(&mut self, out: &mut Output<O>, context: &OperatorContext) -> Result<Progress, OperatorError> {
        let _ = (out, context);
        Ok(Progress::Done)
    }

    /// Whether a barrier may pass the operator although a step of it is pending: its snapshot then says what is left to
    /// do, and an operator that is restored from it does that, and nothing else, when it hears how far event time has
    /// come or, at the latest, of the end.
    ///
    /// Without this, a barrier waits until the step is done, for as long as the output is full.
    fn snapshots_midway(&self) -> bool {
        false
    }

    /// Event time has come so far: no record at or before it is expected any more. The watermark is passed on
    /// downstream once this is done.
    fn on_watermark(
        &mut self,
        watermark: EventTime,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let _ = (watermark, out, context);
        Ok(Progress::Done)
    }

    /// When the operator wants [`on_timer`](Self::on_timer) to be called next, if at all.
    fn next_timer(&self) -> Option<ProcessingTime> {
        None
    }

    /// The processing time that [`next_timer`](Self::next_timer) asked for has come.
    fn on_timer(
        &mut self,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let _ = (out, context);
        Ok(Progress::Done)
    }

    /// All inputs have ended for good. A last checkpoint still follows.
    fn on_end(&mut self, out: &mut Output<O>, context: &OperatorContext) -> Result<Progress, OperatorError> {
        let _ = (out, context);
        Ok(Progress::Done)
    }

    /// Called once when the task ends for whatever reason but a crash.
    fn close(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// An operator with one input.
pub trait Operator<I, O>: OperatorLifecycle<O> {
    /// Takes in a batch and emits what follows from it.
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError>;
}

/// An operator with two inputs of different types.
pub trait TwoInputOperator<A, B, O>: OperatorLifecycle<O> {
    /// Takes in a batch of the first input.
    fn process_left(
        &mut self,
        batch: Batch<A>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError>;

    /// Takes in a batch of the second input.
    fn process_right(
        &mut self,
        batch: Batch<B>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError>;
}

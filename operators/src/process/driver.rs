//! The life that keyed functions share: records and timers in steps, state, snapshots.

use tidegate_core::{
    Barrier, BoxError, EventTime, Key, KeyProbe, KeySelector, KeySpace, OperatorContext, OperatorError,
    OperatorLifecycle, Output, ProcessingTime, Progress,
    snapshot::{KeyedState, OperatorState, RestoredState},
};
use tidegate_state::{RegistryError, StateRegistry};

use super::{
    context::{ProcessContext, Scope},
    feed::Feed,
};

/// A function with what finds the keys of its records: what differs between one stream, two streams, and a stream beside
/// a broadcast stream.
pub trait DrivenFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// What goes out.
    type Out: Send + 'static;
    /// A batch of one of its inputs that is being worked through.
    type Input: Send;

    /// See [`OperatorLifecycle::open`].
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError>;

    /// Takes records until none is left or the output is full.
    fn take(
        &mut self,
        input: &mut Self::Input,
        step: &mut Step<'_, Self::Key, Self::Out>,
    ) -> Result<Progress, OperatorError>;

    /// A timer of a key has come due.
    fn fire(
        &self,
        timer: DueTimer,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// State that is not keyed.
    fn snapshot(&mut self) -> Result<Vec<OperatorState>, OperatorError> {
        Ok(Vec::new())
    }

    /// Takes back state that is not keyed.
    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        let _ = state;
        Ok(())
    }

    /// See [`OperatorLifecycle::close`].
    fn close(&mut self) -> Result<(), BoxError>;
}

/// A timer that has come due, by the clock it was set for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DueTimer {
    /// The machine's clock.
    ProcessingTime(ProcessingTime),
    /// The watermark.
    EventTime(EventTime),
}

impl DueTimer {
    /// The time that what follows from it carries.
    fn event_time(self) -> Option<EventTime> {
        match self {
            Self::ProcessingTime(_) => None,
            Self::EventTime(time) => Some(time),
        }
    }
}

/// What a timer's function said.
#[derive(Debug, thiserror::Error)]
#[error("{clock} timer due at {due_ms} ms: {cause}")]
struct TimerError {
    clock: &'static str,
    due_ms: i64,
    cause: BoxError,
}

impl TimerError {
    fn new(timer: DueTimer, cause: BoxError) -> Self {
        let (clock, due_ms) = match timer {
            DueTimer::ProcessingTime(time) => ("processing-time", time.0),
            DueTimer::EventTime(time) => ("event-time", time.0),
        };
        Self { clock, due_ms, cause }
    }
}

/// Everything that a step of a function works with.
pub struct Step<'a, K: Key, O> {
    pub(super) scope: &'a mut Scope<K>,
    pub(super) out: &'a mut Output<O>,
    pub(super) context: &'a OperatorContext,
}

impl<K: Key, O> Step<'_, K, O> {
    /// Gives the records of a batch to a function until none is left or the output is full.
    pub(super) fn feed<T: 'static, S: KeySelector<T, Key = K>>(
        &mut self,
        feed: &mut Feed<T>,
        selector: &S,
        take: impl Fn(T, &mut ProcessContext<'_, K, O>) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        for fed in feed {
            let mut position = self.context.position_from(fed.position);
            position.advance();
            let key = selector.probe(&fed.record).into_key();
            let mut of_key = self
                .scope
                .of_key(&key, fed.hash, fed.time, self.out, self.context);
            take(fed.record, &mut of_key).map_err(|cause| position.error(cause))?;
            if self.out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    /// Fires the timers of a clock that are due, earliest first, until none is left or the output is full. One that is set
    /// meanwhile and is due already fires too.
    fn fire<F: DrivenFunction<Key = K, Out = O>>(
        &mut self,
        function: &F,
        clock: Clock,
    ) -> Result<Progress, OperatorError> {
        let _position = self.context.position();
        while let Some((timer, key, hash)) = self.pop_due(clock) {
            let time = timer.event_time();
            let mut of_key = self.scope.of_key(&key, hash, time, self.out, self.context);
            let fired = function.fire(timer, &mut of_key);
            fired.map_err(|cause| OperatorError::other(TimerError::new(timer, cause)))?;
            if self.out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn pop_due(&mut self, clock: Clock) -> Option<(DueTimer, K, u64)> {
        let timers = &mut self.scope.timers;
        let (due, make): (_, fn(i64) -> DueTimer) = match clock {
            Clock::ProcessingTime => (timers.processing_time.pop_due(self.context.now().0), |time| {
                DueTimer::ProcessingTime(ProcessingTime(time))
            }),
            Clock::EventTime(watermark) => (timers.event_time.pop_due(watermark.0), |time| {
                DueTimer::EventTime(EventTime(time))
            }),
        };
        due.map(|timer| (make(timer.time), timer.key, timer.hash))
    }
}

/// Which timers are to fire.
#[derive(Clone, Copy)]
enum Clock {
    ProcessingTime,
    /// Those at or before this watermark.
    EventTime(EventTime),
}

/// What the operator is in the middle of.
enum Pending<I> {
    Nothing,
    Input(I),
    Timers(Clock),
}

/// Runs a function with state and timers per key: the operator behind [`Process`](super::Process),
/// [`CoProcess`](super::CoProcess) and [`BroadcastProcess`](super::BroadcastProcess).
///
/// Timers fire in the order of their times: those of processing time when the clock has reached them, those of event
/// time when the watermark has, before the watermark goes on downstream. Both are keyed state.
pub struct FunctionDriver<F: DrivenFunction> {
    function: F,
    scope: Scope<F::Key>,
    pending: Pending<F::Input>,
}

impl<F: DrivenFunction> FunctionDriver<F> {
    /// An operator with the function that `make` makes, which declares its states there.
    pub(super) fn make(
        make: impl FnOnce(&mut StateRegistry<F::Key>) -> Result<F, RegistryError>,
        space: KeySpace,
    ) -> Result<Self, RegistryError> {
        let mut registry = StateRegistry::new(space);
        let function = make(&mut registry)?;
        Ok(Self {
            function,
            scope: Scope::new(registry, space),
            pending: Pending::Nothing,
        })
    }

    pub(super) fn function(&self) -> &F {
        &self.function
    }

    /// Begins with a batch.
    pub(super) fn begin(
        &mut self,
        input: F::Input,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.start(Pending::Input(input), out, context)
    }

    fn start(
        &mut self,
        pending: Pending<F::Input>,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.scope.set_now(context.now());
        self.pending = pending;
        self.advance(out, context)
    }

    fn advance(
        &mut self,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut step = Step {
            scope: &mut self.scope,
            out,
            context,
        };
        let progress = match &mut self.pending {
            Pending::Nothing => Progress::Done,
            Pending::Input(input) => self.function.take(input, &mut step)?,
            Pending::Timers(clock) => step.fire(&self.function, *clock)?,
        };
        if progress == Progress::Done {
            self.pending = Pending::Nothing;
        }
        Ok(progress)
    }
}

impl<F: DrivenFunction> OperatorLifecycle<F::Out> for FunctionDriver<F> {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.function.open(context).map_err(OperatorError::Other)
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        self.scope.keyed_states()
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        self.function.snapshot()
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.function.restore(state)
    }

    fn resume(
        &mut self,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }

    /// A timer that has fired is not in the snapshot, one that is left is, and fires after a restore.
    fn snapshots_midway(&self) -> bool {
        matches!(self.pending, Pending::Timers(_))
    }

    fn on_watermark(
        &mut self,
        watermark: EventTime,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.start(Pending::Timers(Clock::EventTime(watermark)), out, context)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.scope.timers.processing_time.next_due().map(ProcessingTime)
    }

    fn on_timer(
        &mut self,
        out: &mut Output<F::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.start(Pending::Timers(Clock::ProcessingTime), out, context)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.function.close().map_err(OperatorError::Other)
    }
}

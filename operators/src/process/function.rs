//! A function on one keyed stream.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Key, KeyProbe, KeySelector, KeySpace, Operator, OperatorContext, OperatorError,
    OperatorLifecycle, Output, ProcessingTime, Progress, snapshot::KeyedState,
};
use tidegate_state::{RegistryError, StateRegistry};

use super::{
    context::{ProcessContext, Scope},
    feed::Feed,
};

/// A function with state and timers on a keyed stream.
///
/// One instance is made per task. It keeps handles to the states that it declared, and what it needs per task, made in
/// [`open`](Self::open); whatever must survive a failure is in the states. Methods called for a record take `&self`.
///
/// ```
/// use tidegate_core::{BoxError, ProcessingTime};
/// use tidegate_operators::{ProcessContext, ProcessFunction};
/// use tidegate_state::{RegistryError, StateRegistry, ValueState};
///
/// /// Emits how often a word came, a second after it came first.
/// struct CountWithin {
///     count: ValueState<u64>,
/// }
///
/// impl CountWithin {
///     fn new(states: &mut StateRegistry<String>) -> Result<Self, RegistryError> {
///         Ok(Self { count: states.value("count", Default::default())? })
///     }
/// }
///
/// impl ProcessFunction for CountWithin {
///     type Key = String;
///     type In = String;
///     type Out = (String, u64);
///
///     fn on_record(&self, _word: String, context: &mut ProcessContext<'_, String, (String, u64)>) -> Result<(), BoxError> {
///         if self.count.get(context).is_none() {
///             let due = ProcessingTime(context.processing_time().0 + 1000);
///             context.register_processing_time_timer(due);
///         }
///         self.count.update(context, || 0, |count| *count += 1);
///         Ok(())
///     }
///
///     fn on_timer(&self, _time: ProcessingTime, context: &mut ProcessContext<'_, String, (String, u64)>) -> Result<(), BoxError> {
///         let count = self.count.take(context).unwrap_or_default();
///         context.emit((context.key().clone(), count));
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// What comes in.
    type In: Send + 'static;
    /// What goes out.
    type Out: Send + 'static;

    /// Called once per task, before state is restored and before the first record.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes a record. An error fails the task and names the record.
    fn on_record(
        &self,
        record: Self::In,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// A timer that was set for the current key has come due.
    fn on_timer(
        &self,
        time: ProcessingTime,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        let _ = (time, context);
        Ok(())
    }

    /// Called once when the task ends for whatever reason but a crash.
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What a timer's function said.
#[derive(Debug, thiserror::Error)]
#[error("timer due at {due} ms: {cause}")]
pub(super) struct TimerError {
    due: i64,
    cause: BoxError,
}

/// Fires due timers until none is left or the output is full.
pub(super) fn fire_timers<K: Key, O>(
    scope: &mut Scope<K>,
    out: &mut Output<O>,
    context: &OperatorContext,
    mut fire: impl FnMut(ProcessingTime, &mut ProcessContext<'_, K, O>) -> Result<(), BoxError>,
) -> Result<Progress, OperatorError> {
    let now = context.now();
    scope.set_now(now);
    let _position = context.position();
    while let Some(timer) = scope.timers.pop_due(now.0) {
        let mut of_key = scope.of_key(&timer.key, timer.hash, None, out, context);
        fire(ProcessingTime(timer.time), &mut of_key).map_err(|cause| {
            OperatorError::other(TimerError {
                due: timer.time,
                cause,
            })
        })?;
        if out.is_full() {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::Done)
}

/// What the operator is in the middle of.
enum Pending<T> {
    Nothing,
    Records(Feed<T>),
    Timers,
}

/// Runs a [`ProcessFunction`].
pub struct Process<P: ProcessFunction, S> {
    selector: Arc<S>,
    function: P,
    scope: Scope<P::Key>,
    pending: Pending<P::In>,
}

impl<P, S> Process<P, S>
where
    P: ProcessFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    /// An operator with the function that `make` makes, which declares its states there.
    ///
    /// # Errors
    /// What `make` says: two states have the same name.
    pub fn new(
        selector: Arc<S>,
        make: impl FnOnce(&mut StateRegistry<P::Key>) -> Result<P, RegistryError>,
        space: KeySpace,
    ) -> Result<Self, RegistryError> {
        let mut registry = StateRegistry::new(space);
        let function = make(&mut registry)?;
        Ok(Self {
            selector,
            function,
            scope: Scope::new(registry, space),
            pending: Pending::Nothing,
        })
    }

    fn advance(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let (function, scope) = (&self.function, &mut self.scope);
        let progress = match &mut self.pending {
            Pending::Nothing => Progress::Done,
            Pending::Timers => fire_timers(scope, out, context, |time, of_key| {
                function.on_timer(time, of_key)
            })?,
            Pending::Records(feed) => {
                let mut progress = Progress::Done;
                for fed in feed {
                    let mut position = context.position_from(fed.position);
                    position.advance();
                    let key = self.selector.probe(&fed.record).into_key();
                    let mut of_key = scope.of_key(&key, fed.hash, fed.time, out, context);
                    function
                        .on_record(fed.record, &mut of_key)
                        .map_err(|cause| position.error(cause))?;
                    if out.is_full() {
                        progress = Progress::More;
                        break;
                    }
                }
                progress
            }
        };
        if progress == Progress::Done {
            self.pending = Pending::Nothing;
        }
        Ok(progress)
    }
}

impl<P, S> OperatorLifecycle<P::Out> for Process<P, S>
where
    P: ProcessFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.function.open(context).map_err(OperatorError::Other)
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        self.scope.keyed_states()
    }

    fn resume(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        self.scope.next_timer()
    }

    fn on_timer(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Pending::Timers;
        self.advance(out, context)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.function.close().map_err(OperatorError::Other)
    }
}

impl<P, S> Operator<P::In, P::Out> for Process<P, S>
where
    P: ProcessFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    fn process(
        &mut self,
        batch: Batch<P::In>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.scope.set_now(context.now());
        self.pending = Pending::Records(Feed::keyed(batch, &*self.selector, context));
        self.advance(out, context)
    }
}

//! A function on one keyed stream.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, EventTime, Key, KeySelector, KeySpace, Operator, OperatorContext, OperatorError, Output,
    ProcessingTime, Progress,
};
use tidegate_state::{RegistryError, StateRegistry};

use super::{
    context::ProcessContext,
    driver::{DrivenFunction, DueTimer, FunctionDriver, Step},
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

    /// A processing-time timer that was set for the current key has come due.
    fn on_timer(
        &self,
        time: ProcessingTime,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        let _ = (time, context);
        Ok(())
    }

    /// An event-time timer that was set for the current key has come due: the watermark has reached `time`. What is emitted
    /// carries that time.
    fn on_event_time_timer(
        &self,
        time: EventTime,
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

/// A [`ProcessFunction`] with what finds the keys of its records.
pub struct OneStream<P, S> {
    function: P,
    selector: Arc<S>,
}

/// Runs a [`ProcessFunction`].
pub type Process<P, S> = FunctionDriver<OneStream<P, S>>;

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
        let with_keys = |states: &mut _| make(states).map(|function| OneStream { function, selector });
        Self::make(with_keys, space)
    }
}

impl<P, S> DrivenFunction for OneStream<P, S>
where
    P: ProcessFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    type Key = P::Key;
    type Out = P::Out;
    type Input = Feed<P::In>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.function.open(context)
    }

    fn take(
        &mut self,
        input: &mut Feed<P::In>,
        step: &mut Step<'_, P::Key, P::Out>,
    ) -> Result<Progress, OperatorError> {
        step.feed(input, &*self.selector, |record, of_key| {
            self.function.on_record(record, of_key)
        })
    }

    fn fire(
        &self,
        timer: DueTimer,
        context: &mut ProcessContext<'_, P::Key, P::Out>,
    ) -> Result<(), BoxError> {
        match timer {
            DueTimer::ProcessingTime(time) => self.function.on_timer(time, context),
            DueTimer::EventTime(time) => self.function.on_event_time_timer(time, context),
        }
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.function.close()
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
        let feed = Feed::keyed(batch, &*self.function().selector, context);
        self.begin(feed, out, context)
    }
}

//! A function on two keyed streams that share their state.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, EventTime, Key, KeySelector, KeySpace, OperatorContext, OperatorError, Output,
    ProcessingTime, Progress, TwoInputOperator,
};
use tidegate_state::{RegistryError, StateRegistry};

use super::{
    context::ProcessContext,
    driver::{DrivenFunction, DueTimer, FunctionDriver, Step},
    feed::Feed,
};

/// A function with state and timers on two keyed streams: records of both with the same key see the same state.
///
/// See [`ProcessFunction`](super::ProcessFunction) for what an instance may keep.
pub trait CoProcessFunction: Send + 'static {
    /// The key of both streams.
    type Key: Key;
    /// What comes in on the first stream.
    type Left: Send + 'static;
    /// What comes in on the second stream.
    type Right: Send + 'static;
    /// What goes out.
    type Out: Send + 'static;

    /// Called once per task, before state is restored and before the first record.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes a record of the first stream.
    fn on_left(
        &self,
        record: Self::Left,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Takes a record of the second stream.
    fn on_right(
        &self,
        record: Self::Right,
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

/// A [`CoProcessFunction`] with what finds the keys of its records.
pub struct TwoStreams<P, L, R> {
    function: P,
    left: Arc<L>,
    right: Arc<R>,
}

/// A batch of one of two streams.
pub enum Side<A, B> {
    /// The first.
    Left(Feed<A>),
    /// The second.
    Right(Feed<B>),
}

/// Runs a [`CoProcessFunction`].
pub type CoProcess<P, L, R> = FunctionDriver<TwoStreams<P, L, R>>;

impl<P, L, R> CoProcess<P, L, R>
where
    P: CoProcessFunction,
    L: KeySelector<P::Left, Key = P::Key>,
    R: KeySelector<P::Right, Key = P::Key>,
{
    /// An operator with the function that `make` makes, which declares its states there.
    ///
    /// # Errors
    /// What `make` says: two states have the same name.
    pub fn new(
        left: Arc<L>,
        right: Arc<R>,
        make: impl FnOnce(&mut StateRegistry<P::Key>) -> Result<P, RegistryError>,
        space: KeySpace,
    ) -> Result<Self, RegistryError> {
        let with_keys = |states: &mut _| {
            make(states).map(|function| TwoStreams {
                function,
                left,
                right,
            })
        };
        Self::make(with_keys, space)
    }
}

impl<P, L, R> DrivenFunction for TwoStreams<P, L, R>
where
    P: CoProcessFunction,
    L: KeySelector<P::Left, Key = P::Key>,
    R: KeySelector<P::Right, Key = P::Key>,
{
    type Key = P::Key;
    type Out = P::Out;
    type Input = Side<P::Left, P::Right>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.function.open(context)
    }

    fn take(
        &mut self,
        input: &mut Side<P::Left, P::Right>,
        step: &mut Step<'_, P::Key, P::Out>,
    ) -> Result<Progress, OperatorError> {
        match input {
            Side::Left(feed) => step.feed(feed, &*self.left, |record, of_key| {
                self.function.on_left(record, of_key)
            }),
            Side::Right(feed) => step.feed(feed, &*self.right, |record, of_key| {
                self.function.on_right(record, of_key)
            }),
        }
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

impl<P, L, R> TwoInputOperator<P::Left, P::Right, P::Out> for CoProcess<P, L, R>
where
    P: CoProcessFunction,
    L: KeySelector<P::Left, Key = P::Key>,
    R: KeySelector<P::Right, Key = P::Key>,
{
    fn process_left(
        &mut self,
        batch: Batch<P::Left>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let feed = Feed::keyed(batch, &*self.function().left, context);
        self.begin(Side::Left(feed), out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Right>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let feed = Feed::keyed(batch, &*self.function().right, context);
        self.begin(Side::Right(feed), out, context)
    }
}

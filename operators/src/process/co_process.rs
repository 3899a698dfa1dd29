//! A function on two keyed streams that share their state.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Key, KeyProbe, KeySelector, KeySpace, OperatorContext, OperatorError, OperatorLifecycle,
    Output, ProcessingTime, Progress, TwoInputOperator, snapshot::KeyedState,
};
use tidegate_state::{RegistryError, StateRegistry};

use super::{
    context::{ProcessContext, Scope},
    feed::Feed,
    function::fire_timers,
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

/// What the operator is in the middle of.
enum Pending<A, B> {
    Nothing,
    Left(Feed<A>),
    Right(Feed<B>),
    Timers,
}

/// Runs a [`CoProcessFunction`].
pub struct CoProcess<P: CoProcessFunction, L, R> {
    selectors: (Arc<L>, Arc<R>),
    function: P,
    scope: Scope<P::Key>,
    pending: Pending<P::Left, P::Right>,
}

/// Gives the records of a feed to a function until none is left or the output is full.
fn feed_records<T, K: Key, O, S: KeySelector<T, Key = K>>(
    feed: &mut Feed<T>,
    selector: &S,
    scope: &mut Scope<K>,
    out: &mut Output<O>,
    context: &OperatorContext,
    take: impl Fn(T, &mut ProcessContext<'_, K, O>) -> Result<(), BoxError>,
) -> Result<Progress, OperatorError> {
    for fed in feed {
        let mut position = context.position_from(fed.position);
        position.advance();
        let key = selector.probe(&fed.record).into_key();
        let mut of_key = scope.of_key(&key, fed.hash, fed.time, out, context);
        take(fed.record, &mut of_key).map_err(|cause| position.error(cause))?;
        if out.is_full() {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::Done)
}

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
        let mut registry = StateRegistry::new(space);
        let function = make(&mut registry)?;
        Ok(Self {
            selectors: (left, right),
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
        let (function, scope, (left, right)) = (&self.function, &mut self.scope, &self.selectors);
        let progress = match &mut self.pending {
            Pending::Nothing => Progress::Done,
            Pending::Timers => fire_timers(scope, out, context, |time, of_key| {
                function.on_timer(time, of_key)
            })?,
            Pending::Left(feed) => feed_records(feed, &**left, scope, out, context, |record, of_key| {
                function.on_left(record, of_key)
            })?,
            Pending::Right(feed) => feed_records(feed, &**right, scope, out, context, |record, of_key| {
                function.on_right(record, of_key)
            })?,
        };
        if progress == Progress::Done {
            self.pending = Pending::Nothing;
        }
        Ok(progress)
    }
}

impl<P, L, R> OperatorLifecycle<P::Out> for CoProcess<P, L, R>
where
    P: CoProcessFunction,
    L: KeySelector<P::Left, Key = P::Key>,
    R: KeySelector<P::Right, Key = P::Key>,
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
        self.scope.set_now(context.now());
        self.pending = Pending::Left(Feed::keyed(batch, &*self.selectors.0, context));
        self.advance(out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Right>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.scope.set_now(context.now());
        self.pending = Pending::Right(Feed::keyed(batch, &*self.selectors.1, context));
        self.advance(out, context)
    }
}

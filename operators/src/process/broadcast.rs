//! A function on a stream beside a broadcast stream, whose records every task sees.

use std::{collections::VecDeque, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Batch, BoxError, EventTime, Key, KeySelector, KeySpace, OperatorContext, OperatorError, Output,
    ProcessingTime, Progress, TwoInputOperator,
    snapshot::{OperatorState, RestoredState},
};
use tidegate_state::{BroadcastState, RegistryError, StateRegistry};

use super::{
    co_process::Side,
    context::{EmitContext, ProcessContext, Scope},
    driver::{DrivenFunction, DueTimer, FunctionDriver, Step},
    feed::Feed,
    shared_state::SharedState,
    walk::{StateKeys, Walk},
};

/// A function with state and timers on a keyed stream, beside a broadcast stream.
///
/// Each task holds the whole broadcast state. To stay the same in all of them it may be changed only by
/// [`on_broadcast`](Self::on_broadcast), and only in ways that depend on the record and the state alone. The two
/// streams are not ordered with each other: a record may come before the broadcast record that it needs, and then waits
/// in keyed state until [`BroadcastContext::with_key`] or [`BroadcastContext::for_each_key`] takes it up.
pub trait BroadcastFunction: Send + 'static {
    /// The key of the keyed stream.
    type Key: Key;
    /// What comes in on the keyed stream.
    type In: Send + 'static;
    /// What comes in on the broadcast stream.
    type Broadcast: Send + 'static;
    /// The keys of the broadcast state.
    type StateKey: Ord + Serialize + DeserializeOwned + Send + 'static;
    /// The values of the broadcast state.
    type StateValue: Serialize + DeserializeOwned + Send + 'static;
    /// What goes out.
    type Out: Send + 'static;

    /// Called once per task, before state is restored and before the first record.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes a record of the keyed stream.
    fn on_record(
        &self,
        record: Self::In,
        state: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Takes a record of the broadcast stream.
    fn on_broadcast(
        &self,
        record: Self::Broadcast,
        state: &mut BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut BroadcastContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// A processing-time timer that was set for the current key has come due.
    fn on_timer(
        &self,
        time: ProcessingTime,
        state: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        let _ = (time, state, context);
        Ok(())
    }

    /// An event-time timer that was set for the current key has come due: the watermark has reached `time`. What is emitted
    /// carries that time.
    fn on_event_time_timer(
        &self,
        time: EventTime,
        state: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        let _ = (time, state, context);
        Ok(())
    }

    /// Called once when the task ends for whatever reason but a crash.
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What a function sees for a broadcast record: time, where to emit, and a way to the keys of this task.
pub struct BroadcastContext<'a, K: Key, O> {
    scope: &'a mut Scope<K>,
    out: &'a mut Output<O>,
    operator: &'a OperatorContext,
    walks: &'a mut VecDeque<Walk<K, O>>,
    time: Option<EventTime>,
}

impl<K: Key, O> BroadcastContext<'_, K, O> {
    /// Emission, time and counters. Every task sees the broadcast record: what is emitted here is emitted by each.
    pub fn emit_context(&mut self) -> EmitContext<'_, O> {
        EmitContext::new(self.out, self.operator, &mut self.scope.counters, self.time)
    }

    /// Calls `work` at once in the scope of `key`, if the key belongs to this task: it belongs to exactly one. Says
    /// whether it did.
    pub fn with_key(
        &mut self,
        key: &K,
        work: impl FnOnce(&mut ProcessContext<'_, K, O>) -> Result<(), BoxError>,
    ) -> Result<bool, BoxError> {
        let hash = key.key_hash();
        let group = self.operator.space.group_of(hash);
        if !self.operator.key_groups.contains(group) {
            return Ok(false);
        }
        let mut of_key = self.scope.of_key(key, hash, self.time, self.out, self.operator);
        work(&mut of_key).map(|()| true)
    }

    /// Calls `work` for each key of this task that has an entry in `state`, after this record and before the next one,
    /// in steps if it emits much. It may change and remove the states of its key.
    pub fn for_each_key(
        &mut self,
        state: impl StateKeys<K>,
        work: impl FnMut(&mut ProcessContext<'_, K, O>) -> Result<(), BoxError> + Send + 'static,
    ) {
        self.walks.push_back(Walk::new(Box::new(state), Box::new(work)));
    }
}

/// A [`BroadcastFunction`] with what finds the keys of its records, and the broadcast state.
pub struct BesideBroadcast<P: BroadcastFunction, S> {
    function: P,
    selector: Arc<S>,
    state: SharedState<P::StateKey, P::StateValue>,
    /// Walks over keys that a broadcast record asked for, before the next one is taken.
    walks: VecDeque<Walk<P::Key, P::Out>>,
}

/// Runs a [`BroadcastFunction`]: the keyed stream on the left, the broadcast stream on the right.
pub type BroadcastProcess<P, S> = FunctionDriver<BesideBroadcast<P, S>>;

impl<P, S> BroadcastProcess<P, S>
where
    P: BroadcastFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    /// An operator with the function that `make` makes, which declares its keyed states there.
    ///
    /// # Errors
    /// What `make` says: two states have the same name.
    pub fn new(
        selector: Arc<S>,
        make: impl FnOnce(&mut StateRegistry<P::Key>) -> Result<P, RegistryError>,
        space: KeySpace,
    ) -> Result<Self, RegistryError> {
        let with_keys = |states: &mut _| {
            make(states).map(|function| BesideBroadcast {
                function,
                selector,
                state: SharedState::default(),
                walks: VecDeque::new(),
            })
        };
        Self::make(with_keys, space)
    }
}

impl<P, S> BesideBroadcast<P, S>
where
    P: BroadcastFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    fn take_broadcast(
        &mut self,
        feed: &mut Feed<P::Broadcast>,
        step: &mut Step<'_, P::Key, P::Out>,
    ) -> Result<Progress, OperatorError> {
        let context = step.context;
        loop {
            while let Some(walk) = self.walks.front_mut() {
                let _position = context.position();
                if walk.step(step.scope, step.out, context)? == Progress::More {
                    return Ok(Progress::More);
                }
                self.walks.pop_front();
            }
            if step.out.is_full() {
                return Ok(Progress::More);
            }
            let Some(fed) = feed.next() else {
                return Ok(Progress::Done);
            };
            let mut position = context.position_from(fed.position);
            position.advance();
            let mut broadcast = BroadcastContext {
                scope: step.scope,
                out: step.out,
                operator: context,
                walks: &mut self.walks,
                time: fed.time,
            };
            self.function
                .on_broadcast(fed.record, &mut self.state.state, &mut broadcast)
                .map_err(|cause| position.error(cause))?;
        }
    }
}

impl<P, S> DrivenFunction for BesideBroadcast<P, S>
where
    P: BroadcastFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    type Key = P::Key;
    type Out = P::Out;
    type Input = Side<P::In, P::Broadcast>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.state.open(context);
        self.function.open(context)
    }

    fn take(
        &mut self,
        input: &mut Side<P::In, P::Broadcast>,
        step: &mut Step<'_, P::Key, P::Out>,
    ) -> Result<Progress, OperatorError> {
        match input {
            Side::Left(feed) => step.feed(feed, &*self.selector, |record, of_key| {
                self.function.on_record(record, &self.state.state, of_key)
            }),
            Side::Right(feed) => self.take_broadcast(feed, step),
        }
    }

    fn fire(
        &self,
        timer: DueTimer,
        context: &mut ProcessContext<'_, P::Key, P::Out>,
    ) -> Result<(), BoxError> {
        let state = &self.state.state;
        match timer {
            DueTimer::ProcessingTime(time) => self.function.on_timer(time, state, context),
            DueTimer::EventTime(time) => self.function.on_event_time_timer(time, state, context),
        }
    }

    fn snapshot(&mut self) -> Result<Vec<OperatorState>, OperatorError> {
        self.state.snapshot()
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.state.restore(state)
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.function.close()
    }
}

impl<P, S> TwoInputOperator<P::In, P::Broadcast, P::Out> for BroadcastProcess<P, S>
where
    P: BroadcastFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    fn process_left(
        &mut self,
        batch: Batch<P::In>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let feed = Feed::keyed(batch, &*self.function().selector, context);
        self.begin(Side::Left(feed), out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Broadcast>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.begin(Side::Right(Feed::plain(batch, context)), out, context)
    }
}

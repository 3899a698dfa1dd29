//! A function on a stream beside a broadcast stream, whose records every task sees.

use std::{collections::VecDeque, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Barrier, Batch, BoxError, EventTime, Key, KeyProbe, KeySelector, KeySpace, OperatorContext,
    OperatorError, OperatorLifecycle, Output, ProcessingTime, Progress, TwoInputOperator,
    snapshot::{KeyedState, OperatorState, RestoredState},
};
use tidegate_state::{BroadcastState, RegistryError, StateRegistry};

use super::{
    context::{Counters, EmitContext, ProcessContext, Scope},
    feed::Feed,
    function::fire_timers,
    walk::{StateKeys, Walk},
};

/// The name of the broadcast state within its operator.
const STATE: &str = "#broadcast";

/// The first task writes the broadcast state into snapshots: all hold the same.
fn snapshot<K, V>(state: &BroadcastState<K, V>, is_writer: bool) -> Result<Vec<OperatorState>, OperatorError>
where
    K: Ord + Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    if !is_writer {
        return Ok(Vec::new());
    }
    Ok(vec![state.snapshot(STATE)?])
}

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

    /// A timer that was set for the current key has come due.
    fn on_timer(
        &self,
        time: ProcessingTime,
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

/// What the operator is in the middle of.
enum Pending<A, B> {
    Nothing,
    Records(Feed<A>),
    Broadcast(Feed<B>),
    Timers,
}

/// Runs a [`BroadcastFunction`]: the keyed stream on the left, the broadcast stream on the right.
pub struct BroadcastProcess<P: BroadcastFunction, S> {
    selector: Arc<S>,
    function: P,
    state: BroadcastState<P::StateKey, P::StateValue>,
    is_writer: bool,
    scope: Scope<P::Key>,
    /// Walks over keys that a broadcast record asked for, before the next one is taken.
    walks: VecDeque<Walk<P::Key, P::Out>>,
    pending: Pending<P::In, P::Broadcast>,
}

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
        let mut registry = StateRegistry::new(space);
        let function = make(&mut registry)?;
        Ok(Self {
            selector,
            function,
            state: BroadcastState::default(),
            is_writer: false,
            scope: Scope::new(registry, space),
            walks: VecDeque::new(),
            pending: Pending::Nothing,
        })
    }

    fn advance(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let progress = match &mut self.pending {
            Pending::Nothing => Progress::Done,
            Pending::Timers => {
                let (function, state) = (&self.function, &self.state);
                fire_timers(&mut self.scope, out, context, |time, of_key| {
                    function.on_timer(time, state, of_key)
                })?
            }
            Pending::Records(_) => self.take_records(out, context)?,
            Pending::Broadcast(_) => self.take_broadcast(out, context)?,
        };
        if progress == Progress::Done {
            self.pending = Pending::Nothing;
        }
        Ok(progress)
    }

    fn take_records(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let Pending::Records(feed) = &mut self.pending else {
            return Ok(Progress::Done);
        };
        for fed in feed {
            let mut position = context.position_from(fed.position);
            position.advance();
            let key = self.selector.probe(&fed.record).into_key();
            let mut of_key = self.scope.of_key(&key, fed.hash, fed.time, out, context);
            self.function
                .on_record(fed.record, &self.state, &mut of_key)
                .map_err(|cause| position.error(cause))?;
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn take_broadcast(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let Pending::Broadcast(feed) = &mut self.pending else {
            return Ok(Progress::Done);
        };
        loop {
            while let Some(walk) = self.walks.front_mut() {
                let _position = context.position();
                if walk.step(&mut self.scope, out, context)? == Progress::More {
                    return Ok(Progress::More);
                }
                self.walks.pop_front();
            }
            if out.is_full() {
                return Ok(Progress::More);
            }
            let Some(fed) = feed.next() else {
                return Ok(Progress::Done);
            };
            let mut position = context.position_from(fed.position);
            position.advance();
            let mut broadcast = BroadcastContext {
                scope: &mut self.scope,
                out,
                operator: context,
                walks: &mut self.walks,
                time: fed.time,
            };
            self.function
                .on_broadcast(fed.record, &mut self.state, &mut broadcast)
                .map_err(|cause| position.error(cause))?;
        }
    }
}

impl<P, S> OperatorLifecycle<P::Out> for BroadcastProcess<P, S>
where
    P: BroadcastFunction,
    S: KeySelector<P::In, Key = P::Key>,
{
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.is_writer = context.index() == 0;
        self.function.open(context).map_err(OperatorError::Other)
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        self.scope.keyed_states()
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        snapshot(&self.state, self.is_writer)
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.state = BroadcastState::restore(STATE, state)?;
        Ok(())
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
        self.scope.set_now(context.now());
        self.pending = Pending::Records(Feed::keyed(batch, &*self.selector, context));
        self.advance(out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Broadcast>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.scope.set_now(context.now());
        self.pending = Pending::Broadcast(Feed::plain(batch, context));
        self.advance(out, context)
    }
}

/// A function on a stream without keys, beside a broadcast stream. See [`BroadcastFunction`] for what may change the
/// broadcast state.
pub trait PlainBroadcastFunction: Send + 'static {
    /// What comes in on the stream.
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

    /// Takes a record of the stream.
    fn on_record(
        &self,
        record: Self::In,
        state: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut EmitContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Takes a record of the broadcast stream.
    fn on_broadcast(
        &self,
        record: Self::Broadcast,
        state: &mut BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut EmitContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called once when the task ends for whatever reason but a crash.
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Runs a [`PlainBroadcastFunction`]: the stream on the left, the broadcast stream on the right.
pub struct PlainBroadcast<P: PlainBroadcastFunction> {
    function: P,
    state: BroadcastState<P::StateKey, P::StateValue>,
    is_writer: bool,
    counters: Counters,
    pending: Pending<P::In, P::Broadcast>,
}

impl<P: PlainBroadcastFunction> PlainBroadcast<P> {
    /// An operator with this function.
    pub fn new(function: P) -> Self {
        Self {
            function,
            state: BroadcastState::default(),
            is_writer: false,
            counters: Counters::default(),
            pending: Pending::Nothing,
        }
    }

    fn advance(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        loop {
            let (position, taken) = match &mut self.pending {
                Pending::Nothing | Pending::Timers => return Ok(Progress::Done),
                Pending::Records(feed) => match feed.next() {
                    None => break,
                    Some(fed) => {
                        let mut position = context.position_from(fed.position);
                        position.advance();
                        let mut emit = EmitContext::new(out, context, &mut self.counters, fed.time);
                        (
                            position,
                            self.function.on_record(fed.record, &self.state, &mut emit),
                        )
                    }
                },
                Pending::Broadcast(feed) => match feed.next() {
                    None => break,
                    Some(fed) => {
                        let mut position = context.position_from(fed.position);
                        position.advance();
                        let mut emit = EmitContext::new(out, context, &mut self.counters, fed.time);
                        (
                            position,
                            self.function.on_broadcast(fed.record, &mut self.state, &mut emit),
                        )
                    }
                },
            };
            taken.map_err(|cause| position.error(cause))?;
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        self.pending = Pending::Nothing;
        Ok(Progress::Done)
    }
}

impl<P: PlainBroadcastFunction> OperatorLifecycle<P::Out> for PlainBroadcast<P> {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.is_writer = context.index() == 0;
        self.function.open(context).map_err(OperatorError::Other)
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        snapshot(&self.state, self.is_writer)
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.state = BroadcastState::restore(STATE, state)?;
        Ok(())
    }

    fn resume(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.function.close().map_err(OperatorError::Other)
    }
}

impl<P: PlainBroadcastFunction> TwoInputOperator<P::In, P::Broadcast, P::Out> for PlainBroadcast<P> {
    fn process_left(
        &mut self,
        batch: Batch<P::In>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Pending::Records(Feed::plain(batch, context));
        self.advance(out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Broadcast>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Pending::Broadcast(Feed::plain(batch, context));
        self.advance(out, context)
    }
}

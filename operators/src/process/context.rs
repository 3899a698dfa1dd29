//! What a function sees besides its record.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use tidegate_core::{
    EventTime, Key, KeySpace, OperatorContext, Output, OutputTag, ProcessingTime,
    metrics::{Counter, MetricError},
    snapshot::KeyedState,
};
use tidegate_state::{KeyedContext, StateRegistry, Timers};

/// The name of the state that processing-time timers are kept in; a user's state cannot be in its way.
pub const PROCESSING_TIME_TIMERS: &str = "#processing-time-timers";

/// The name of the state that event-time timers are kept in.
pub const EVENT_TIME_TIMERS: &str = "#event-time-timers";

/// The part of a context that does not depend on a key: emission, time and counters.
pub struct EmitContext<'a, O> {
    out: &'a mut Output<O>,
    operator: &'a OperatorContext,
    counters: &'a mut Counters,
    time: Option<EventTime>,
}

/// The counters that a function has used so far.
#[derive(Default)]
pub(super) struct Counters(Vec<(&'static str, Arc<Counter>)>);

impl<'a, O> EmitContext<'a, O> {
    pub(super) fn new(
        out: &'a mut Output<O>,
        operator: &'a OperatorContext,
        counters: &'a mut Counters,
        time: Option<EventTime>,
    ) -> Self {
        Self {
            out,
            operator,
            counters,
            time,
        }
    }

    /// The event time of the record at hand, or of the event-time timer; processing-time timers have none.
    pub fn event_time(&self) -> Option<EventTime> {
        self.time
    }

    /// The operator's watermark: no record at or before it is expected any more, and one that comes is late.
    pub fn watermark(&self) -> EventTime {
        self.operator.watermark()
    }

    /// The processing time of this run.
    pub fn processing_time(&self) -> ProcessingTime {
        self.operator.now()
    }

    /// The task's index among the parallel ones.
    pub fn task_index(&self) -> u32 {
        self.operator.index()
    }

    /// How many parallel tasks there are.
    pub fn parallelism(&self) -> u32 {
        self.operator.parallelism
    }

    /// Emits a record with the event time of the record at hand.
    #[inline]
    pub fn emit(&mut self, record: O) {
        self.out.emit(record, self.time);
    }

    /// Emits a record with an event time of its own.
    #[inline]
    pub fn emit_at(&mut self, record: O, time: EventTime) {
        self.out.emit(record, Some(time));
    }

    /// Emits a record into a side output, with the event time of the record at hand. It is dropped if nobody reads there.
    pub fn emit_side<S: 'static>(&mut self, tag: OutputTag<S>, record: S) {
        self.out.emit_side(tag, record, self.time);
    }

    /// Adds to a counter of the function's own, of this name; see [`OperatorMetrics`](tidegate_core::metrics::OperatorMetrics),
    /// which also makes gauges and histograms, in `open`.
    ///
    /// # Errors
    /// If the name cannot be that of a counter.
    pub fn count(&mut self, name: &'static str, amount: u64) -> Result<(), MetricError> {
        let known = &mut self.counters.0;
        let counter = match known.iter().position(|(other, _)| *other == name) {
            Some(index) => &known[index].1,
            None => {
                known.push((name, self.operator.metrics().counter(name)?));
                &known[known.len() - 1].1
            }
        };
        counter.add(amount);
        Ok(())
    }
}

/// What a function sees for a record or a timer: the key and its states, timers, time, and where to emit.
///
/// It derefs to the [`KeyedContext`] that state handles take: `self.total.get(context)`.
pub struct ProcessContext<'a, K: Key, O> {
    state: KeyedContext<'a, K>,
    timers: &'a mut KeyTimers<K>,
    emit: EmitContext<'a, O>,
}

impl<'a, K: Key, O> Deref for ProcessContext<'a, K, O> {
    type Target = KeyedContext<'a, K>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.state
    }
}

impl<K: Key, O> DerefMut for ProcessContext<'_, K, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.state
    }
}

impl<'a, K: Key, O> ProcessContext<'a, K, O> {
    /// The current key.
    pub fn key(&self) -> &'a K {
        self.state.key()
    }

    /// Lets [`on_timer`](super::ProcessFunction::on_timer) be called for the current key when the clock has reached
    /// `time`. Setting a timer twice is setting it once. Timers are part of snapshots; those that came due while the
    /// job was down fire soon after the restore.
    pub fn register_processing_time_timer(&mut self, time: ProcessingTime) {
        let timers = &mut self.timers.processing_time;
        timers.register(time.0, self.state.key(), self.state.hash());
    }

    /// Deletes a timer of the current key. Says whether it was set.
    pub fn delete_processing_time_timer(&mut self, time: ProcessingTime) -> bool {
        let timers = &mut self.timers.processing_time;
        timers.delete(time.0, self.state.key(), self.state.hash())
    }

    /// Lets [`on_event_time_timer`](super::ProcessFunction::on_event_time_timer) be called for the current key when the
    /// watermark has reached `time`; with the next watermark, if it has already. Setting a timer twice is setting it once.
    /// Timers are part of snapshots. When the input ends all that are left fire.
    pub fn register_event_time_timer(&mut self, time: EventTime) {
        let timers = &mut self.timers.event_time;
        timers.register(time.0, self.state.key(), self.state.hash());
    }

    /// Deletes an event-time timer of the current key. Says whether it was set.
    pub fn delete_event_time_timer(&mut self, time: EventTime) -> bool {
        let timers = &mut self.timers.event_time;
        timers.delete(time.0, self.state.key(), self.state.hash())
    }

    /// See [`EmitContext::event_time`].
    pub fn event_time(&self) -> Option<EventTime> {
        self.emit.event_time()
    }

    /// See [`EmitContext::watermark`].
    pub fn watermark(&self) -> EventTime {
        self.emit.watermark()
    }

    /// See [`EmitContext::processing_time`].
    pub fn processing_time(&self) -> ProcessingTime {
        self.emit.processing_time()
    }

    /// See [`EmitContext::task_index`].
    pub fn task_index(&self) -> u32 {
        self.emit.task_index()
    }

    /// See [`EmitContext::parallelism`].
    pub fn parallelism(&self) -> u32 {
        self.emit.parallelism()
    }

    /// See [`EmitContext::emit`].
    #[inline]
    pub fn emit(&mut self, record: O) {
        self.emit.emit(record);
    }

    /// See [`EmitContext::emit_at`].
    #[inline]
    pub fn emit_at(&mut self, record: O, time: EventTime) {
        self.emit.emit_at(record, time);
    }

    /// See [`EmitContext::emit_side`].
    pub fn emit_side<S: 'static>(&mut self, tag: OutputTag<S>, record: S) {
        self.emit.emit_side(tag, record);
    }

    /// See [`EmitContext::count`].
    ///
    /// # Errors
    /// If the name cannot be that of a counter.
    pub fn count(&mut self, name: &'static str, amount: u64) -> Result<(), MetricError> {
        self.emit.count(name, amount)
    }
}

/// Everything of an operator that contexts are made of.
pub(super) struct Scope<K: Key> {
    pub(super) registry: StateRegistry<K>,
    pub(super) timers: KeyTimers<K>,
    pub(super) counters: Counters,
    now: ProcessingTime,
}

/// The timers of an operator's keys, by clock.
pub(super) struct KeyTimers<K: Key> {
    pub(super) processing_time: Timers<K>,
    pub(super) event_time: Timers<K>,
}

impl<K: Key> Scope<K> {
    pub(super) fn new(registry: StateRegistry<K>, space: KeySpace) -> Self {
        Self {
            registry,
            timers: KeyTimers {
                processing_time: Timers::new(PROCESSING_TIME_TIMERS, space),
                event_time: Timers::new(EVENT_TIME_TIMERS, space),
            },
            counters: Counters::default(),
            now: ProcessingTime(i64::MIN),
        }
    }

    /// Moves the clock that expiry goes by.
    pub(super) fn set_now(&mut self, now: ProcessingTime) {
        if self.now != now {
            self.now = now;
            self.registry
                .tables_mut()
                .into_iter()
                .for_each(|table| table.set_now(now));
        }
    }

    /// A context for one key.
    #[inline]
    pub(super) fn of_key<'a, O>(
        &'a mut self,
        key: &'a K,
        hash: u64,
        time: Option<EventTime>,
        out: &'a mut Output<O>,
        operator: &'a OperatorContext,
    ) -> ProcessContext<'a, K, O> {
        ProcessContext {
            state: self.registry.context(key, hash),
            timers: &mut self.timers,
            emit: EmitContext::new(out, operator, &mut self.counters, time),
        }
    }

    pub(super) fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        let mut states = self.registry.tables_mut();
        states.push(&mut self.timers.processing_time);
        states.push(&mut self.timers.event_time);
        states
    }
}

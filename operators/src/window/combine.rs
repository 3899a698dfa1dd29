//! The half of a window that runs before records are dealt out by key: what a batch holds for one key and slice becomes one
//! record.
//!
//! It keeps nothing from one batch to the next, so there is nothing to snapshot and nothing that a watermark or a barrier
//! could overtake. What it merges lies in one slice and comes in one batch, so no watermark is between it: all of it is in
//! time, or all of it is late.

use std::{marker::PhantomData, sync::Arc};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use tidegate_core::{
    Batch, BoxError, EventTime, Key, KeyProbe, KeySelector, Operator, OperatorContext, OperatorError,
    OperatorLifecycle, Output, Progress, recycle_iterator,
};

use super::{
    assigner::{Clock, Shape, WindowPlan},
    contents::WindowContents,
    error::WindowError,
    grid::{FARTHEST, Grid},
    result::Window,
};

/// What some records of one key and slice come to, on the way to their window.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Partial<K, V> {
    /// The key.
    pub key: K,
    /// What they come to.
    pub value: V,
}

/// Merges the records of each batch, key by key and slice by slice.
pub struct Combine<T, S: KeySelector<T>, C: WindowContents<S::Key, T>> {
    selector: Arc<S>,
    contents: Arc<C>,
    grid: Grid,
    clock: Clock,
    /// Where in `combined` a key and slice is. Both are empty between two batches.
    places: HashTable<usize>,
    combined: Vec<Combined<S::Key, C::Value>>,
    records: PhantomData<fn(T)>,
}

struct Combined<K, V> {
    hash: u64,
    slice_end: i64,
    /// The latest of the records; the clock has a say only later if it is the machine's.
    time: Option<EventTime>,
    key: K,
    value: V,
}

impl<T, S: KeySelector<T>, C: WindowContents<S::Key, T>> Combine<T, S, C> {
    /// What comes before windows that lie as `plan` says.
    ///
    /// # Errors
    /// If these are sessions: how they lie is known only where all records of a key are.
    pub fn new(plan: WindowPlan, selector: Arc<S>, contents: Arc<C>) -> Result<Self, WindowError> {
        let Shape::Grid(grid) = plan.shape else {
            return Err(WindowError::CombinedSessions);
        };
        Ok(Self {
            selector,
            contents,
            grid,
            clock: plan.clock,
            places: HashTable::new(),
            combined: Vec::new(),
            records: PhantomData,
        })
    }

    fn slice_end(&self, time: Option<EventTime>) -> Result<i64, WindowError> {
        match (self.clock, time) {
            // All of a batch comes at one time.
            (Clock::Processing, _) => Ok(0),
            (Clock::Event, None) => Err(WindowError::NoTime),
            (Clock::Event, Some(EventTime(time))) if !(-FARTHEST..=FARTHEST).contains(&time) => {
                Err(WindowError::TimeOutOfRange { time })
            }
            (Clock::Event, Some(EventTime(time))) => Ok(self.grid.slice_of(time).1),
        }
    }

    fn add(&mut self, record: T, slice_end: i64, time: Option<EventTime>) {
        let probe = self.selector.probe(&record);
        let hash = probe.hash();
        let is_same = |place: &usize| {
            let one = &self.combined[*place];
            one.hash == hash && one.slice_end == slice_end && probe.is(&one.key)
        };
        match self.places.find(hash, is_same).copied() {
            Some(place) => {
                // The probe may borrow from the record, which moves.
                drop(probe);
                let one = &mut self.combined[place];
                one.time = one.time.max(time);
                self.contents.add(&mut one.value, record);
            }
            None => {
                let key = probe.into_key();
                let combined = &mut self.combined;
                let place = combined.len();
                combined.push(Combined {
                    hash,
                    slice_end,
                    time,
                    key,
                    value: self.contents.begin(record),
                });
                self.places
                    .insert_unique(hash, place, |place| combined[*place].hash);
            }
        }
    }
}

impl<T, S, C> OperatorLifecycle<Partial<S::Key, C::Value>> for Combine<T, S, C>
where
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
}

impl<T, S, C> Operator<T, Partial<S::Key, C::Value>> for Combine<T, S, C>
where
    T: Send + 'static,
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    fn process(
        &mut self,
        batch: Batch<T>,
        out: &mut Output<Partial<S::Key, C::Value>>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let times = batch.times;
        let mut records = batch.records.into_iter();
        for (index, record) in records.by_ref().enumerate() {
            position.advance();
            let time = times.get(index);
            let slice_end = self.slice_end(time).map_err(|error| position.error(error))?;
            self.add(record, slice_end, time);
        }
        drop(position);
        recycle_iterator(records);
        times.recycle();
        self.places.clear();
        for one in self.combined.drain(..) {
            let (key, value) = (one.key, one.value);
            out.emit(Partial { key, value }, one.time);
        }
        Ok(Progress::Done)
    }
}

/// Windows of what was merged before: what `C` makes of the records themselves.
pub struct OfPartials<T, C> {
    contents: Arc<C>,
    records: PhantomData<fn(T)>,
}

impl<T, C> OfPartials<T, C> {
    /// The other half of windows whose first half merged with the same contents.
    pub fn new(contents: Arc<C>) -> Self {
        Self {
            contents,
            records: PhantomData,
        }
    }
}

impl<K, T, C> WindowContents<K, Partial<K, C::Value>> for OfPartials<T, C>
where
    K: Key,
    T: 'static,
    C: WindowContents<K, T>,
{
    type Value = C::Value;
    type Out = C::Out;

    const IS_COMPACT: bool = C::IS_COMPACT;

    fn begin(&self, partial: Partial<K, C::Value>) -> C::Value {
        partial.value
    }

    fn add(&self, into: &mut C::Value, partial: Partial<K, C::Value>) {
        self.contents.merge(into, partial.value);
    }

    fn merge(&self, into: &mut C::Value, later: C::Value) {
        self.contents.merge(into, later);
    }

    fn copy(&self, value: &C::Value) -> Option<C::Value> {
        self.contents.copy(value)
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        time: EventTime,
        parts: &[&C::Value],
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<(), BoxError> {
        self.contents.emit(key, window, time, parts, out, context)
    }
}

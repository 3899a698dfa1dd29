//! Windows that lie the same for all keys, kept slice by slice.
//!
//! A record touches one slice, however many windows it is in. When time has passed the end of a window, the window fires
//! from its slices; there is no timer per key.

use std::{marker::PhantomData, sync::Arc};

use tidegate_core::{
    Barrier, Batch, EventTime, KeyGroupRange, KeyProbe, KeySelector, KeySpace, Operator, OperatorContext,
    OperatorError, OperatorLifecycle, Output, ProcessingTime, Progress, TARGET_RECORDS,
    snapshot::{KeyedState, OperatorState, RestoredState},
};
use tidegate_state::{Row, SliceIndex, SlicedTable, Value};

use super::{
    assigner::Clock,
    contents::WindowContents,
    error::WindowError,
    firing::{Fired, Firing},
    grid::{FARTHEST, Grid},
    late::LateRecords,
    result::Window,
    running::{MANY_SLICES, RunningGroup},
    updates::Updates,
};
use crate::keyed::hashes;

/// The name of the state within its operator.
const STATE: &str = "slices";

/// Tumbling and sliding windows.
pub(super) struct SlicedWindows<T, S: KeySelector<T>, C: WindowContents<S::Key, T>> {
    selector: Arc<S>,
    contents: Arc<C>,
    grid: Grid,
    clock: Clock,
    lateness: i64,
    groups: KeyGroupRange,
    table: SlicedTable<S::Key, Value<C::Value>>,
    firing: Firing,
    rows: FiringRows,
    /// What many slices of a window come to, per key group; none for windows of few slices.
    running: Vec<RunningGroup<S::Key, C::Value>>,
    updates: Updates<S::Key>,
    records: PhantomData<fn(T)>,
}

/// The entries of the window and key group that are firing.
#[derive(Default)]
struct FiringRows {
    of: Option<(i64, usize)>,
    rows: Vec<Row>,
    next: usize,
}

/// What happens to records of a slice while the watermark stands where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// No window of the slice has fired.
    OnTime,
    /// Some have, and their results change.
    Updates,
    /// None is left that they could be in.
    Late,
}

/// The slice that the last record was in. The next one mostly is, too.
struct Current {
    start: i64,
    end: i64,
    fate: Fate,
    /// Where it is, unless nothing can be added to it.
    slice: Option<SliceIndex>,
}

impl<T, S, C> SlicedWindows<T, S, C>
where
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    pub(super) fn new(
        selector: Arc<S>,
        contents: Arc<C>,
        grid: Grid,
        clock: Clock,
        lateness: i64,
        space: KeySpace,
    ) -> Self {
        Self {
            selector,
            contents,
            grid,
            clock,
            lateness,
            groups: KeyGroupRange { start: 0, end: 0 },
            table: SlicedTable::new(STATE, space),
            firing: Firing::new(),
            rows: FiringRows::default(),
            running: Vec::new(),
            updates: Updates::default(),
            records: PhantomData,
        }
    }

    /// The slice of a record with this time.
    fn current(&mut self, time: i64) -> Result<Current, WindowError> {
        if !(-FARTHEST..=FARTHEST).contains(&time) {
            return Err(WindowError::TimeOutOfRange { time });
        }
        let (start, end) = self.grid.slice_of(time);
        let now = self.firing.time();
        let fate = if self.is_expired(end, now) {
            Fate::Late
        } else if self.grid.first_end(end) - 1 <= now {
            Fate::Updates
        } else {
            Fate::OnTime
        };
        Ok(Current {
            start,
            end,
            fate,
            slice: (fate != Fate::Late).then(|| self.table.slice(end)),
        })
    }

    /// Whether no window of the slice can change any more.
    fn is_expired(&self, slice_end: i64, now: i64) -> bool {
        self.grid.last_end(slice_end) - 1 + self.lateness <= now
    }

    /// The end of the first window after the one that ends at `after` that holds anything.
    fn next_due(&self, after: i64) -> Option<i64> {
        let next = self.grid.first_end(after.saturating_add(1));
        let first = self.table.first_after(next.saturating_sub(self.grid.size()))?;
        Some(if first <= next {
            next
        } else {
            self.grid.first_end(first)
        })
    }

    /// Drops the slices whose windows have all fired, up to that ending at `through`, and cannot change any more.
    fn drop_expired(&mut self, through: i64, now: i64) {
        let expired = self
            .table
            .ends()
            .take_while(|end| self.grid.last_end(*end) <= through && self.is_expired(*end, now))
            .last();
        if let Some(end) = expired {
            self.table.drop_through(end);
        }
    }

    /// Lets windows fire whose last millisecond is not after `time`.
    fn advance(
        &mut self,
        time: i64,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        if !self.firing.is_running() {
            if time <= self.firing.time() {
                return Ok(Progress::Done);
            }
            if self
                .next_due(self.firing.through())
                .is_none_or(|end| end - 1 > time)
            {
                self.settle(time);
                return Ok(Progress::Done);
            }
        }
        self.firing.start(time, self.table.key_groups());
        self.fire(out, context)
    }

    fn settle(&mut self, time: i64) {
        self.firing.settle(time);
        self.drop_expired(self.firing.through(), time);
    }

    /// Goes on with the firing under way until it is done or the output is full.
    fn fire(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        loop {
            let Firing::Running(running) = &self.firing else {
                return Ok(Progress::Done);
            };
            let (target, after) = (running.target, running.after);
            let (end, group) = match running.at {
                Some(at) => at,
                None => match self.next_due(after) {
                    Some(end) if end - 1 <= target => (end, 0),
                    _ => {
                        self.settle(target);
                        return Ok(Progress::Done);
                    }
                },
            };
            let fired = match running.groups.get(group) {
                Some(fired) if fired.through < end => self.fire_group(end, group, *fired, out, context)?,
                Some(fired) => *fired,
                None => {
                    self.drop_expired(end, target);
                    if let Firing::Running(running) = &mut self.firing {
                        running.after = end;
                        running.at = None;
                    }
                    continue;
                }
            };
            let is_done = fired.through >= end;
            if let Firing::Running(running) = &mut self.firing {
                running.groups[group] = fired;
                running.at = Some((end, group + usize::from(is_done)));
            }
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
    }

    /// Fires a window in one key group. Stops within it only if it is large and the output is full.
    fn fire_group(
        &mut self,
        end: i64,
        group: usize,
        fired: Fired,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Fired, OperatorError> {
        if !self.running.is_empty() {
            return self.fire_running(end, group, fired, out, context);
        }
        let start = end - self.grid.size();
        let (table, firing) = (&self.table, &mut self.rows);
        if firing.of != Some((end, group)) {
            firing.of = Some((end, group));
            firing.next = 0;
            firing.rows.clear();
            table.rows(group, start, end, &mut firing.rows);
            let slices =
                firing.rows.first().map(|row| row.slice()) != firing.rows.last().map(|row| row.slice());
            // Keys come together by their tails, and a firing that stops within a group stops between two tails.
            if slices || firing.rows.len() > TARGET_RECORDS || fired.within.is_some() {
                firing.rows.sort_unstable();
            }
            if let Some(within) = fired.within {
                firing.next = firing.rows.partition_point(|row| row.tail() <= within);
            }
        }
        let window = Window::new(start, end);
        let is_large = firing.rows.len() > TARGET_RECORDS;
        let mut parts = Vec::new();
        while let Some(first) = firing.rows.get(firing.next) {
            let same = firing.rows[firing.next..]
                .iter()
                .take_while(|row| row.tail() == first.tail())
                .count();
            let rows = &firing.rows[firing.next..firing.next + same];
            firing.next += same;
            for (index, row) in rows.iter().enumerate() {
                let (key, _) = table.at(group, *row);
                let is_of_key = |other: &&Row| table.at(group, **other).0 == key;
                // Two keys with one tail are rare, and were they many, one look back at each would not matter.
                if rows[..index].iter().any(|other| is_of_key(&other)) {
                    continue;
                }
                parts.clear();
                parts.extend(
                    rows[index..]
                        .iter()
                        .filter(is_of_key)
                        .map(|row| table.at(group, *row).1),
                );
                self.contents
                    .emit(key, window, window.last(), &parts, out, context)
                    .map_err(OperatorError::Other)?;
            }
            if is_large && out.is_full() && firing.next < firing.rows.len() {
                return Ok(Fired {
                    within: Some(first.tail()),
                    ..fired
                });
            }
        }
        firing.of = None;
        Ok(Fired {
            through: end,
            within: None,
        })
    }

    /// [`fire_group`](Self::fire_group) for windows of many slices.
    fn fire_running(
        &mut self,
        end: i64,
        group: usize,
        fired: Fired,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Fired, OperatorError> {
        let bounds = (end - self.grid.size(), end);
        let window = Window::new(bounds.0, bounds.1);
        let (table, contents, running) = (&self.table, &*self.contents, &mut self.running[group]);
        if self.rows.of != Some((end, group)) {
            self.rows.of = Some((end, group));
            running.begin(bounds, fired.within, table, contents);
        }
        let is_large = running.keys() > TARGET_RECORDS;
        while let Some(tail) = running.next_tail() {
            running
                .advance(bounds, table, contents, |key, parts| {
                    contents.emit(key, window, window.last(), parts, out, context)
                })
                .map_err(OperatorError::Other)?;
            if is_large && out.is_full() && running.next_tail().is_some_and(|next| next != tail) {
                return Ok(Fired {
                    within: Some(tail),
                    ..fired
                });
            }
        }
        self.rows.of = None;
        Ok(Fired {
            through: end,
            within: None,
        })
    }

    /// A record has come for a slice of which windows have fired.
    fn note_change(&mut self, slice_end: i64, hash: u64, key: S::Key) {
        let (group, tail) = self.table.place(hash);
        if let Some(running) = self.running.get_mut(group) {
            running.note_change(slice_end, tail, &key);
        }
        if self.lateness > 0 {
            self.updates.note(slice_end, hash, key);
        }
    }

    /// Emits results that have changed until all have been or the output is full.
    fn emit_updates(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        while let Some(update) = self.updates.next() {
            let window = Window::new(update.end - self.grid.size(), update.end);
            let mut parts = Vec::new();
            let mut after = window.start.0;
            while let Some(end) = self.table.first_after(after).filter(|end| *end <= update.end) {
                after = end;
                let slice = self.table.find(end);
                parts.extend(slice.and_then(|slice| self.table.get(slice, update.hash, &update.key)));
            }
            self.contents
                .emit(&update.key, window, window.last(), &parts, out, context)
                .map_err(OperatorError::Other)?;
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }
}

impl<T, S, C> OperatorLifecycle<C::Out> for SlicedWindows<T, S, C>
where
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.groups = context.key_groups;
        if C::IS_COMPACT && self.grid.slices_per_window() >= MANY_SLICES {
            self.running = (0..self.groups.len()).map(RunningGroup::new).collect();
        }
        Ok(())
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        vec![&mut self.table]
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        Ok(vec![self.firing.snapshot(self.groups)?])
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.firing = Firing::restore(state, self.groups)?;
        Ok(())
    }

    fn snapshots_midway(&self) -> bool {
        // Results that have changed are known only here.
        self.updates.are_emitted()
    }

    fn resume(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        match self.emit_updates(out, context)? {
            Progress::More => Ok(Progress::More),
            Progress::Done => self.fire(out, context),
        }
    }

    fn on_watermark(
        &mut self,
        watermark: EventTime,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        // The end of all input closes windows of either clock.
        if self.clock == Clock::Event || watermark == EventTime::MAX {
            self.advance(watermark.0, out, context)
        } else {
            Ok(Progress::Done)
        }
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        match self.clock {
            Clock::Event => None,
            Clock::Processing => self.next_due(self.firing.through()).map(ProcessingTime),
        }
    }

    fn on_timer(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        // No record will have a time before now.
        self.advance(context.now().0.saturating_sub(1), out, context)
    }
}

impl<T, S, C> Operator<T, C::Out> for SlicedWindows<T, S, C>
where
    T: Send + 'static,
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    fn process(
        &mut self,
        mut batch: Batch<T>,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let selector = Arc::clone(&self.selector);
        let hashes = hashes(&mut batch, &*selector);
        // A clock that was set back must not make records late.
        let now = context.now().0.max(self.firing.through());
        let mut late = LateRecords::new(out, context);
        let mut current: Option<Current> = None;
        for (index, (record, hash)) in batch.records.into_iter().zip(hashes).enumerate() {
            position.advance();
            let time = match self.clock {
                Clock::Processing => now,
                Clock::Event => match batch.times.get(index) {
                    Some(time) => time.0,
                    None => return Err(position.error(WindowError::NoTime)),
                },
            };
            let current = match &mut current {
                Some(current) if current.start <= time && time < current.end => current,
                slot => slot.insert(self.current(time).map_err(|error| position.error(error))?),
            };
            let Some(slice) = current.slice else {
                late.push(record, EventTime(time));
                continue;
            };
            let probe = selector.probe(&record);
            match self.table.get_mut(slice, hash, &probe) {
                Some(value) => {
                    if current.fate == Fate::Updates {
                        let key = probe.into_key();
                        self.contents.add(value, record);
                        self.note_change(current.end, hash, key);
                    } else {
                        // The probe may borrow from the record, which moves.
                        drop(probe);
                        self.contents.add(value, record);
                    }
                }
                None => {
                    let key = probe.into_key();
                    if current.fate == Fate::Updates {
                        self.note_change(current.end, hash, key.clone());
                    }
                    let value = self.contents.begin(record);
                    self.table.insert(slice, hash, key, value);
                }
            }
        }
        drop(position);
        if self.updates.is_empty() {
            return Ok(Progress::Done);
        }
        let (grid, now, lateness) = (self.grid, self.firing.time(), self.lateness);
        self.updates.gather(|slice_end| {
            grid.ends(slice_end)
                .filter(move |end| end - 1 <= now && end - 1 + lateness > now)
        });
        self.emit_updates(out, context)
    }
}

//! Freezing a sliced table and serialising what is frozen, step by step, while writes go on.
//!
//! As in `table/scan.rs`: a freeze closes the interval and decides per key group what is to be written. The scan walks
//! key group by key group, and within one slice by slice. Whoever writes to an entry that the scan has yet to reach
//! serialises it first. A slice that is dropped meanwhile is kept aside until the scan has passed over it.
//!
//! # A block
//! One byte of format version; the time up to which slices have been dropped; then records up to the end. A record is a
//! tag and what it says: that the following records are of the slice with this end; a key and its whole value; a key and
//! a change to its value. All in postcard.

use std::collections::VecDeque;

use tidegate_core::{
    CheckpointId, Key, KeyGroup, Progress,
    bug::{Bug, is_seeded},
    snapshot::{BlockKind, Freeze, SnapshotSink, StateError},
};

use super::{
    SlicedTable,
    slice::{Entry, Group, Plan, Slice},
};
use crate::{cell::Cell, codec::encode, interval::Stamp};

/// The version of the block format.
pub(super) const FORMAT: u8 = 1;

/// The record that follows is the whole value.
pub(super) const WHOLE: u8 = 0;
/// The record that follows is a change to a value of an earlier block.
pub(super) const CHANGE: u8 = 1;
/// The records that follow are of another slice.
pub(super) const SLICE: u8 = 2;

/// Every base is rewritten within this many checkpoints.
const BASE_CYCLE: usize = 48;

/// A group of which this share changed, in tenths, is written as base.
const ALMOST_WHOLLY: u64 = 9;

/// A scan under way.
pub(super) struct Scan<K, V> {
    /// Changes are measured from the end of this interval.
    since: Stamp,
    /// The last interval that was frozen.
    upto: Stamp,
    /// Slices up to here had been dropped.
    dropped_through: i64,
    /// The group that is being scanned.
    group: usize,
    /// The last slice of it that has been.
    passed: Option<i64>,
    /// Slices that were dropped since, by their ends.
    retained: VecDeque<Slice<K, V>>,
}

impl<K: Key, V> Scan<K, V> {
    /// Serialises an entry that is about to be written, if the scan still wants it as it is.
    #[inline]
    pub(super) fn preserve<C: Cell<Value = V>>(
        &self,
        end: i64,
        entry: &Entry<K, V>,
        group: &mut Group,
        state: &str,
        failure: &mut Option<StateError>,
    ) {
        // A group that is done has no plan any more; in the one at hand, slices that were passed are done.
        if entry.stamp <= self.upto
            && group.plan != Plan::Skip
            && !(self.passed.is_some_and(|passed| end <= passed) && group.is_being_scanned)
            && let Err(error) = self.write::<C>(end, entry, group, state)
        {
            *failure = Some(error);
        }
    }

    /// Appends an entry's record if the scan wants it.
    fn write<C: Cell<Value = V>>(
        &self,
        end: i64,
        entry: &Entry<K, V>,
        group: &mut Group,
        state: &str,
    ) -> Result<(), StateError> {
        let partial = match group.plan {
            _ if entry.stamp > self.upto => return Ok(()),
            Plan::Skip => return Ok(()),
            Plan::Write(BlockKind::Delta) if entry.stamp <= self.since => return Ok(()),
            Plan::Write(BlockKind::Delta) => C::is_partial(&entry.value, self.since),
            Plan::Write(BlockKind::Base) => false,
        };
        let out = &mut group.records;
        let before = out.len();
        let mut append = || {
            if group.records_of != Some(end) {
                out.push(SLICE);
                encode(&end, out)?;
            }
            out.push(if partial { CHANGE } else { WHOLE });
            encode(&entry.key, out)?;
            if partial {
                C::encode_change(&entry.value, self.since, out)
            } else {
                C::encode(&entry.value, out)
            }
        };
        match append() {
            Ok(()) => {
                group.records_of = Some(end);
                Ok(())
            }
            Err(error) => {
                out.truncate(before);
                Err(unserialisable(state, &error))
            }
        }
    }

    /// Keeps a slice that is dropped until it has been scanned.
    pub(super) fn retain(&mut self, slice: Slice<K, V>) {
        self.retained.push_back(slice);
    }

    /// The first slice that has not been passed, among those there are and those kept aside.
    fn next<'a>(&'a self, slices: &'a VecDeque<Slice<K, V>>) -> Option<&'a Slice<K, V>> {
        let after = |slices: &'a VecDeque<Slice<K, V>>| match self.passed {
            None => slices.front(),
            Some(passed) => slices.get(slices.partition_point(|slice| slice.end <= passed)),
        };
        match (after(&self.retained), after(slices)) {
            (Some(retained), Some(slice)) if slice.end < retained.end => Some(slice),
            (Some(retained), _) => Some(retained),
            (None, slice) => slice,
        }
    }
}

impl<K: Key, C: Cell> SlicedTable<K, C> {
    pub(super) fn start_scan(&mut self, freeze: Freeze) {
        self.discard_scan();
        let since = freeze.since.and_then(|since| self.measure_from(since));
        // A checkpoint of which nobody has heard whether it was claimed may hold a base of any group.
        let is_any_pending = self.intervals.is_any_pending();
        let upto = self.intervals.freeze(freeze.checkpoint);
        let count = self.groups.len();
        let turn = self.rotation..self.rotation + count.div_ceil(BASE_CYCLE);
        let mut bases = Vec::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            group.unclaimed = group.unclaimed.saturating_add(std::mem::take(&mut group.changed));
            let is_its_turn = turn.contains(&index) || turn.contains(&(index + count));
            let almost_wholly = u64::from(group.unclaimed) * 10 >= u64::from(group.live) * ALMOST_WHOLLY;
            group.plan = match (since, group.has_base) {
                (_, false) if group.live == 0 && !is_any_pending => Plan::Skip,
                (None, _) | (_, false) => Plan::Write(BlockKind::Base),
                _ if is_its_turn => Plan::Write(BlockKind::Base),
                _ if group.unclaimed == 0 => Plan::Skip,
                _ if almost_wholly => Plan::Write(BlockKind::Base),
                _ => Plan::Write(BlockKind::Delta),
            };
            if group.plan == Plan::Write(BlockKind::Base) {
                bases.push(index);
            }
        }
        if since.is_some() && count > 0 {
            self.rotation = turn.end % count;
        }
        self.pending_bases.push((freeze.checkpoint, bases));
        // Key groups that came from different tasks need not have dropped the same: none of them may lose a slice that
        // another has dropped.
        let first = self.ends().next().unwrap_or(i64::MAX);
        let dropped_through = self.dropped_through.min(first.saturating_sub(1));
        self.scan = Some(Scan {
            since: since.unwrap_or_default(),
            upto,
            dropped_through,
            group: 0,
            passed: None,
            retained: VecDeque::new(),
        });
        if let Some(first) = self.groups.first_mut() {
            first.is_being_scanned = true;
        }
    }

    /// The interval from whose end changes are measured, or `None` if everything has to be written.
    fn measure_from(&mut self, since: CheckpointId) -> Option<Stamp> {
        self.note_claimed(since);
        if is_seeded(Bug::DeltaFromAborted) {
            return self.intervals.last_frozen();
        }
        self.intervals.claimed_since(since)
    }

    /// Takes note that a checkpoint is claimed, from whichever side the news came.
    pub(super) fn note_claimed(&mut self, checkpoint: CheckpointId) {
        let last = self.intervals.last_frozen_checkpoint();
        if !self.intervals.claim(checkpoint) {
            return;
        }
        for (written, bases) in &self.pending_bases {
            if *written == checkpoint {
                for index in bases {
                    self.groups[*index].has_base = true;
                }
            }
        }
        self.pending_bases.retain(|(written, _)| *written > checkpoint);
        if last == Some(checkpoint) {
            for group in &mut self.groups {
                group.unclaimed = 0;
            }
        }
    }

    pub(super) fn discard_scan(&mut self) {
        if self.scan.take().is_some() {
            self.groups.iter_mut().for_each(Group::discard);
        }
        self.failure = None;
    }

    pub(super) fn scan_some(
        &mut self,
        budget: usize,
        out: &mut dyn SnapshotSink,
    ) -> Result<Progress, StateError> {
        let Some(mut scan) = self.scan.take() else {
            return Ok(Progress::Done);
        };
        match self.scan_from(&mut scan, budget, out) {
            Ok(Progress::Done) => Ok(Progress::Done),
            Ok(Progress::More) => {
                self.scan = Some(scan);
                Ok(Progress::More)
            }
            Err(error) => {
                self.groups.iter_mut().for_each(Group::discard);
                Err(error)
            }
        }
    }

    fn scan_from(
        &mut self,
        scan: &mut Scan<K, C::Value>,
        budget: usize,
        out: &mut dyn SnapshotSink,
    ) -> Result<Progress, StateError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut looked = 0;
        while let Some(group) = self.groups.get_mut(scan.group) {
            if looked >= budget {
                return Ok(Progress::More);
            }
            group.is_being_scanned = true;
            if group.plan != Plan::Skip
                && let Some(slice) = scan.next(&self.slices)
            {
                let end = slice.end;
                let unchanged =
                    group.plan == Plan::Write(BlockKind::Delta) && slice.written[scan.group] <= scan.since;
                let table = &slice.tables[scan.group];
                looked += 1;
                if !unchanged {
                    looked += table.len();
                    for entry in table {
                        scan.write::<C>(end, entry, group, &self.name)?;
                    }
                }
                scan.passed = Some(end);
                continue;
            }
            let key_group = KeyGroup(self.range.start + scan.group as u16);
            finish_group(&self.name, key_group, scan.dropped_through, group, out)?;
            scan.group += 1;
            scan.passed = None;
        }
        Ok(Progress::Done)
    }
}

/// Puts the block of a group together and gives it away.
fn finish_group(
    state: &str,
    key_group: KeyGroup,
    dropped_through: i64,
    group: &mut Group,
    out: &mut dyn SnapshotSink,
) -> Result<(), StateError> {
    let plan = group.plan;
    let records = std::mem::take(&mut group.records);
    group.discard();
    let Plan::Write(kind) = plan else {
        return Ok(());
    };
    let mut bytes = Vec::with_capacity(11 + records.len());
    bytes.push(FORMAT);
    encode(&dropped_through, &mut bytes).map_err(|error| unserialisable(state, &error))?;
    bytes.extend_from_slice(&records);
    out.block(state, key_group, kind, bytes);
    Ok(())
}

fn unserialisable(state: &str, error: &postcard::Error) -> StateError {
    StateError::Unserialisable {
        state: state.to_owned(),
        reason: error.to_string(),
    }
}

//! State by time first: one table key → value for each slice of time.
//!
//! Window operators keep what they know slice by slice. Slices come and go in the order of time, and they go whole: that
//! everything up to some time is gone is a single number in a snapshot, whatever the number of keys.
//!
//! ```text
//!   slices, by their ends    10:00        11:00        12:00
//!   key groups   0          {a: 3}       {a: 1}         {}
//!                1            {}        {b: 2, c: 9}   {c: 1}
//!                …
//! ```
//!
//! Within a slice there is one hash table per key group, placed by the hash that came with the batch. Every entry
//! carries the [`Stamp`] of the interval in which it was last written, as in [`Table`](crate::Table); snapshots are taken
//! in the same way, key group by key group and within it slice by slice (see `sliced/scan.rs`).

mod keyed;
mod load;
mod scan;
mod slice;

use std::collections::VecDeque;

use tidegate_core::{CheckpointId, Key, KeyGroupRange, KeyProbe, KeySpace, snapshot::StateError};

use self::{
    scan::Scan,
    slice::{Entry, Group, Slice},
};
use crate::{
    cell::Cell,
    interval::{Interval, Intervals},
    layout::Layout,
};

/// One table of keyed state per slice of time, on the heap.
///
/// A slice is named by the time of its end, in milliseconds of whichever clock the operator means. The table holds
/// nothing until [`assign`](tidegate_core::snapshot::KeyedState::assign) has said which key groups are its own; using it
/// with a hash of another key group is a defect of the caller and panics.
pub struct SlicedTable<K: Key, C: Cell> {
    name: String,
    version: u32,
    space: KeySpace,
    range: KeyGroupRange,
    /// By their ends.
    slices: VecDeque<Slice<K, C::Value>>,
    groups: Vec<Group>,
    /// Slices that end here or before are gone.
    dropped_through: i64,
    intervals: Intervals,
    scan: Option<Scan<K, C::Value>>,
    /// The groups written as base by checkpoints that are not claimed yet.
    pending_bases: Vec<(CheckpointId, Vec<usize>)>,
    /// The group whose base is rewritten next.
    rotation: usize,
    live: u64,
    /// The error of a value that had to be serialised in a place that cannot report it. The scan does.
    failure: Option<StateError>,
}

/// The place of a slice. It is good until a slice is made or dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceIndex(usize);

/// The place of an entry. It is good until something is inserted or dropped.
///
/// Rows order by the bits of the key's hash that [`tail`](Self::tail) tells, then by the slice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Row {
    tail: u32,
    slice: u32,
    bucket: u32,
}

impl Row {
    /// Bits of the key's hash: the same for a key wherever and whenever it is kept. Few keys of a key group share them.
    #[inline]
    pub fn tail(self) -> u32 {
        self.tail
    }

    /// Which slice it is in: the same number for the same slice.
    #[inline]
    pub fn slice(self) -> u32 {
        self.slice
    }
}

impl<K: Key, C: Cell> SlicedTable<K, C> {
    /// An empty table for a job with the given key groups.
    pub fn new(name: impl Into<String>, space: KeySpace) -> Self {
        Self {
            name: name.into(),
            version: 0,
            space,
            range: KeyGroupRange { start: 0, end: 0 },
            slices: VecDeque::new(),
            groups: Vec::new(),
            dropped_through: i64::MIN,
            intervals: Intervals::new(),
            scan: None,
            pending_bases: Vec::new(),
            rotation: 0,
            live: 0,
            failure: None,
        }
    }

    /// Declares the version of types that resist tracing; see [`schema`](crate::schema).
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// The interval that writes belong to now, for values that keep stamps of their own.
    #[inline]
    pub fn interval(&self) -> Interval {
        Interval {
            current: self.intervals.current(),
            claimed: self.intervals.claimed().unwrap_or_default(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The number of key groups that the table holds. They are counted from 0.
    pub fn key_groups(&self) -> usize {
        self.groups.len()
    }

    /// The slice that ends at `end`, made if there is none.
    ///
    /// # Panics
    /// If it has been dropped.
    pub fn slice(&mut self, end: i64) -> SliceIndex {
        assert!(
            end > self.dropped_through,
            "state {:?}: the slice that ends at {end} has been dropped",
            self.name
        );
        self.find_or_make(end)
    }

    fn find_or_make(&mut self, end: i64) -> SliceIndex {
        let index = self.slices.partition_point(|slice| slice.end < end);
        if self.slices.get(index).is_none_or(|slice| slice.end != end) {
            self.slices.insert(index, Slice::new(end, self.groups.len()));
        }
        SliceIndex(index)
    }

    /// The slice that ends at `end`, if there is one.
    pub fn find(&self, end: i64) -> Option<SliceIndex> {
        let index = self.slices.partition_point(|slice| slice.end < end);
        let found = self.slices.get(index).is_some_and(|slice| slice.end == end);
        found.then_some(SliceIndex(index))
    }

    /// The ends of the slices there are, in order.
    pub fn ends(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.slices.iter().map(|slice| slice.end)
    }

    /// The first slice that ends after `time`, by its end.
    pub fn first_after(&self, time: i64) -> Option<i64> {
        let index = self.slices.partition_point(|slice| slice.end <= time);
        self.slices.get(index).map(|slice| slice.end)
    }

    /// The value of a key in a slice. Does not count as a write.
    #[inline]
    pub fn get(&self, slice: SliceIndex, hash: u64, probe: &impl KeyProbe<K>) -> Option<&C::Value> {
        let tail = tail_of(hash);
        self.slices[slice.0].tables[self.group_of(hash)]
            .find(Layout::table_hash(tail), |entry| probe.is(&entry.key))
            .map(|entry| &entry.value)
    }

    /// The value of a key in a slice, to write. Counts as a write whether or not anything is written.
    #[inline]
    pub fn get_mut(
        &mut self,
        slice: SliceIndex,
        hash: u64,
        probe: &impl KeyProbe<K>,
    ) -> Option<&mut C::Value> {
        let (group, tail) = (self.group_of(hash), tail_of(hash));
        let slice = &mut self.slices[slice.0];
        let entry = slice.tables[group].find_mut(Layout::table_hash(tail), |entry| probe.is(&entry.key))?;
        let current = self.intervals.current();
        if entry.stamp != current {
            if let Some(scan) = &self.scan {
                let group = &mut self.groups[group];
                scan.preserve::<C>(slice.end, entry, group, &self.name, &mut self.failure);
            }
            self.groups[group].changed += 1;
            entry.stamp = current;
            slice.written[group] = current;
        }
        Some(&mut entry.value)
    }

    /// Inserts a key that is not in the slice.
    #[inline]
    pub fn insert(&mut self, slice: SliceIndex, hash: u64, key: K, value: C::Value) {
        let (group, tail) = (self.group_of(hash), tail_of(hash));
        let current = self.intervals.current();
        self.live += 1;
        let counts = &mut self.groups[group];
        counts.live += 1;
        counts.changed += 1;
        let slice = &mut self.slices[slice.0];
        slice.written[group] = current;
        let entry = Entry {
            key,
            value,
            stamp: current,
            tail,
        };
        slice.tables[group].insert_unique(Layout::table_hash(tail), entry, |entry| {
            Layout::table_hash(entry.tail)
        });
    }

    /// Appends the places of all entries of a key group in the slices that end after `after` and not after `through`:
    /// slice by slice, and within a slice in no particular order.
    pub fn rows(&self, group: usize, after: i64, through: i64, rows: &mut Vec<Row>) {
        let first = self.slices.partition_point(|slice| slice.end <= after);
        for (index, slice) in self.slices.iter().enumerate().skip(first) {
            if slice.end > through {
                break;
            }
            let table = &slice.tables[group];
            if table.is_empty() {
                continue;
            }
            rows.reserve(table.len());
            rows.extend((0..table.num_buckets()).filter_map(|bucket| {
                table.get_bucket(bucket).map(|entry| Row {
                    tail: entry.tail,
                    slice: index as u32,
                    bucket: bucket as u32,
                })
            }));
        }
    }

    /// The key and the value at a place.
    ///
    /// # Panics
    /// If nothing is there: the place was not good any more.
    #[inline]
    pub fn at(&self, group: usize, row: Row) -> (&K, &C::Value) {
        let entry = self.slices[row.slice as usize].tables[group]
            .get_bucket(row.bucket as usize)
            .expect("a row is used before anything is inserted or dropped");
        (&entry.key, &entry.value)
    }

    /// The end of the slice that a row is in.
    #[inline]
    pub fn end_of(&self, row: Row) -> i64 {
        self.slices[row.slice as usize].end
    }

    /// The key group of a hash, and what rows of its key tell of it.
    #[inline]
    pub fn place(&self, hash: u64) -> (usize, u32) {
        (self.group_of(hash), tail_of(hash))
    }

    /// The value of a key in a slice, found by what [`place`](Self::place) says of it.
    pub fn get_placed(&self, slice: SliceIndex, (group, tail): (usize, u32), key: &K) -> Option<&C::Value> {
        self.slices[slice.0].tables[group]
            .find(Layout::table_hash(tail), |entry| entry.key == *key)
            .map(|entry| &entry.value)
    }

    /// Drops the slices that end at `end` or before. They leave one number, not a tombstone per key.
    pub fn drop_through(&mut self, end: i64) {
        self.dropped_through = self.dropped_through.max(end);
        while self.slices.front().is_some_and(|slice| slice.end <= end) {
            let Some(slice) = self.slices.pop_front() else {
                break;
            };
            for (group, table) in self.groups.iter_mut().zip(&slice.tables) {
                let gone = u32::try_from(table.len()).unwrap_or(u32::MAX);
                group.live -= gone;
                group.changed = group.changed.saturating_add(gone);
                self.live -= u64::from(gone);
            }
            if let Some(scan) = &mut self.scan {
                scan.retain(slice);
            }
        }
    }

    #[inline]
    fn group_of(&self, hash: u64) -> usize {
        usize::from(self.space.group_of(hash).0.wrapping_sub(self.range.start))
    }
}

/// What entries keep of a hash: the bits that do not choose the key group.
#[inline]
fn tail_of(hash: u64) -> u32 {
    hash.rotate_left(16) as u32
}

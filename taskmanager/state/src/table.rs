//! The heap table: one value per key, sharded by key group, read and written in place.
//!
//! Entries lie inline in hashbrown tables, several per key group (see `layout.rs`), placed by the hash
//! that came with the batch. Every entry carries the [`Stamp`] of the interval in which it was last written; that is
//! all a checkpoint needs to find what changed (see `table/scan.rs`), and it costs one comparison per write.
//!
//! What a look-up costs is the memory it waits for, so entries are inline: an index in front of them would be one more
//! wait. Batches are looked up ahead, many keys at once (see `table/look_ahead.rs`). Measured with one million uniform
//! `u64` keys and a running sum, against one bare foldhash map in the same run: 0.47 to 0.52 of its speed, and 0.43 to
//! 0.45 before batches were looked up ahead. Tables that fit in a near cache did not gain.
//!
//! Deletions leave tombstones beside the entries, not among them, so a table's memory is that of its live keys.

mod claim;
mod entry;
mod group;
mod keyed;
mod load;
mod look_ahead;
mod scan;
mod sweep;
mod visit;

use hashbrown::HashTable;
use tidegate_core::{
    CheckpointId, Key, KeyGroupRange, KeyProbe, KeySpace, ProcessingTime,
    bug::{Bug, is_seeded},
    snapshot::StateError,
};

use self::{entry::Entry, group::Group, scan::Scan};
pub use self::{
    look_ahead::{Hint, LOOK_AHEAD},
    visit::Cursor,
};
use crate::{
    cell::Cell,
    interval::{Interval, Intervals, Stamp},
    layout::Layout,
    ttl::{Ttl, TtlUpdate},
};

/// A table of keyed state on the heap.
///
/// It holds nothing until [`assign`](tidegate_core::snapshot::KeyedState::assign) has said which key groups are its
/// own; using it with a hash of another key group is a defect of the caller and panics.
pub struct Table<K: Key, C: Cell> {
    name: String,
    version: u32,
    ttl: Option<Ttl>,
    layout: Layout,
    shards: Vec<HashTable<Entry<K, C::Value>>>,
    /// The last write to each shard: what lets a scan pass over shards that did not change.
    written: Vec<Stamp>,
    groups: Vec<Group<K>>,
    intervals: Intervals,
    scan: Option<Scan>,
    /// The first shard that a pending scan has not reached; beyond all shards when none is pending.
    scan_front: usize,
    /// The groups written as base by checkpoints that are not claimed yet.
    pending_bases: Vec<(CheckpointId, Vec<usize>)>,
    now: ProcessingTime,
    sweeper: Cursor,
    live: u64,
    /// The group whose base is rewritten next.
    rotation: usize,
    /// The error of a value that had to be serialised in a place that cannot report it. The scan does.
    failure: Option<StateError>,
}

impl<K: Key, C: Cell> Table<K, C> {
    /// An empty table for a job with the given key groups.
    pub fn new(name: impl Into<String>, space: KeySpace) -> Self {
        Self {
            name: name.into(),
            version: 0,
            ttl: None,
            layout: Layout::new(space, KeyGroupRange { start: 0, end: 0 }),
            shards: Vec::new(),
            written: Vec::new(),
            groups: Vec::new(),
            intervals: Intervals::new(),
            scan: None,
            scan_front: usize::MAX,
            pending_bases: Vec::new(),
            now: ProcessingTime(0),
            sweeper: Cursor::default(),
            live: 0,
            rotation: 0,
            failure: None,
        }
    }

    /// Declares the version of types that resist tracing; see [`schema`](crate::schema).
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Gives entries a time to live. Only tables of [`Timed`](crate::Timed) cells heed it.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<Ttl>) -> Self {
        self.ttl = ttl;
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

    /// The processing time the table goes by.
    #[inline]
    pub fn now(&self) -> ProcessingTime {
        self.now
    }

    /// The number of live entries, including expired ones that have not been swept away.
    #[inline]
    pub fn len(&self) -> usize {
        usize::try_from(self.live).unwrap_or(usize::MAX)
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The value of a key. Does not count as a write, and does not prolong life.
    #[inline]
    pub fn get(&self, hash: u64, probe: &impl KeyProbe<K>) -> Option<&C::Value> {
        let place = self.layout.place(hash);
        self.shards[place.shard]
            .find(Layout::table_hash(place.tail), |entry| probe.is(&entry.key))
            .map(|entry| &entry.value)
            .filter(|value| !self.is_expired(value))
    }

    /// The value of a key; prolongs its life if the table's time to live says so.
    #[inline]
    pub fn read(&mut self, hash: u64, probe: &impl KeyProbe<K>) -> Option<&C::Value> {
        match self.ttl {
            Some(Ttl {
                update: TtlUpdate::OnReadAndWrite,
                ..
            }) if C::TIMED => self.get_mut(hash, probe).map(|value| &*value),
            _ => self.get(hash, probe),
        }
    }

    /// The value of a key, to write. Counts as a write whether or not anything is written.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, probe: &impl KeyProbe<K>) -> Option<&mut C::Value> {
        self.get_mut_at(Hint::none(hash), probe)
    }

    /// [`get_mut`](Self::get_mut), tried first where [`look_ahead`](Self::look_ahead) says the key may be.
    #[inline]
    pub fn get_mut_at(&mut self, hint: Hint, probe: &impl KeyProbe<K>) -> Option<&mut C::Value> {
        self.expire(hint.hash(), probe);
        let (shard, entry) = if self.hinted(hint).is_some_and(|entry| probe.is(&entry.key)) {
            let shard = hint.shard();
            (shard, self.shards[shard].get_bucket_mut(hint.bucket())?)
        } else {
            let place = self.layout.place(hint.hash());
            let found = self.shards[place.shard]
                .find_mut(Layout::table_hash(place.tail), |entry| probe.is(&entry.key))?;
            (place.shard, found)
        };
        let current = self.intervals.current();
        if entry.stamp != current {
            let group = &mut self.groups[self.layout.group_of_shard(shard)];
            if shard >= self.scan_front
                && let Some(scan) = &self.scan
            {
                scan.preserve::<K, C>(entry, group, &self.name, &mut self.failure);
            }
            group.changed += 1;
            entry.stamp = current;
            self.written[shard] = current;
        }
        C::touch(&mut entry.value, self.now);
        Some(&mut entry.value)
    }

    /// Changes the value of a key, made by `init` if there is none. Counts as a write.
    ///
    /// It looks a key that is there up once, where [`get_or_insert_with`](Self::get_or_insert_with) does it twice. Loops
    /// over batches are better off with [`look_ahead`](Self::look_ahead) and [`get_mut_at`](Self::get_mut_at).
    #[inline]
    pub fn update<R>(
        &mut self,
        hash: u64,
        probe: impl KeyProbe<K>,
        init: impl FnOnce() -> C::Value,
        change: impl FnOnce(&mut C::Value) -> R,
    ) -> R {
        match self.get_mut(hash, &probe) {
            Some(value) => change(value),
            None => change(self.insert_new(hash, probe.into_key(), init())),
        }
    }

    /// The value of a key, made by `init` if there is none. Counts as a write.
    #[inline]
    pub fn get_or_insert_with(
        &mut self,
        hash: u64,
        probe: impl KeyProbe<K>,
        init: impl FnOnce() -> C::Value,
    ) -> &mut C::Value {
        self.expire(hash, &probe);
        let place = self.layout.place(hash);
        let is_there = self.shards[place.shard]
            .find(Layout::table_hash(place.tail), |entry| probe.is(&entry.key))
            .is_some();
        if is_there {
            self.get_mut(hash, &probe)
                .expect("the key was there a moment ago, and has not expired")
        } else {
            self.insert_new(hash, probe.into_key(), init())
        }
    }

    /// Inserts a key that is not there.
    fn insert_new(&mut self, hash: u64, key: K, value: C::Value) -> &mut C::Value {
        let place = self.layout.place(hash);
        let current = self.intervals.current();
        let group = &mut self.groups[self.layout.group_of_shard(place.shard)];
        self.live += 1;
        group.live += 1;
        group.changed += 1;
        self.written[place.shard] = current;
        let entry = Entry {
            key,
            value,
            stamp: current,
            tail: place.tail,
        };
        let entry = self.shards[place.shard]
            .insert_unique(Layout::table_hash(place.tail), entry, |entry| {
                Layout::table_hash(entry.tail)
            })
            .into_mut();
        C::touch(&mut entry.value, self.now);
        &mut entry.value
    }

    /// Gives a key a value and returns the one before.
    pub fn insert(&mut self, hash: u64, probe: impl KeyProbe<K>, value: C::Value) -> Option<C::Value> {
        let now = self.now;
        match self.get_mut(hash, &probe) {
            Some(slot) => {
                let before = std::mem::replace(slot, value);
                C::touch(slot, now);
                Some(before)
            }
            None => {
                self.insert_new(hash, probe.into_key(), value);
                None
            }
        }
    }

    /// Removes a key and returns its value. Leaves a tombstone where a checkpoint may hold the key.
    pub fn remove(&mut self, hash: u64, probe: &impl KeyProbe<K>) -> Option<C::Value> {
        let place = self.layout.place(hash);
        let bucket = self.shards[place.shard]
            .find_bucket_index(Layout::table_hash(place.tail), |entry| probe.is(&entry.key))?;
        let value = self.remove_at(place.shard, bucket)?;
        (!self.is_expired(&value)).then_some(value)
    }

    fn remove_at(&mut self, shard: usize, bucket: usize) -> Option<C::Value> {
        let found = self.shards[shard].get_bucket_entry(bucket).ok()?;
        let index = self.layout.group_of_shard(shard);
        let group = &mut self.groups[index];
        if shard >= self.scan_front
            && let Some(scan) = &self.scan
        {
            scan.preserve::<K, C>(found.get(), group, &self.name, &mut self.failure);
        }
        let (entry, _) = found.remove();
        self.live -= 1;
        group.live -= 1;
        group.changed += 1;
        self.written[shard] = self.intervals.current();
        // Where no checkpoint can hold the key there is nothing to delete it from.
        let may_be_stored = group.has_base || self.intervals.is_any_pending();
        if may_be_stored && !is_seeded(Bug::ForgetTombstone) {
            self.bury(index, entry.key, entry.tail);
        }
        Some(entry.value)
    }

    #[inline]
    fn is_expired(&self, value: &C::Value) -> bool {
        C::TIMED
            && self
                .ttl
                .is_some_and(|ttl| C::touched(value).is_some_and(|touched| ttl.is_expired(touched, self.now)))
    }

    /// Removes a key if it has expired.
    #[inline]
    fn expire(&mut self, hash: u64, probe: &impl KeyProbe<K>) {
        if C::TIMED && self.ttl.is_some() {
            let place = self.layout.place(hash);
            let found =
                self.shards[place.shard].find(Layout::table_hash(place.tail), |entry| probe.is(&entry.key));
            if found.is_some_and(|entry| self.is_expired(&entry.value)) {
                let _ = self.remove(hash, probe);
            }
        }
    }
}

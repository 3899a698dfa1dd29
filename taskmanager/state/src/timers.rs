//! Timers per key: a keyed state like any other, with an index by time beside it.
//!
//! What is kept and snapshotted is a table of (key, time), sharded by the key group of the key; the index is derived
//! and built anew after a restore.

use std::{collections::BTreeMap, ops::ControlFlow};

use tidegate_core::{
    CheckpointId, Key, KeyGroup, KeyGroupRange, KeySpace, ProcessingTime, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};

use crate::{
    cell::Value,
    scoped::{Scoped, ScopedProbe},
    table::{Cursor, Table},
};

/// The keys of one time and hash: nearly always one.
enum Keys<K> {
    One(K),
    Several(Vec<K>),
}

/// A timer that has come due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timer<K> {
    /// When it was to fire.
    pub time: i64,
    /// Whose it is.
    pub key: K,
    /// The key's hash.
    pub hash: u64,
}

/// The timers of an operator. Times are milliseconds, of whichever clock the operator means.
pub struct Timers<K: Key> {
    table: Table<Scoped<K, i64>, Value<()>>,
    /// By time, then by hash: the order in which timers fire is the same in every run.
    index: BTreeMap<(i64, u64), Keys<K>>,
}

impl<K: Key> Timers<K> {
    /// No timers yet.
    pub fn new(name: impl Into<String>, space: KeySpace) -> Self {
        Self {
            table: Table::new(name, space),
            index: BTreeMap::new(),
        }
    }

    /// Sets a timer. Setting it twice is setting it once; says whether it is new.
    pub fn register(&mut self, time: i64, key: &K, hash: u64) -> bool {
        let probe = ScopedProbe::new(key, hash, &time);
        if self.table.get(probe.hash, &probe).is_some() {
            return false;
        }
        self.table.get_or_insert_with(probe.hash, probe, || ());
        self.index(time, key.clone(), hash);
        true
    }

    /// Deletes a timer; says whether it was set.
    pub fn delete(&mut self, time: i64, key: &K, hash: u64) -> bool {
        let probe = ScopedProbe::new(key, hash, &time);
        if self.table.remove(probe.hash, &probe).is_none() {
            return false;
        }
        match self.index.get_mut(&(time, hash)) {
            Some(Keys::Several(keys)) if keys.len() > 1 => keys.retain(|other| other != key),
            _ => {
                self.index.remove(&(time, hash));
            }
        }
        true
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn pop_due(&mut self, now: i64) -> Option<Timer<K>> {
        let mut first = self.index.first_entry()?;
        let (time, hash) = *first.key();
        if time > now {
            return None;
        }
        let key = match first.get_mut() {
            Keys::Several(keys) if keys.len() > 1 => Some(keys.remove(0)),
            _ => match first.remove() {
                Keys::One(key) => Some(key),
                Keys::Several(mut keys) => keys.pop(),
            },
        }?;
        let probe = ScopedProbe::new(&key, hash, &time);
        let _ = self.table.remove(probe.hash, &probe);
        Some(Timer { time, key, hash })
    }

    /// When the earliest timer is due.
    pub fn next_due(&self) -> Option<i64> {
        self.index.first_key_value().map(|((time, _), _)| *time)
    }

    /// All timers, in the order in which they fire.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &K)> {
        self.index.iter().flat_map(|((time, _), keys)| {
            let keys = match keys {
                Keys::One(key) => std::slice::from_ref(key),
                Keys::Several(keys) => keys,
            };
            keys.iter().map(move |key| (*time, key))
        })
    }

    fn index(&mut self, time: i64, key: K, hash: u64) {
        let keys = match self.index.remove(&(time, hash)) {
            None => Keys::One(key),
            Some(Keys::One(other)) => Keys::Several(vec![other, key]),
            Some(Keys::Several(mut keys)) => {
                keys.push(key);
                Keys::Several(keys)
            }
        };
        self.index.insert((time, hash), keys);
    }
}

impl<K: Key> KeyedState for Timers<K> {
    fn name(&self) -> &str {
        self.table.name()
    }

    fn schema(&self) -> Schema {
        self.table.schema()
    }

    fn assign(&mut self, groups: KeyGroupRange) {
        self.table.assign(groups);
        self.index.clear();
    }

    fn restored(&mut self, checkpoint: CheckpointId) {
        self.table.restored(checkpoint);
        self.index.clear();
        let mut all = Vec::with_capacity(self.table.len());
        let _ = self.table.visit(&mut Cursor::default(), |scoped, ()| {
            all.push(scoped.clone());
            ControlFlow::Continue(())
        });
        for Scoped { key, inner } in all {
            let hash = key.key_hash();
            self.index(inner, key, hash);
        }
    }

    fn set_now(&mut self, now: ProcessingTime) {
        self.table.set_now(now);
    }

    fn freeze(&mut self, freeze: Freeze) {
        self.table.freeze(freeze);
    }

    fn scan(&mut self, budget: usize, out: &mut dyn SnapshotSink) -> Result<Progress, StateError> {
        self.table.scan(budget, out)
    }

    fn discard(&mut self) {
        self.table.discard();
    }

    fn claimed(&mut self, checkpoint: CheckpointId) {
        self.table.claimed(checkpoint);
    }

    fn load(&mut self, group: KeyGroup, kind: BlockKind, bytes: &[u8]) -> Result<(), StateError> {
        self.table.load(group, kind, bytes)
    }

    fn memory_bytes(&self) -> u64 {
        let index = self.index.len() * size_of::<((i64, u64), Keys<K>)>();
        self.table.memory_bytes() + index as u64
    }

    fn entries(&self) -> u64 {
        self.table.entries()
    }

    fn digest(&self) -> u64 {
        self.table.digest()
    }
}

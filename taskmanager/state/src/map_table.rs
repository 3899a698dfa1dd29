//! Maps per key, one table entry per map key.
//!
//! Every map key has its own stamp and its own tombstone, so a checkpoint writes the map keys that changed and not the
//! maps. An index of each key's map keys makes maps iterable; it is derived, never written, and built anew after a
//! restore.

use hashbrown::{HashTable, hash_table};
use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    CheckpointId, EncodeKey, Key, KeyGroup, KeyGroupRange, KeySpace, ProcessingTime, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};

use crate::{
    cell::{Timed, Touched, Value},
    estimate,
    scoped::{Scoped, ScopedProbe},
    table::{Cursor, Table},
    ttl::Ttl,
};

/// The map keys of one key.
struct Members<K, M> {
    key: K,
    hash: u64,
    map_keys: HashTable<M>,
}

/// A table of maps.
pub struct MapTable<K: Key, M: Key, V: Serialize + DeserializeOwned + Send + 'static> {
    table: Table<Scoped<K, M>, Timed<Value<V>>>,
    space: KeySpace,
    range: KeyGroupRange,
    /// One index per key group: none of them grows large enough for its growth to be felt.
    members: Vec<HashTable<Members<K, M>>>,
}

impl<K: Key, M: Key, V: Serialize + DeserializeOwned + Send + 'static> MapTable<K, M, V> {
    /// An empty table.
    pub fn new(name: impl Into<String>, space: KeySpace) -> Self {
        Self {
            table: Table::new(name, space),
            space,
            range: KeyGroupRange { start: 0, end: 0 },
            members: Vec::new(),
        }
    }

    /// See [`Table::with_version`].
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.table = self.table.with_version(version);
        self
    }

    /// Gives map entries, each by itself, a time to live.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<Ttl>) -> Self {
        self.table = self.table.with_ttl(ttl);
        self
    }

    /// The value of a map key.
    pub fn get(&mut self, key: &K, hash: u64, map_key: &M) -> Option<&V> {
        let probe = ScopedProbe::new(key, hash, map_key);
        self.table.read(probe.hash, &probe).map(|touched| &touched.value)
    }

    /// The value of a map key, to write.
    pub fn get_mut(&mut self, key: &K, hash: u64, map_key: &M) -> Option<&mut V> {
        let probe = ScopedProbe::new(key, hash, map_key);
        self.table
            .get_mut(probe.hash, &probe)
            .map(|touched| &mut touched.value)
    }

    /// Whether a map key has a value.
    pub fn contains(&self, key: &K, hash: u64, map_key: &M) -> bool {
        let probe = ScopedProbe::new(key, hash, map_key);
        self.table.get(probe.hash, &probe).is_some()
    }

    /// Gives a map key a value and returns the one before.
    pub fn insert(&mut self, key: &K, hash: u64, map_key: M, value: V) -> Option<V> {
        let probe = ScopedProbe::new(key, hash, &map_key);
        let now = self.table.now();
        let before = self.table.insert(probe.hash, probe, Touched::new(value, now));
        if before.is_none() {
            self.index(key, hash, map_key);
        }
        before.map(|touched| touched.value)
    }

    /// Removes a map key and returns its value.
    pub fn remove(&mut self, key: &K, hash: u64, map_key: &M) -> Option<V> {
        let probe = ScopedProbe::new(key, hash, map_key);
        let before = self.table.remove(probe.hash, &probe);
        let group = self.group(hash);
        if let Ok(mut found) = self.members[group].find_entry(hash, |members| members.key == *key) {
            let map_keys = &mut found.get_mut().map_keys;
            if let Ok(member) = map_keys.find_entry(map_key.key_hash(), |member| member == map_key) {
                member.remove();
            }
            if map_keys.is_empty() {
                found.remove();
            }
        }
        before.map(|touched| touched.value)
    }

    /// Removes all map keys of a key.
    pub fn clear(&mut self, key: &K, hash: u64) {
        let group = self.group(hash);
        if let Ok(found) = self.members[group].find_entry(hash, |members| members.key == *key) {
            let (members, _) = found.remove();
            for map_key in members.map_keys {
                let probe = ScopedProbe::new(key, hash, &map_key);
                let _ = self.table.remove(probe.hash, &probe);
            }
        }
    }

    /// The map of a key, in no particular order. Does not prolong life. A key of another task has none.
    pub fn iter<'a>(&'a self, key: &'a K, hash: u64) -> impl Iterator<Item = (&'a M, &'a V)> {
        self.members
            .get(self.group(hash))
            .and_then(|group| group.find(hash, |members| members.key == *key))
            .into_iter()
            .flat_map(|members| members.map_keys.iter())
            .filter_map(move |map_key| {
                let probe = ScopedProbe::new(key, hash, map_key);
                let touched = self.table.get(probe.hash, &probe)?;
                Some((map_key, &touched.value))
            })
    }

    fn group(&self, hash: u64) -> usize {
        usize::from(self.space.group_of(hash).0.wrapping_sub(self.range.start))
    }

    fn index(&mut self, key: &K, hash: u64, map_key: M) {
        let group = self.group(hash);
        let members = self.members[group]
            .entry(hash, |members| members.key == *key, |members| members.hash)
            .or_insert_with(|| Members {
                key: key.clone(),
                hash,
                map_keys: HashTable::new(),
            })
            .into_mut();
        let found = members.map_keys.entry(
            map_key.key_hash(),
            |member| *member == map_key,
            EncodeKey::key_hash,
        );
        if let hash_table::Entry::Vacant(vacant) = found {
            vacant.insert(map_key);
        }
    }

    /// Builds the index anew from what has been restored. Between restores it may go on to name map keys that have
    /// expired and been swept away; reading passes over them.
    fn index_all(&mut self) {
        self.members.iter_mut().for_each(HashTable::clear);
        let mut all = Vec::new();
        let _ = self.table.visit(&mut Cursor::default(), |scoped, _| {
            all.push(scoped.clone());
            std::ops::ControlFlow::Continue(())
        });
        for Scoped { key, inner } in all {
            let hash = key.key_hash();
            self.index(&key, hash, inner);
        }
    }
}

impl<K: Key, M: Key, V: Serialize + DeserializeOwned + Send + 'static> KeyedState for MapTable<K, M, V> {
    fn name(&self) -> &str {
        self.table.name()
    }

    fn schema(&self) -> Schema {
        self.table.schema()
    }

    fn assign(&mut self, groups: KeyGroupRange) {
        self.table.assign(groups);
        self.range = groups;
        self.members.clear();
        self.members.resize_with(groups.len(), HashTable::new);
    }

    fn restored(&mut self, checkpoint: CheckpointId) {
        self.table.restored(checkpoint);
        self.index_all();
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
        let index: usize = self.members.iter().map(HashTable::allocation_size).sum();
        let map_keys = estimate::sum(&self.members, |members| members.map_keys.allocation_size());
        self.table.memory_bytes() + index as u64 + map_keys
    }

    fn entries(&self) -> u64 {
        self.table.entries()
    }

    fn digest(&self) -> u64 {
        self.table.digest()
    }
}

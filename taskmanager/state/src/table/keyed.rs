//! A table as the snapshot machinery sees it.

use tidegate_core::{
    CheckpointId, Key, KeyGroup, KeyGroupRange, ProcessingTime, Progress, hash_bytes,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};

use super::{Table, group::Group};
use crate::{cell::Cell, codec::encode, estimate, interval::Stamp, layout::Layout, schema};

impl<K: Key, C: Cell> KeyedState for Table<K, C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> Schema {
        let key = schema::describe::<K>(self.version);
        schema::schema(&self.name, format!("{key} => {}", C::describe(self.version)))
    }

    fn assign(&mut self, groups: KeyGroupRange) {
        self.layout = Layout::new(self.layout.space(), groups);
        self.shards.clear();
        self.shards.resize_with(self.layout.shards(), Default::default);
        self.written = vec![Stamp::LOADED; self.layout.shards()];
        self.groups.clear();
        self.groups.resize_with(self.layout.groups(), Group::default);
        self.live = 0;
    }

    fn restored(&mut self, checkpoint: CheckpointId) {
        self.intervals.restored(checkpoint);
    }

    fn set_now(&mut self, now: ProcessingTime) {
        self.tick(now);
    }

    fn freeze(&mut self, freeze: Freeze) {
        self.start_scan(freeze);
    }

    fn scan(&mut self, budget: usize, out: &mut dyn SnapshotSink) -> Result<Progress, StateError> {
        self.scan_some(budget, out)
    }

    fn discard(&mut self) {
        self.discard_scan();
    }

    fn claimed(&mut self, checkpoint: CheckpointId) {
        self.note_claimed(checkpoint);
    }

    fn load(&mut self, group: KeyGroup, kind: BlockKind, bytes: &[u8]) -> Result<(), StateError> {
        self.load_block(group, kind, bytes)
    }

    fn memory_bytes(&self) -> u64 {
        let shards: usize = self.shards.iter().map(|shard| shard.allocation_size()).sum();
        let headers = self.shards.len() * (size_of::<hashbrown::HashTable<u64>>() + size_of::<Stamp>())
            + self.groups.len() * size_of::<Group<K>>();
        let values = if std::mem::needs_drop::<C::Value>() {
            estimate::sum(&self.shards, |entry| C::heap_bytes(&entry.value))
        } else {
            0
        };
        (shards + headers) as u64 + values
    }

    fn entries(&self) -> u64 {
        self.live
    }

    fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        let mut digest = 0u64;
        for entry in self.shards.iter().flatten() {
            bytes.clear();
            // What cannot be encoded has no digest; the next scan reports it.
            let encoded =
                encode(&entry.key, &mut bytes).and_then(|()| C::encode_content(&entry.value, &mut bytes));
            if encoded.is_ok() {
                digest = digest.wrapping_add(hash_bytes(&bytes));
            }
        }
        digest
    }
}

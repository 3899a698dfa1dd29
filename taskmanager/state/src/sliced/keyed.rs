//! A sliced table as the snapshot machinery sees it.

use hashbrown::HashTable;
use tidegate_core::{
    CheckpointId, Key, KeyGroup, KeyGroupRange, ProcessingTime, Progress, hash_bytes,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};

use super::{SlicedTable, slice::Group};
use crate::{cell::Cell, codec::encode, estimate, interval::Stamp, schema};

impl<K: Key, C: Cell> KeyedState for SlicedTable<K, C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> Schema {
        let key = schema::describe::<K>(self.version);
        let value = C::describe(self.version);
        schema::schema(&self.name, format!("slices of {key} => {value}"))
    }

    fn assign(&mut self, groups: KeyGroupRange) {
        self.range = groups;
        self.slices.clear();
        self.groups.clear();
        self.groups.resize_with(groups.len(), Group::default);
        self.live = 0;
    }

    fn restored(&mut self, checkpoint: CheckpointId) {
        self.drop_empty();
        self.intervals.restored(checkpoint);
    }

    fn set_now(&mut self, _now: ProcessingTime) {}

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
        let of_slice = |slice: &super::Slice<K, C::Value>| {
            let tables: usize = slice.tables.iter().map(HashTable::allocation_size).sum();
            let headers = slice.tables.len() * (size_of::<HashTable<u64>>() + size_of::<Stamp>());
            let values = if std::mem::needs_drop::<C::Value>() {
                estimate::sum(&slice.tables, |entry| C::heap_bytes(&entry.value))
            } else {
                0
            };
            (tables + headers) as u64 + values
        };
        self.slices.iter().map(of_slice).sum::<u64>() + (self.groups.len() * size_of::<Group>()) as u64
    }

    fn entries(&self) -> u64 {
        self.live
    }

    fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        let mut digest = 0u64;
        for slice in &self.slices {
            for entry in slice.tables.iter().flatten() {
                bytes.clear();
                // What cannot be encoded has no digest; the next scan reports it.
                let encoded = encode(&slice.end, &mut bytes)
                    .and_then(|()| encode(&entry.key, &mut bytes))
                    .and_then(|()| C::encode_content(&entry.value, &mut bytes));
                if encoded.is_ok() {
                    digest = digest.wrapping_add(hash_bytes(&bytes));
                }
            }
        }
        digest
    }
}

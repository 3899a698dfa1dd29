//! The conformance suite on every kind of heap state.

use std::ops::ControlFlow;

use tidegate_core::{
    CheckpointId, EncodeKey, KeyGroup, KeyGroupRange, KeySpace, ProcessingTime, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};
use tidegate_state::{
    BorrowedKey, Cursor, Elements, List, MapTable, Table, Timers, Value,
    conformance::{Contents, Subject, check},
};

const CASES: u32 = 128;

/// Passes everything but [`Subject`] through to the table inside.
macro_rules! wrap {
    ($name:ident, $inner:ty) => {
        struct $name($inner);

        impl KeyedState for $name {
            fn name(&self) -> &str {
                self.0.name()
            }
            fn schema(&self) -> Schema {
                self.0.schema()
            }
            fn assign(&mut self, groups: KeyGroupRange) {
                self.0.assign(groups);
            }
            fn restored(&mut self, checkpoint: CheckpointId) {
                self.0.restored(checkpoint);
            }
            fn set_now(&mut self, now: ProcessingTime) {
                self.0.set_now(now);
            }
            fn freeze(&mut self, freeze: Freeze) {
                self.0.freeze(freeze);
            }
            fn scan(&mut self, budget: usize, out: &mut dyn SnapshotSink) -> Result<Progress, StateError> {
                self.0.scan(budget, out)
            }
            fn discard(&mut self) {
                self.0.discard();
            }
            fn claimed(&mut self, checkpoint: CheckpointId) {
                self.0.claimed(checkpoint);
            }
            fn load(&mut self, group: KeyGroup, kind: BlockKind, bytes: &[u8]) -> Result<(), StateError> {
                self.0.load(group, kind, bytes)
            }
            fn memory_bytes(&self) -> u64 {
                self.0.memory_bytes()
            }
            fn entries(&self) -> u64 {
                self.0.entries()
            }
            fn digest(&self) -> u64 {
                self.0.digest()
            }
        }
    };
}

fn probe(key: &u64) -> BorrowedKey<'_, u64> {
    BorrowedKey {
        key,
        hash: key.key_hash(),
    }
}

/// A space with few groups has many keys in each, so that deltas, bases and skipped groups all occur.
fn spaces() -> impl Iterator<Item = KeySpace> {
    [4, 30].into_iter().filter_map(KeySpace::new)
}

wrap!(Values, Table<u64, Value<Vec<u32>>>);

impl Subject for Values {
    fn put(&mut self, key: u64, value: u32) {
        self.0.insert(key.key_hash(), key, vec![value]);
    }
    fn append(&mut self, key: u64, value: u32) {
        self.0
            .get_or_insert_with(key.key_hash(), probe(&key), Vec::new)
            .push(value);
    }
    fn delete(&mut self, key: u64) {
        self.0.remove(key.key_hash(), &key);
    }
    fn contents(&mut self) -> Contents {
        let mut contents = Contents::new();
        let mut cursor = Cursor::default();
        // One entry per step: the walk must find its place again.
        while self.0.visit(&mut cursor, |key, value| {
            assert!(contents.insert(*key, value.clone()).is_none());
            ControlFlow::Break(())
        }) == Progress::More
        {}
        contents
    }
}

#[test]
fn values_conform() {
    for space in spaces() {
        check(space, CASES, || Values(Table::new("values", space)));
    }
}

wrap!(Lists, Table<u64, List<u32>>);

impl Subject for Lists {
    fn put(&mut self, key: u64, value: u32) {
        let interval = self.0.interval();
        self.0
            .insert(key.key_hash(), key, Elements::new(vec![value], interval));
    }
    fn append(&mut self, key: u64, value: u32) {
        let interval = self.0.interval();
        self.0
            .get_or_insert_with(key.key_hash(), key, || Elements::new(Vec::new(), interval))
            .push(value, interval);
    }
    fn delete(&mut self, key: u64) {
        self.0.remove(key.key_hash(), &key);
    }
    fn contents(&mut self) -> Contents {
        let mut contents = Contents::new();
        let _ = self.0.visit(&mut Cursor::default(), |key, list| {
            contents.insert(*key, list.as_slice().to_vec());
            ControlFlow::Continue(())
        });
        contents
    }
}

#[test]
fn lists_conform() {
    for space in spaces() {
        check(space, CASES, || Lists(Table::new("lists", space)));
    }
}

wrap!(Maps, MapTable<u64, u32, u32>);

fn add_sorted(values: &mut Vec<u32>, value: u32) {
    if let Err(place) = values.binary_search(&value) {
        values.insert(place, value);
    }
}

impl Subject for Maps {
    fn put(&mut self, key: u64, value: u32) {
        self.0.clear(&key, key.key_hash());
        self.0.insert(&key, key.key_hash(), value, value);
    }
    fn append(&mut self, key: u64, value: u32) {
        self.0.insert(&key, key.key_hash(), value, value);
    }
    fn delete(&mut self, key: u64) {
        for map_key in 0..8 {
            self.0.remove(&key, key.key_hash(), &map_key);
        }
        self.0.clear(&key, key.key_hash());
    }
    fn contents(&mut self) -> Contents {
        let mut contents = Contents::new();
        for key in 0..40 {
            let mut values: Vec<u32> = self
                .0
                .iter(&key, key.key_hash())
                .map(|(_, value)| *value)
                .collect();
            values.sort_unstable();
            if !values.is_empty() {
                contents.insert(key, values);
            }
        }
        contents
    }
    fn append_to(values: &mut Vec<u32>, value: u32) {
        add_sorted(values, value);
    }
}

#[test]
fn maps_conform() {
    for space in spaces() {
        check(space, CASES, || Maps(MapTable::new("maps", space)));
    }
}

wrap!(Timed, Timers<u64>);

impl Subject for Timed {
    fn put(&mut self, key: u64, value: u32) {
        self.delete(key);
        self.append(key, value);
    }
    fn append(&mut self, key: u64, value: u32) {
        self.0.register(i64::from(value), &key, key.key_hash());
    }
    fn delete(&mut self, key: u64) {
        for time in 0..16 {
            self.0.delete(time, &key, key.key_hash());
        }
    }
    fn contents(&mut self) -> Contents {
        assert!(
            self.0.iter().map(|(time, _)| time).is_sorted(),
            "timers fire in order"
        );
        assert_eq!(self.0.iter().next().map(|(time, _)| time), self.0.next_due());
        assert_eq!(self.0.iter().count() as u64, self.0.entries());
        let mut contents = Contents::new();
        for (time, key) in self.0.iter() {
            add_sorted(contents.entry(*key).or_default(), time as u32);
        }
        contents
    }
    fn append_to(values: &mut Vec<u32>, value: u32) {
        add_sorted(values, value);
    }
}

#[test]
fn timers_conform() {
    for space in spaces() {
        check(space, CASES, || Timed(Timers::new("timers", space)));
    }
}

//! Keyed state as a snapshot holds it, brought back outside of any operator: to be looked at, not to be worked with.

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Key, KeySpace,
    snapshot::{KeyedState, Schema, StateError},
};

use crate::{
    cell::{Cell, Timed, Value},
    list::List,
    schema,
    scoped::Scoped,
    table::Table,
};

/// A table and how one of its entries reads.
struct Reading<K: Key, C: Cell, E> {
    table: Table<K, C>,
    entry: fn(K, C::Value) -> E,
}

/// A [`Reading`] whose table's types have been forgotten.
trait Read<E>: Send {
    fn table(&mut self) -> &mut dyn KeyedState;
    fn take(&mut self) -> Vec<E>;
}

impl<K: Key, C: Cell, E> Read<E> for Reading<K, C, E> {
    fn table(&mut self) -> &mut dyn KeyedState {
        &mut self.table
    }

    fn take(&mut self) -> Vec<E> {
        let entries = self.table.drain().into_iter();
        entries.map(|(key, value)| (self.entry)(key, value)).collect()
    }
}

/// One state of a snapshot, of which key groups are loaded and then taken out as entries of a key and a value.
///
/// The types that are asked for are checked against the schema in the snapshot, before any byte is read. Values come as
/// they were written: what had outlived its time to live and was not swept away yet is among them.
///
/// ```
/// use tidegate_core::KeySpace;
/// use tidegate_state::{StateRegistry, StoredState};
///
/// let mut registry = StateRegistry::<u64>::new(KeySpace::DEFAULT);
/// registry.list::<String>("names", Default::default())?;
/// let schema = registry.tables_mut()[0].schema();
///
/// assert!(StoredState::<u64, Vec<String>>::list(&schema, KeySpace::DEFAULT, 0).is_ok());
/// let refused = StoredState::<u64, Vec<bool>>::list(&schema, KeySpace::DEFAULT, 0).err();
/// assert!(refused.is_some_and(|error| error.to_string().contains("list of string")));
/// # Ok::<(), tidegate_state::RegistryError>(())
/// ```
pub struct StoredState<K, V> {
    reading: Box<dyn Read<(K, V)>>,
}

impl<K: 'static, V: 'static> StoredState<K, V> {
    /// The table, to be [assigned](KeyedState::assign) key groups and [loaded](KeyedState::load).
    pub fn table(&mut self) -> &mut dyn KeyedState {
        self.reading.table()
    }

    /// Takes out all that has been loaded, in no particular order.
    pub fn take(&mut self) -> Vec<(K, V)> {
        self.reading.take()
    }

    fn check(stored: &Schema, mut reading: Box<dyn Read<(K, V)>>) -> Result<Self, StateError> {
        schema::check(stored, &reading.table().schema())?;
        Ok(Self { reading })
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + Send + 'static> StoredState<K, V> {
    /// One value per key: of a function's value, reducing or aggregating state, or of a built-in operator. `version` is
    /// what was declared for types that resist tracing, 0 if nothing.
    ///
    /// # Errors
    /// [`StateError::SchemaMismatch`] if it was stored with other types.
    pub fn value(stored: &Schema, space: KeySpace, version: u32) -> Result<Self, StateError> {
        let timed = reading::<K, Timed<Value<V>>, _>(stored, space, version, |key, value| (key, value.value));
        let plain = reading::<K, Value<V>, _>(stored, space, version, |key, value| (key, value));
        Self::check(stored, timed).or_else(|mismatch| Self::check(stored, plain).map_err(|_| mismatch))
    }
}

impl<K: Key, T: Serialize + DeserializeOwned + Send + 'static> StoredState<K, Vec<T>> {
    /// A list per key, oldest element first.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn list(stored: &Schema, space: KeySpace, version: u32) -> Result<Self, StateError> {
        let list =
            reading::<K, Timed<List<T>>, _>(stored, space, version, |key, list| (key, list.value.into_vec()));
        Self::check(stored, list)
    }
}

impl<K: Key, M: Key, V: Serialize + DeserializeOwned + Send + 'static> StoredState<(K, M), V> {
    /// A map per key: one entry per key and map key.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn map(stored: &Schema, space: KeySpace, version: u32) -> Result<Self, StateError> {
        let map = reading::<Scoped<K, M>, Timed<Value<V>>, _>(stored, space, version, |scoped, value| {
            ((scoped.key, scoped.inner), value.value)
        });
        Self::check(stored, map)
    }
}

impl<K: Key> StoredState<(K, i64), ()> {
    /// The [timers](crate::Timers) of an operator: one entry per key and time.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn timers(stored: &Schema, space: KeySpace) -> Result<Self, StateError> {
        let timers = reading::<Scoped<K, i64>, Value<()>, _>(stored, space, 0, |scoped, ()| {
            ((scoped.key, scoped.inner), ())
        });
        Self::check(stored, timers)
    }
}

fn reading<K: Key, C: Cell, E: 'static>(
    stored: &Schema,
    space: KeySpace,
    version: u32,
    entry: fn(K, C::Value) -> E,
) -> Box<dyn Read<E>> {
    let table = Table::new(stored.state.as_str(), space).with_version(version);
    Box::new(Reading::<K, C, E> { table, entry })
}

#[cfg(test)]
mod tests {
    use tidegate_core::{
        CheckpointId, EncodeKey, KeyGroup, Progress,
        snapshot::{BlockKind, Freeze, SnapshotSink},
    };

    use super::*;
    use crate::StateRegistry;

    #[derive(Default)]
    struct Blocks(Vec<(String, KeyGroup, BlockKind, Vec<u8>)>);

    impl SnapshotSink for Blocks {
        fn block(&mut self, state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
            self.0.push((state.to_owned(), group, kind, bytes));
        }
    }

    const SPACE: KeySpace = KeySpace::DEFAULT;

    fn checkpoint(states: &mut StateRegistry<u64>, id: u64, blocks: &mut Blocks) {
        for table in states.tables_mut() {
            let since = (id > 1).then(|| CheckpointId(id - 1));
            table.freeze(Freeze {
                checkpoint: CheckpointId(id),
                since,
            });
            while table.scan(1000, blocks).unwrap() == Progress::More {}
            table.claimed(CheckpointId(id));
        }
    }

    fn read<K: 'static, V: 'static>(
        blocks: &Blocks,
        name: &str,
        mut state: StoredState<K, V>,
    ) -> Vec<(K, V)> {
        state.table().assign(SPACE.all());
        for (_, group, kind, bytes) in blocks.0.iter().filter(|(state, ..)| state == name) {
            state.table().load(*group, *kind, bytes).unwrap();
        }
        state.take()
    }

    #[test]
    fn what_was_written_and_not_deleted_is_read_whatever_its_kind() {
        let mut states = StateRegistry::<u64>::new(SPACE);
        let value = states.value::<i64>("value", Default::default()).unwrap();
        let list = states.list::<i64>("list", Default::default()).unwrap();
        let map = states.map::<String, i64>("map", Default::default()).unwrap();
        states
            .tables_mut()
            .into_iter()
            .for_each(|table| table.assign(SPACE.all()));
        let mut blocks = Blocks::default();
        for round in 1..=3 {
            for key in [7u64, 8, 9] {
                let mut context = states.context(&key, key.key_hash());
                value.set(&mut context, round);
                list.push(&mut context, round);
                map.insert(&mut context, format!("round {round}"), round);
                if key == 8 && round == 3 {
                    value.clear(&mut context);
                    list.clear(&mut context);
                    map.clear(&mut context);
                }
            }
            checkpoint(&mut states, round.unsigned_abs(), &mut blocks);
        }
        let schemas: Vec<Schema> = states
            .tables_mut()
            .into_iter()
            .map(|table| table.schema())
            .collect();

        let mut values = read(
            &blocks,
            "value",
            StoredState::<u64, i64>::value(&schemas[0], SPACE, 0).unwrap(),
        );
        values.sort_unstable();
        assert_eq!(values, [(7, 3), (9, 3)]);
        let mut lists = read(
            &blocks,
            "list",
            StoredState::<u64, Vec<i64>>::list(&schemas[1], SPACE, 0).unwrap(),
        );
        lists.sort_unstable();
        assert_eq!(lists, [(7, vec![1, 2, 3]), (9, vec![1, 2, 3])]);
        let maps = StoredState::<(u64, String), i64>::map(&schemas[2], SPACE, 0).unwrap();
        let mut maps = read(&blocks, "map", maps);
        maps.sort_unstable();
        let expected = [7, 9]
            .into_iter()
            .flat_map(|key| (1..=3).map(move |i| ((key, format!("round {i}")), i)));
        assert_eq!(maps, expected.collect::<Vec<_>>());
    }

    #[test]
    fn values_with_and_without_a_time_are_told_apart() {
        let timed = Table::<u64, Timed<Value<i64>>>::new("s", SPACE).schema();
        let plain = Table::<u64, Value<i64>>::new("s", SPACE).schema();
        assert_ne!(timed.fingerprint, plain.fingerprint);
        for stored in [timed, plain] {
            let mut state = StoredState::<u64, i64>::value(&stored, SPACE, 0).unwrap();
            assert_eq!(state.table().schema(), stored);
        }
    }

    #[test]
    fn other_types_are_refused_with_both_named() {
        let stored = Table::<u64, Timed<Value<i64>>>::new("s", SPACE).schema();
        for error in [
            StoredState::<u64, u64>::value(&stored, SPACE, 0).err(),
            StoredState::<u64, i64>::value(&stored, SPACE, 1).err(),
            StoredState::<u64, Vec<i64>>::list(&stored, SPACE, 0).err(),
            StoredState::<(u64, u64), i64>::map(&stored, SPACE, 0).err(),
            StoredState::<(u64, i64), ()>::timers(&stored, SPACE).err(),
        ] {
            let Some(StateError::SchemaMismatch {
                state,
                stored,
                wanted,
            }) = error
            else {
                panic!("{error:?}")
            };
            assert_eq!((state.as_str(), stored.as_str()), ("s", "u64 => timed i64"));
            assert_ne!(stored, wanted);
        }
    }
}

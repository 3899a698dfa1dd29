//! The keyed states of one operator: declared by name, reached through typed handles.

use std::{any::Any, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Key, KeySpace, OperatorError, snapshot::KeyedState};

use super::{
    aggregating::AggregatingState, context::KeyedContext, list::ListState, map::MapState,
    reducing::ReducingState, value::ValueState,
};
use crate::{
    aggregator::Aggregator,
    cell::{Cell, Timed, Value},
    list::List,
    map_table::MapTable,
    table::Table,
    ttl::Ttl,
};

/// Why a state could not be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two states of one operator have the same name.
    #[error("two states are both named {name:?}; give each its own name, its contents are found by it")]
    DuplicateState {
        /// The name.
        name: String,
    },
}

impl From<RegistryError> for OperatorError {
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}

/// What may be said about a state besides its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StateOptions {
    /// How long entries live that nobody touches; for ever if `None`.
    pub ttl: Option<Ttl>,
    /// To be raised when the encoding of a type changes that resists tracing.
    pub version: u32,
}

impl StateOptions {
    /// Options with a time to live.
    pub fn ttl(ttl: Ttl) -> Self {
        Self {
            ttl: Some(ttl),
            version: 0,
        }
    }
}

/// A table behind a registry.
trait ErasedTable: KeyedState {
    fn as_any(&mut self) -> &mut dyn Any;
    fn as_state(&mut self) -> &mut dyn KeyedState;
}

impl<T: KeyedState + Any> ErasedTable for T {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn as_state(&mut self) -> &mut dyn KeyedState {
        self
    }
}

/// All keyed states of one operator instance.
///
/// States are declared once, when the operator is made, always the same and in the same order. Handles hold nothing but
/// their place; using one with another registry than the one that made it panics.
///
/// ```
/// use tidegate_core::{EncodeKey, KeySpace, snapshot::KeyedState};
/// use tidegate_state::StateRegistry;
///
/// let mut registry = StateRegistry::<String>::new(KeySpace::DEFAULT);
/// let count = registry.value::<u64>("count", Default::default())?;
/// let names = registry.list::<String>("names", Default::default())?;
/// registry.tables_mut().into_iter().for_each(|table| table.assign(KeySpace::DEFAULT.all()));
///
/// let key = "Ada".to_string();
/// let mut context = registry.context(&key, key.key_hash());
/// count.update(&mut context, || 0, |count| *count += 1);
/// names.push(&mut context, "Lovelace".into());
/// assert_eq!(count.get(&mut context), Some(&1));
/// assert_eq!(names.iter(&mut context).count(), 1);
/// # Ok::<(), tidegate_state::RegistryError>(())
/// ```
pub struct StateRegistry<K: Key> {
    space: KeySpace,
    tables: Vec<Box<dyn ErasedTable>>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: Key> StateRegistry<K> {
    /// A registry without states, in a job with the given key groups.
    pub fn new(space: KeySpace) -> Self {
        Self {
            space,
            tables: Vec::new(),
            key: std::marker::PhantomData,
        }
    }

    /// Declares one value per key.
    pub fn value<T>(&mut self, name: &str, options: StateOptions) -> Result<ValueState<T>, RegistryError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        Ok(ValueState::new(self.table::<Value<T>>(name, options)?))
    }

    /// Declares a list per key.
    pub fn list<T>(&mut self, name: &str, options: StateOptions) -> Result<ListState<T>, RegistryError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        Ok(ListState::new(self.table::<List<T>>(name, options)?))
    }

    /// Declares a map per key.
    pub fn map<M, V>(&mut self, name: &str, options: StateOptions) -> Result<MapState<M, V>, RegistryError>
    where
        M: Key,
        V: Serialize + DeserializeOwned + Send + 'static,
    {
        let table = MapTable::<K, M, V>::new(name, self.space)
            .with_ttl(options.ttl)
            .with_version(options.version);
        Ok(MapState::new(self.add(table)?))
    }

    /// Declares one value per key that new elements are merged into by `reduce`.
    pub fn reducing<T>(
        &mut self,
        name: &str,
        options: StateOptions,
        reduce: impl Fn(&mut T, T) + Send + Sync + 'static,
    ) -> Result<ReducingState<T>, RegistryError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let value = self.value(name, options)?;
        Ok(ReducingState::new(value, Arc::new(reduce)))
    }

    /// Declares one partial aggregate per key.
    pub fn aggregating<A: Aggregator>(
        &mut self,
        name: &str,
        options: StateOptions,
        aggregator: A,
    ) -> Result<AggregatingState<A>, RegistryError> {
        let value = self.value(name, options)?;
        Ok(AggregatingState::new(value, Arc::new(aggregator)))
    }

    /// All tables, in the order of their declaration, for the snapshot machinery.
    pub fn tables_mut(&mut self) -> Vec<&mut dyn KeyedState> {
        self.tables.iter_mut().map(|table| table.as_state()).collect()
    }

    /// The states of one key. `hash` is the key's.
    #[inline]
    pub fn context<'a>(&'a mut self, key: &'a K, hash: u64) -> KeyedContext<'a, K> {
        KeyedContext::new(self, key, hash)
    }

    fn table<C: Cell>(&mut self, name: &str, options: StateOptions) -> Result<usize, RegistryError> {
        let table = Table::<K, Timed<C>>::new(name, self.space)
            .with_ttl(options.ttl)
            .with_version(options.version);
        self.add(table)
    }

    fn add(&mut self, table: impl KeyedState + Any) -> Result<usize, RegistryError> {
        if self.tables.iter().any(|other| other.name() == table.name()) {
            return Err(RegistryError::DuplicateState {
                name: table.name().to_owned(),
            });
        }
        self.tables.push(Box::new(table));
        Ok(self.tables.len() - 1)
    }

    /// The table that a handle means.
    #[inline]
    pub(super) fn resolve<T: Any>(&mut self, index: usize) -> &mut T {
        self.tables
            .get_mut(index)
            .and_then(|table| table.as_mut().as_any().downcast_mut())
            .expect("a state handle is used with the registry that made it")
    }
}

//! A map per key.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::Key;

use super::context::KeyedContext;
use crate::map_table::MapTable;

/// A handle to a map per key. Every map entry is written, deleted and expires by itself.
pub struct MapState<M, V> {
    index: usize,
    entry: PhantomData<fn() -> (M, V)>,
}

impl<M, V> Clone for MapState<M, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, V> Copy for MapState<M, V> {}

impl<M, V> fmt::Debug for MapState<M, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapState").field(&self.index).finish()
    }
}

impl<M: Key, V: Serialize + DeserializeOwned + Send + 'static> MapState<M, V> {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            entry: PhantomData,
        }
    }

    fn table<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> &'c mut MapTable<K, M, V> {
        context.resolve(self.index)
    }

    /// The value of a map key.
    pub fn get<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>, map_key: &M) -> Option<&'c V> {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).get(key, hash, map_key)
    }

    /// The value of a map key, to write. Counts as a write.
    pub fn get_mut<'c, K: Key>(
        &self,
        context: &'c mut KeyedContext<'_, K>,
        map_key: &M,
    ) -> Option<&'c mut V> {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).get_mut(key, hash, map_key)
    }

    /// Whether a map key has a value.
    pub fn contains<K: Key>(&self, context: &mut KeyedContext<'_, K>, map_key: &M) -> bool {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).contains(key, hash, map_key)
    }

    /// Gives a map key a value and returns the one before.
    pub fn insert<K: Key>(&self, context: &mut KeyedContext<'_, K>, map_key: M, value: V) -> Option<V> {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).insert(key, hash, map_key, value)
    }

    /// Removes a map key and returns its value.
    pub fn remove<K: Key>(&self, context: &mut KeyedContext<'_, K>, map_key: &M) -> Option<V> {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).remove(key, hash, map_key)
    }

    /// Walks over the current key's map, in no particular order.
    pub fn iter<'c, K: Key>(
        &self,
        context: &'c mut KeyedContext<'_, K>,
    ) -> impl Iterator<Item = (&'c M, &'c V)> + use<'c, K, M, V> {
        let (key, hash) = (context.key(), context.hash());
        let table: &'c MapTable<K, M, V> = self.table(context);
        table.iter(key, hash)
    }

    /// Whether the current key's map is empty.
    pub fn is_empty<K: Key>(&self, context: &mut KeyedContext<'_, K>) -> bool {
        self.iter(context).next().is_none()
    }

    /// Removes all of the current key's map.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        let (key, hash) = (context.key(), context.hash());
        self.table(context).clear(key, hash);
    }
}

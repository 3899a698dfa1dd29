//! The current key, through which handles reach their state.

use tidegate_core::Key;

use super::registry::StateRegistry;
use crate::{
    cell::{Cell, Timed},
    scoped::BorrowedKey,
    table::Table,
};

/// The states of an operator in the scope of one key.
pub struct KeyedContext<'a, K: Key> {
    registry: &'a mut StateRegistry<K>,
    key: &'a K,
    hash: u64,
}

impl<'a, K: Key> KeyedContext<'a, K> {
    #[inline]
    pub(super) fn new(registry: &'a mut StateRegistry<K>, key: &'a K, hash: u64) -> Self {
        Self { registry, key, hash }
    }

    /// The current key.
    #[inline]
    pub fn key(&self) -> &'a K {
        self.key
    }

    /// Its hash.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    pub(super) fn probe(&self) -> BorrowedKey<'a, K> {
        BorrowedKey {
            key: self.key,
            hash: self.hash,
        }
    }

    #[inline]
    pub(super) fn table<C: Cell>(&mut self, index: usize) -> &mut Table<K, Timed<C>> {
        self.registry.resolve(index)
    }

    #[inline]
    pub(super) fn resolve<T: 'static>(&mut self, index: usize) -> &mut T {
        self.registry.resolve(index)
    }
}

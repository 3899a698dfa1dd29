//! One value per key.

use std::{fmt, marker::PhantomData, ops::ControlFlow};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Key, Progress};

use super::{context::KeyedContext, registry::StateRegistry};
use crate::{
    cell::{Timed, Touched, Value},
    table::{Cursor, Table},
};

/// A handle to one value per key.
pub struct ValueState<T> {
    index: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for ValueState<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ValueState<T> {}

impl<T> fmt::Debug for ValueState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueState").field(&self.index).finish()
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> ValueState<T> {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            value: PhantomData,
        }
    }

    /// The current key's value.
    #[inline]
    pub fn get<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> Option<&'c T> {
        let probe = context.probe();
        context
            .table::<Value<T>>(self.index)
            .read(probe.hash, &probe)
            .map(|touched| &touched.value)
    }

    /// The current key's value, to write. Counts as a write.
    #[inline]
    pub fn get_mut<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> Option<&'c mut T> {
        let probe = context.probe();
        context
            .table::<Value<T>>(self.index)
            .get_mut(probe.hash, &probe)
            .map(|touched| &mut touched.value)
    }

    /// Gives the current key a value.
    #[inline]
    pub fn set<K: Key>(&self, context: &mut KeyedContext<'_, K>, value: T) {
        let probe = context.probe();
        let table = context.table::<Value<T>>(self.index);
        let now = table.now();
        let _ = table.insert(probe.hash, probe, Touched::new(value, now));
    }

    /// Changes the current key's value in place, made by `init` if there is none.
    #[inline]
    pub fn update<K: Key, R>(
        &self,
        context: &mut KeyedContext<'_, K>,
        init: impl FnOnce() -> T,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        let probe = context.probe();
        let table = context.table::<Value<T>>(self.index);
        let now = table.now();
        table.update(
            probe.hash,
            probe,
            || Touched::new(init(), now),
            |touched| change(&mut touched.value),
        )
    }

    /// Removes the current key's value and returns it.
    #[inline]
    pub fn take<K: Key>(&self, context: &mut KeyedContext<'_, K>) -> Option<T> {
        let probe = context.probe();
        context
            .table::<Value<T>>(self.index)
            .remove(probe.hash, &probe)
            .map(|touched| touched.value)
    }

    /// Removes the current key's value.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        let _ = self.take(context);
    }

    /// Shows the keys that have a value to `visit`, from `cursor` on, until it breaks off or all have been seen. The next
    /// call goes on after the last one shown. Every key is shown once if none gets its first value between the calls.
    pub fn visit_keys<K: Key>(
        &self,
        registry: &mut StateRegistry<K>,
        cursor: &mut Cursor,
        mut visit: impl FnMut(&K) -> ControlFlow<()>,
    ) -> Progress {
        let table: &mut Table<K, Timed<Value<T>>> = registry.resolve(self.index);
        table.visit(cursor, |key, _| visit(key))
    }
}

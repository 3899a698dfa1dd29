//! A list per key.

use std::{fmt, marker::PhantomData, ops::ControlFlow};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Key, Progress};

use super::{context::KeyedContext, registry::StateRegistry};
use crate::{
    cell::{Timed, Touched},
    list::{Elements, List},
    table::{Cursor, Table},
};

/// A handle to a list per key. Appending costs a checkpoint what was appended, not the list.
pub struct ListState<T> {
    index: usize,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for ListState<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListState<T> {}

impl<T> fmt::Debug for ListState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListState").field(&self.index).finish()
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> ListState<T> {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            element: PhantomData,
        }
    }

    /// Appends an element.
    pub fn push<K: Key>(&self, context: &mut KeyedContext<'_, K>, element: T) {
        self.extend(context, [element]);
    }

    /// Appends elements.
    pub fn extend<K: Key>(&self, context: &mut KeyedContext<'_, K>, elements: impl IntoIterator<Item = T>) {
        let mut elements = elements.into_iter().peekable();
        if elements.peek().is_none() {
            return;
        }
        let probe = context.probe();
        let table = context.table::<List<T>>(self.index);
        let (interval, now) = (table.interval(), table.now());
        let touched = table.get_or_insert_with(probe.hash, probe, || {
            Touched::new(Elements::new(Vec::new(), interval), now)
        });
        for element in elements {
            touched.value.push(element, interval);
        }
    }

    /// The elements, oldest first.
    pub fn as_slice<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> &'c [T] {
        let probe = context.probe();
        context
            .table::<List<T>>(self.index)
            .read(probe.hash, &probe)
            .map_or(&[], |touched| touched.value.as_slice())
    }

    /// Walks over the elements, oldest first.
    pub fn iter<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> std::slice::Iter<'c, T> {
        self.as_slice(context).iter()
    }

    /// Whether there is no element.
    pub fn is_empty<K: Key>(&self, context: &mut KeyedContext<'_, K>) -> bool {
        self.as_slice(context).is_empty()
    }

    /// Gives the current key other elements; none at all clears it.
    pub fn replace<K: Key>(&self, context: &mut KeyedContext<'_, K>, elements: Vec<T>) {
        if elements.is_empty() {
            return self.clear(context);
        }
        let probe = context.probe();
        let table = context.table::<List<T>>(self.index);
        let (interval, now) = (table.interval(), table.now());
        let touched = Touched::new(Elements::new(elements, interval), now);
        let _ = table.insert(probe.hash, probe, touched);
    }

    /// Removes all elements of the current key and returns them.
    pub fn take<K: Key>(&self, context: &mut KeyedContext<'_, K>) -> Vec<T> {
        let probe = context.probe();
        context
            .table::<List<T>>(self.index)
            .remove(probe.hash, &probe)
            .map(|touched| touched.value.into_vec())
            .unwrap_or_default()
    }

    /// Removes all elements of the current key.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        let _ = self.take(context);
    }

    /// Shows the keys that have a list to `visit`, from `cursor` on, until it breaks off or all have been seen. The next
    /// call goes on after the last one shown. Every key is shown once if none gets its first list between the calls.
    pub fn visit_keys<K: Key>(
        &self,
        registry: &mut StateRegistry<K>,
        cursor: &mut Cursor,
        mut visit: impl FnMut(&K) -> ControlFlow<()>,
    ) -> Progress {
        let table: &mut Table<K, Timed<List<T>>> = registry.resolve(self.index);
        table.visit(cursor, |key, _| visit(key))
    }
}

//! One value per key that elements are merged into.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::Key;

use super::{context::KeyedContext, value::ValueState};

/// Merges an element into a value.
type Reduce<T> = dyn Fn(&mut T, T) + Send + Sync;

/// A handle to one value per key that elements are merged into.
pub struct ReducingState<T> {
    value: ValueState<T>,
    reduce: Arc<Reduce<T>>,
}

impl<T> Clone for ReducingState<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value,
            reduce: self.reduce.clone(),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> ReducingState<T> {
    pub(super) fn new(value: ValueState<T>, reduce: Arc<Reduce<T>>) -> Self {
        Self { value, reduce }
    }

    /// Merges an element into the current key's value; the first one becomes it.
    pub fn add<K: Key>(&self, context: &mut KeyedContext<'_, K>, element: T) {
        match self.value.get_mut(context) {
            Some(value) => (self.reduce)(value, element),
            None => self.value.set(context, element),
        }
    }

    /// The current key's value.
    pub fn get<'c, K: Key>(&self, context: &'c mut KeyedContext<'_, K>) -> Option<&'c T> {
        self.value.get(context)
    }

    /// Removes the current key's value.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        self.value.clear(context);
    }
}

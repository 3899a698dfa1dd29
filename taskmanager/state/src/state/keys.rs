//! Walking over the keys of a state, for work that concerns all of them.

use std::ops::ControlFlow;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Key, Progress};

use super::{
    aggregating::AggregatingState, list::ListState, reducing::ReducingState, registry::StateRegistry,
    value::ValueState,
};
use crate::{
    aggregator::Aggregator,
    cell::{Cell, Timed, Value},
    list::List,
    table::{Cursor, Table},
};

/// A handle to a state that has one entry per key.
pub trait StateKeys<K: Key> {
    /// Shows the keys that have an entry to `visit`, from `cursor` on, until it breaks off or all have been seen. The
    /// next call goes on after the last one shown. Every key is shown once if none gets its first entry between calls.
    fn visit_keys(
        &self,
        registry: &mut StateRegistry<K>,
        cursor: &mut Cursor,
        visit: &mut dyn FnMut(&K) -> ControlFlow<()>,
    ) -> Progress;
}

fn visit_table<K: Key, C: Cell>(
    registry: &mut StateRegistry<K>,
    index: usize,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(&K) -> ControlFlow<()>,
) -> Progress {
    let table: &mut Table<K, Timed<C>> = registry.resolve(index);
    table.visit(cursor, |key, _| visit(key))
}

macro_rules! state_keys {
    ($([$($generics:tt)*] $state:ty => $cell:ty),* $(,)?) => {$(
        impl<K: Key, $($generics)*> StateKeys<K> for $state {
            fn visit_keys(
                &self,
                registry: &mut StateRegistry<K>,
                cursor: &mut Cursor,
                visit: &mut dyn FnMut(&K) -> ControlFlow<()>,
            ) -> Progress {
                visit_table::<K, $cell>(registry, self.index(), cursor, visit)
            }
        }
    )*};
}

state_keys! {
    [T: Serialize + DeserializeOwned + Send + 'static] ValueState<T> => Value<T>,
    [T: Serialize + DeserializeOwned + Send + 'static] ListState<T> => List<T>,
    [T: Serialize + DeserializeOwned + Send + 'static] ReducingState<T> => Value<T>,
    [A: Aggregator] AggregatingState<A> => Value<A::Acc>,
}

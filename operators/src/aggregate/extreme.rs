//! The smallest and the largest.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_state::Aggregator;

/// The smallest of what a function gives. Values that cannot be compared with it, such as not-a-number, are passed over
/// unless they come first; `None` is smaller than any `Some`.
pub struct Min<T, F> {
    function: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, V, F: Fn(&T) -> V> Min<T, F> {
    /// The smallest of what `function` gives for each element.
    pub fn of(function: F) -> Self {
        Self {
            function,
            elements: PhantomData,
        }
    }
}

impl<T, V, F> Aggregator for Min<T, F>
where
    T: 'static,
    V: PartialOrd + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&T) -> V + Send + Sync + 'static,
{
    type In = T;
    type Acc = V;
    type Out = V;

    #[inline]
    fn lift(&self, element: &T) -> V {
        (self.function)(element)
    }

    #[inline]
    fn combine(&self, into: &mut V, later: V) {
        if later < *into {
            *into = later;
        }
    }

    fn lower(&self, accumulator: &V) -> V {
        accumulator.clone()
    }
}

/// The element for which a function gives the smallest; the first of several.
pub struct MinBy<T, F> {
    key: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, V: PartialOrd, F: Fn(&T) -> V> MinBy<T, F> {
    /// The element with the smallest `key`.
    pub fn key(key: F) -> Self {
        Self {
            key,
            elements: PhantomData,
        }
    }
}

impl<T, V, F> Aggregator for MinBy<T, F>
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    V: PartialOrd,
    F: Fn(&T) -> V + Send + Sync + 'static,
{
    type In = T;
    type Acc = T;
    type Out = T;

    fn lift(&self, element: &T) -> T {
        element.clone()
    }

    fn combine(&self, into: &mut T, later: T) {
        if (self.key)(&later) < (self.key)(into) {
            *into = later;
        }
    }

    fn lower(&self, accumulator: &T) -> T {
        accumulator.clone()
    }
}

/// The largest of what a function gives. Values that cannot be compared with it, such as not-a-number, are passed over
/// unless they come first; `None` is smaller than any `Some`.
pub struct Max<T, F> {
    function: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, V, F: Fn(&T) -> V> Max<T, F> {
    /// The largest of what `function` gives for each element.
    pub fn of(function: F) -> Self {
        Self {
            function,
            elements: PhantomData,
        }
    }
}

impl<T, V, F> Aggregator for Max<T, F>
where
    T: 'static,
    V: PartialOrd + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&T) -> V + Send + Sync + 'static,
{
    type In = T;
    type Acc = V;
    type Out = V;

    #[inline]
    fn lift(&self, element: &T) -> V {
        (self.function)(element)
    }

    #[inline]
    fn combine(&self, into: &mut V, later: V) {
        if later > *into {
            *into = later;
        }
    }

    fn lower(&self, accumulator: &V) -> V {
        accumulator.clone()
    }
}

/// The element for which a function gives the largest; the first of several.
pub struct MaxBy<T, F> {
    key: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, V: PartialOrd, F: Fn(&T) -> V> MaxBy<T, F> {
    /// The element with the largest `key`.
    pub fn key(key: F) -> Self {
        Self {
            key,
            elements: PhantomData,
        }
    }
}

impl<T, V, F> Aggregator for MaxBy<T, F>
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    V: PartialOrd,
    F: Fn(&T) -> V + Send + Sync + 'static,
{
    type In = T;
    type Acc = T;
    type Out = T;

    fn lift(&self, element: &T) -> T {
        element.clone()
    }

    fn combine(&self, into: &mut T, later: T) {
        if (self.key)(&later) > (self.key)(into) {
            *into = later;
        }
    }

    fn lower(&self, accumulator: &T) -> T {
        accumulator.clone()
    }
}

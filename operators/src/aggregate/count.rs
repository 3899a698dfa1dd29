//! How many.

use std::marker::PhantomData;

use tidegate_state::Aggregator;

/// The number of elements.
pub struct Count<T>(PhantomData<fn(&T)>);

impl<T> Count<T> {
    /// Counts.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Count<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> Aggregator for Count<T> {
    type In = T;
    type Acc = u64;
    type Out = u64;

    #[inline]
    fn lift(&self, _element: &T) -> u64 {
        1
    }

    #[inline]
    fn combine(&self, into: &mut u64, later: u64) {
        *into += later;
    }

    fn lower(&self, accumulator: &u64) -> u64 {
        *accumulator
    }
}

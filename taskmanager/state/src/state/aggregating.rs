//! One partial aggregate per key.

use std::sync::Arc;

use tidegate_core::Key;

use super::{context::KeyedContext, value::ValueState};
use crate::aggregator::Aggregator;

/// A handle to one partial aggregate per key.
pub struct AggregatingState<A: Aggregator> {
    accumulator: ValueState<A::Acc>,
    aggregator: Arc<A>,
}

impl<A: Aggregator> Clone for AggregatingState<A> {
    fn clone(&self) -> Self {
        Self {
            accumulator: self.accumulator,
            aggregator: self.aggregator.clone(),
        }
    }
}

impl<A: Aggregator> AggregatingState<A> {
    pub(super) fn new(accumulator: ValueState<A::Acc>, aggregator: Arc<A>) -> Self {
        Self {
            accumulator,
            aggregator,
        }
    }

    /// Adds an element to the current key's aggregate.
    pub fn add<K: Key>(&self, context: &mut KeyedContext<'_, K>, element: &A::In) {
        let lifted = self.aggregator.lift(element);
        match self.accumulator.get_mut(context) {
            Some(accumulator) => self.aggregator.combine(accumulator, lifted),
            None => self.accumulator.set(context, lifted),
        }
    }

    /// The current key's result, if it has seen any element.
    pub fn get<K: Key>(&self, context: &mut KeyedContext<'_, K>) -> Option<A::Out> {
        self.accumulator
            .get(context)
            .map(|accumulator| self.aggregator.lower(accumulator))
    }

    /// Removes the current key's aggregate.
    pub fn clear<K: Key>(&self, context: &mut KeyedContext<'_, K>) {
        self.accumulator.clear(context);
    }
}

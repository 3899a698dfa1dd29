//! Incremental aggregation: what an aggregate is made of.

use serde::{Serialize, de::DeserializeOwned};

/// An aggregate over elements, computed one by one.
///
/// `combine` must be associative, and `lift` of an element followed by `combine` must mean the same as having seen the
/// element: that is what lets partial results be made anywhere and merged.
pub trait Aggregator: Send + Sync + 'static {
    /// What is aggregated.
    type In;
    /// A partial result, kept in state.
    type Acc: Serialize + DeserializeOwned + Send + 'static;
    /// The result.
    type Out;

    /// The partial result of one element.
    fn lift(&self, element: &Self::In) -> Self::Acc;

    /// Merges `later` into `into`.
    fn combine(&self, into: &mut Self::Acc, later: Self::Acc);

    /// Turns a partial result into the result.
    fn lower(&self, accumulator: &Self::Acc) -> Self::Out;
}

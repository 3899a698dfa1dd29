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

macro_rules! tuple_aggregators {
    ($(($first:ident $first_index:tt $(, $name:ident $index:tt)+)),*) => {$(
        /// Runs all of them in one pass.
        impl<$first: Aggregator, $($name: Aggregator<In = $first::In>),+> Aggregator for ($first, $($name),+) {
            type In = $first::In;
            type Acc = ($first::Acc, $($name::Acc),+);
            type Out = ($first::Out, $($name::Out),+);

            #[inline]
            fn lift(&self, element: &Self::In) -> Self::Acc {
                (self.$first_index.lift(element), $(self.$index.lift(element)),+)
            }

            #[inline]
            fn combine(&self, into: &mut Self::Acc, later: Self::Acc) {
                self.$first_index.combine(&mut into.$first_index, later.$first_index);
                $(self.$index.combine(&mut into.$index, later.$index);)+
            }

            fn lower(&self, accumulator: &Self::Acc) -> Self::Out {
                (self.$first_index.lower(&accumulator.$first_index), $(self.$index.lower(&accumulator.$index)),+)
            }
        }
    )*};
}

tuple_aggregators! {
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

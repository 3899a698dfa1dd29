//! Built-in aggregators. A tuple of aggregators runs them all in one pass.

mod count;
mod extreme;
mod measure;

pub use count::Count;
pub use extreme::{Max, MaxBy, Min, MinBy};
pub use measure::{Mean, Measure, Sum, Total};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_state::Aggregator;

    use super::*;

    fn run<A: Aggregator>(aggregator: &A, elements: &[A::In], cut: usize) -> Option<A::Out> {
        let part = |elements: &[A::In]| {
            elements
                .iter()
                .map(|element| aggregator.lift(element))
                .reduce(|mut acc, next| {
                    aggregator.combine(&mut acc, next);
                    acc
                })
        };
        let (left, right) = elements.split_at(cut.min(elements.len()));
        let whole = match (part(left), part(right)) {
            (Some(mut left), Some(right)) => {
                aggregator.combine(&mut left, right);
                Some(left)
            }
            (left, right) => left.or(right),
        };
        whole.map(|acc| aggregator.lower(&acc))
    }

    proptest! {
        #[test]
        fn aggregates_equal_their_definition_wherever_they_are_cut(
            elements in prop::collection::vec((-100i64..100, any::<u8>()), 1..40), cut in 0usize..40,
        ) {
            let value = |element: &(i64, u8)| element.0;
            let aggregator = (
                Count::new(), Sum::of(value), Min::of(value), Max::of(value), Mean::of(value),
                (MinBy::key(value), MaxBy::key(value)),
            );
            let values: Vec<i64> = elements.iter().map(value).collect();
            let expected_sum: i64 = values.iter().sum();
            let min = elements.iter().copied().min_by_key(value).unwrap();
            // The earliest of several largest, where the standard library gives the last.
            let max = elements.iter().copied().rev().max_by_key(value).unwrap();
            let mean = expected_sum as f64 / values.len() as f64;
            prop_assert_eq!(
                run(&aggregator, &elements, cut).unwrap(),
                (values.len() as u64, expected_sum, min.0, max.0, mean, (min, max))
            );
        }
    }

    #[test]
    fn what_is_not_there_does_not_count() {
        let mean = Mean::of(|n: &Option<i32>| *n);
        assert_eq!(run(&mean, &[Some(1), None, Some(2)], 1), Some(Some(1.5)));
        assert_eq!(run(&mean, &[None, None], 1), Some(None));
        assert_eq!(
            run(&Sum::of(|n: &Option<f32>| *n), &[None, Some(0.5)], 0),
            Some(0.5)
        );
    }
}

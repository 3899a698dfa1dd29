//! Keeps some records and drops the others.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, Progress, Times,
};

use crate::{
    attempt::{Attempt, attempt_each},
    dead_letter::OnError,
};

/// Keeps the records for which the predicate holds, in place.
pub struct Filter<F> {
    predicate: Arc<F>,
}

impl<F> Filter<F> {
    /// Applies `predicate`, which all tasks share.
    pub fn new(predicate: impl Into<Arc<F>>) -> Self {
        Self {
            predicate: predicate.into(),
        }
    }
}

/// Keeps the records for which `keep` holds, with their times. Hashes go: what follows has its own key.
pub(crate) fn retain<T>(batch: Batch<T>, mut keep: impl FnMut(&T) -> bool) -> Batch<T> {
    let Batch {
        mut records,
        mut times,
        ..
    } = batch;
    if let Times::Each(each) = &mut times {
        let (mut index, mut kept) = (0, 0);
        records.retain(|record| {
            let keep = keep(record);
            if keep {
                each[kept] = each[index];
                kept += 1;
            }
            index += 1;
            keep
        });
        each.truncate(kept);
    } else {
        records.retain(keep);
    }
    Batch {
        records,
        times,
        hashes: None,
    }
}

impl<T, F: Send + Sync> OperatorLifecycle<T> for Filter<F> {}

impl<T, F> Operator<T, T> for Filter<F>
where
    T: 'static,
    F: Fn(&T) -> bool + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let kept = retain(batch, |record| {
            position.advance();
            (self.predicate)(record)
        });
        drop(position);
        if kept.is_empty() {
            kept.recycle();
        } else {
            out.emit_batch(kept);
        }
        Ok(Progress::Done)
    }
}

/// Keeps the records for which the predicate holds; it may also refuse a record.
pub struct TryFilter<F, T> {
    predicate: Arc<F>,
    on_error: OnError<T>,
}

impl<F, T> TryFilter<F, T> {
    /// Applies `predicate`, which all tasks share.
    pub fn new(predicate: impl Into<Arc<F>>, on_error: OnError<T>) -> Self {
        Self {
            predicate: predicate.into(),
            on_error,
        }
    }
}

impl<T, F: Send + Sync> OperatorLifecycle<T> for TryFilter<F, T> {}

impl<T, E, F> Operator<T, T> for TryFilter<F, T>
where
    T: 'static,
    E: Into<BoxError>,
    F: Fn(&T) -> Result<bool, E> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        attempt_each(batch, self.on_error, out, context, |record| {
            match (self.predicate)(&record) {
                Ok(true) => Attempt::Kept(record),
                Ok(false) => Attempt::Dropped,
                Err(cause) => Attempt::Refused(record, cause.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_core::EventTime;

    use super::*;
    use crate::harness::HarnessBuilder;

    proptest! {
        #[test]
        fn a_filter_keeps_records_with_their_own_times(input in prop::collection::vec((0u32..10, prop::option::of(0i64..3)), 0..50)) {
            let mut harness = HarnessBuilder::new("even").one_input(Filter::new(|n: &u32| n.is_multiple_of(2))).unwrap();
            let mut batch = Batch::new();
            for (record, time) in &input {
                batch.push(*record, time.map(EventTime));
            }
            harness.push_batch(batch).unwrap();
            let expected: Vec<_> =
                input.iter().filter(|(n, _)| n % 2 == 0).map(|(n, time)| (*n, time.map(EventTime))).collect();
            prop_assert_eq!(harness.take_timed(), expected);
        }
    }

    #[test]
    fn a_predicate_may_refuse() {
        let predicate = |n: &i32| u32::try_from(*n).map(|n| n > 1);
        let mut harness = HarnessBuilder::new("positive")
            .one_input(TryFilter::new(predicate, OnError::Fail))
            .unwrap();
        harness.push([1, 2, 3]).unwrap();
        assert_eq!(harness.take(), [2, 3]);
        assert!(
            harness
                .push([-1])
                .unwrap_err()
                .to_string()
                .contains("record 3: out of range")
        );
    }
}

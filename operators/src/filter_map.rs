//! Turns some records into others and drops the rest.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, Progress,
};

use crate::{
    attempt::{Attempt, attempt_each},
    dead_letter::OnError,
};

/// Keeps what the function makes of a record, if anything. Event times stay with their records.
pub struct FilterMap<F> {
    function: Arc<F>,
}

impl<F> FilterMap<F> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>) -> Self {
        Self {
            function: function.into(),
        }
    }
}

impl<O, F: Send + Sync> OperatorLifecycle<O> for FilterMap<F> {}

impl<I, O, F> Operator<I, O> for FilterMap<F>
where
    I: 'static,
    F: Fn(I) -> Option<O> + Send + Sync,
{
    fn process(
        &mut self,
        mut batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let function = &*self.function;
        for (index, record) in batch.records.drain(..).enumerate() {
            position.advance();
            if let Some(result) = function(record) {
                out.emit(result, batch.times.get(index));
            }
        }
        drop(position);
        batch.recycle();
        Ok(Progress::Done)
    }
}

/// Keeps what the function makes of a record, if anything; it may also refuse a record.
pub struct TryFilterMap<F, I> {
    function: Arc<F>,
    on_error: OnError<I>,
}

impl<F, I> TryFilterMap<F, I> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>, on_error: OnError<I>) -> Self {
        Self {
            function: function.into(),
            on_error,
        }
    }
}

impl<I, O, F: Send + Sync> OperatorLifecycle<O> for TryFilterMap<F, I> {}

impl<I, O, E, F> Operator<I, O> for TryFilterMap<F, I>
where
    I: 'static,
    E: Into<BoxError>,
    F: Fn(&I) -> Result<Option<O>, E> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        attempt_each(batch, self.on_error, out, context, |record| {
            match (self.function)(&record) {
                Ok(Some(result)) => Attempt::Kept(result),
                Ok(None) => Attempt::Dropped,
                Err(cause) => Attempt::Refused(record, cause.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::EventTime;

    use super::*;
    use crate::harness::HarnessBuilder;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_keeps_its_time(input in prop::collection::vec((0u32..10, prop::option::of(0i64..3)), 0..50)) {
            let halve = |n: u32| n.is_multiple_of(2).then(|| u64::from(n / 2));
            let mut harness = HarnessBuilder::new("halve").one_input(FilterMap::new(halve)).unwrap();
            let mut batch = Batch::new();
            for (record, time) in &input {
                batch.push(*record, time.map(EventTime));
            }
            harness.push_batch(batch).unwrap();
            let expected: Vec<_> =
                input.iter().filter_map(|(n, time)| Some((halve(*n)?, time.map(EventTime)))).collect();
            prop_assert_eq!(harness.take_timed(), expected);
        }
    }

    #[test]
    fn an_error_names_its_record() {
        let parse = |text: &&str| {
            if text.is_empty() {
                Ok(None)
            } else {
                text.parse::<u8>().map(Some)
            }
        };
        let mut harness = HarnessBuilder::new("parse")
            .one_input(TryFilterMap::new(parse, OnError::Fail))
            .unwrap();
        harness.push(["1", "", "2"]).unwrap();
        assert_eq!(harness.take(), [1, 2]);
        assert!(
            harness
                .push(["300"])
                .unwrap_err()
                .to_string()
                .contains("record 3: number too large")
        );
    }
}

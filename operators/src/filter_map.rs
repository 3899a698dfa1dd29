//! Turns some records into others and drops the rest.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, EventTime, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output,
    Progress, Times,
};

use crate::dead_letter::{OnError, Refused};

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
    F: Fn(I) -> Option<O> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let function = &*self.function;
        let mut mapped = Batch::new();
        match batch.times {
            Times::Each(each) => {
                for (record, time) in batch.records.into_iter().zip(each) {
                    position.advance();
                    if let Some(result) = function(record) {
                        // A missing time is kept as the smallest.
                        mapped.push(result, Some(time).filter(|time| *time != EventTime::MIN));
                    }
                }
            }
            same => {
                let kept = batch.records.into_iter().filter_map(|record| {
                    position.advance();
                    function(record)
                });
                mapped.records = kept.collect();
                mapped.times = same;
            }
        }
        drop(position);
        out.emit_batch(mapped);
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
        let mut position = context.position();
        let mut mapped = Batch::new();
        for (index, record) in batch.records.into_iter().enumerate() {
            position.advance();
            let time = batch.times.get(index);
            match (self.function)(&record) {
                Ok(Some(result)) => mapped.push(result, time),
                Ok(None) => {}
                Err(cause) => {
                    let cause = cause.into();
                    let refused = Refused { record, time, cause };
                    self.on_error.handle(refused, &position, out, context)?;
                }
            }
        }
        drop(position);
        out.emit_batch(mapped);
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
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

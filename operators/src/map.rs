//! One record out for each record in.

use std::{alloc::Layout, sync::Arc};

use tidegate_core::{
    Batch, BoxError, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, Progress,
};

use crate::{
    attempt::{Attempt, attempt_each},
    dead_letter::OnError,
};

/// Turns each record into another. Event times stay; where both types have the same layout, so does the allocation.
pub struct Map<F> {
    function: Arc<F>,
}

impl<F> Map<F> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>) -> Self {
        Self {
            function: function.into(),
        }
    }
}

impl<O, F: Send + Sync> OperatorLifecycle<O> for Map<F> {}

impl<I, O, F> Operator<I, O> for Map<F>
where
    I: 'static,
    F: Fn(I) -> O + Send + Sync,
{
    fn process(
        &mut self,
        mut batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let function = &*self.function;
        if Layout::new::<I>() == Layout::new::<O>() {
            // The standard library collects into the vector that the records came in.
            let records = batch.records.into_iter().map(|record| {
                position.advance();
                function(record)
            });
            let mapped = Batch::<O>::with_records(batch.times, records.collect());
            drop(position);
            out.emit_batch(mapped);
        } else {
            for (index, record) in batch.records.drain(..).enumerate() {
                position.advance();
                out.emit(function(record), batch.times.get(index));
            }
            drop(position);
            batch.recycle();
        }
        Ok(Progress::Done)
    }
}

/// Turns each record into another, or refuses it.
///
/// The function sees the record by reference, so that a refused one is whole without having been copied.
pub struct TryMap<F, I> {
    function: Arc<F>,
    on_error: OnError<I>,
}

impl<F, I> TryMap<F, I> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>, on_error: OnError<I>) -> Self {
        Self {
            function: function.into(),
            on_error,
        }
    }
}

impl<I, O, F: Send + Sync> OperatorLifecycle<O> for TryMap<F, I> {}

impl<I, O, E, F> Operator<I, O> for TryMap<F, I>
where
    I: 'static,
    E: Into<BoxError>,
    F: Fn(&I) -> Result<O, E> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        attempt_each(batch, self.on_error, out, context, |record| {
            match (self.function)(&record) {
                Ok(result) => Attempt::Kept(result),
                Err(cause) => Attempt::Refused(record, cause.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{EventTime, OutputTag};

    use super::*;
    use crate::harness::HarnessBuilder;

    #[test]
    fn a_map_keeps_order_and_times() {
        let mut harness = HarnessBuilder::new("double")
            .one_input(Map::new(|n: u32| n * 2))
            .unwrap();
        harness
            .push_timed([(1, EventTime(10)), (2, EventTime(20))])
            .unwrap();
        assert_eq!(
            harness.take_timed(),
            [(2, Some(EventTime(10))), (4, Some(EventTime(20)))]
        );
    }

    #[test]
    fn a_map_to_the_same_layout_reuses_the_allocation() {
        let mut harness = HarnessBuilder::new("negate")
            .one_input(Map::new(|n: u64| !n))
            .unwrap();
        let records: Vec<u64> = (0..1000).collect();
        let before = records.as_ptr();
        harness.push_batch(records.into()).unwrap();
        assert_eq!(harness.take_batches()[0].records.as_ptr(), before);
    }

    #[test]
    fn a_refused_record_fails_the_task_with_its_position() {
        let parse = |text: &&str| text.parse::<u32>();
        let mut harness = HarnessBuilder::new("parse")
            .one_input(TryMap::new(parse, OnError::Fail))
            .unwrap();
        harness.push(["1", "2"]).unwrap();
        let error = harness.push(["3", "four"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "operator \"parse\": record 3: invalid digit found in string"
        );
    }

    #[test]
    fn a_refused_record_goes_to_the_dead_letters() {
        const DEAD: OutputTag<DeadLetterOf> = OutputTag::new(1);
        type DeadLetterOf = crate::DeadLetter<&'static str>;
        let parse = |text: &&str| text.parse::<u32>();
        let mut harness = HarnessBuilder::new("parse")
            .side(DEAD)
            .one_input(TryMap::new(parse, OnError::DeadLetter(DEAD)))
            .unwrap();
        harness
            .push_timed([("1", EventTime(1)), ("x", EventTime(2)), ("3", EventTime(3))])
            .unwrap();
        assert_eq!(
            harness.take_timed(),
            [(1, Some(EventTime(1))), (3, Some(EventTime(3)))]
        );
        let letters = harness.take_side(DEAD);
        assert_eq!(letters.len(), 1);
        assert_eq!(
            (letters[0].record, letters[0].position, letters[0].time),
            ("x", 1, Some(EventTime(2)))
        );
        assert_eq!(letters[0].operator, "parse");
    }

    #[test]
    fn a_panic_names_operator_and_record() {
        let mut harness = HarnessBuilder::new("divide")
            .one_input(Map::new(|n: u32| 10 / n))
            .unwrap();
        harness.push([5, 2]).unwrap();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            harness.push([1, 1, 0, 1]).is_ok()
        }));
        assert!(unwound.is_err());
        let (operator, position) = harness.probe().take_panicked().expect("the panic has been noted");
        assert_eq!((operator.as_str(), position), ("divide", 4));
    }
}

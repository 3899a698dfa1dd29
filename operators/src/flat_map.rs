//! Any number of records out for each record in, in steps.

use std::sync::Arc;

use tidegate_core::{
    Batch, BoxError, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, Position, Progress,
    Times,
};

use crate::dead_letter::{OnError, Refused};

/// A batch in the middle of being expanded.
struct Expansion<I, R> {
    records: std::vec::IntoIter<I>,
    times: Times,
    /// How many records have been taken from `records`.
    taken: usize,
    /// The position of the batch's first record.
    base: u64,
    /// What the last record taken still has to give.
    current: Option<R>,
}

impl<I, R: Iterator> Expansion<I, R> {
    fn new(batch: Batch<I>, context: &OperatorContext) -> Self {
        Self {
            records: batch.records.into_iter(),
            times: batch.times,
            taken: 0,
            base: context.position().absolute(),
            current: None,
        }
    }

    /// Expands until everything is emitted or `out` is full. `open` gives the results of a record.
    fn step(
        &mut self,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
        mut open: impl FnMut(
            I,
            usize,
            &Times,
            &Position<'_>,
            &mut Output<R::Item>,
        ) -> Result<Option<R>, OperatorError>,
    ) -> Result<Progress, OperatorError> {
        // The record at hand, if any, is the last one taken.
        let mut position = context.position_from(self.base + self.taken.saturating_sub(1) as u64);
        if self.taken > 0 {
            position.advance();
        }
        loop {
            if let Some(results) = &mut self.current {
                let time = self.times.get(self.taken - 1);
                for result in results {
                    out.emit(result, time);
                    if out.is_full() {
                        return Ok(Progress::More);
                    }
                }
                self.current = None;
            }
            let Some(record) = self.records.next() else {
                return Ok(Progress::Done);
            };
            position.advance();
            self.taken += 1;
            self.current = open(record, self.taken - 1, &self.times, &position, out)?;
        }
    }
}

/// Emits whatever an iterator made of each record gives, each with the record's event time. When the output is full
/// the iterator waits, half-way, so it is bounded only by itself: a record may give a billion others.
pub struct FlatMap<F, I, R: IntoIterator> {
    function: Arc<F>,
    pending: Option<Expansion<I, R::IntoIter>>,
}

impl<F, I, R: IntoIterator> FlatMap<F, I, R>
where
    F: Fn(I) -> R,
{
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>) -> Self {
        Self {
            function: function.into(),
            pending: None,
        }
    }

    fn advance(
        &mut self,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let Some(pending) = &mut self.pending else {
            return Ok(Progress::Done);
        };
        let progress = pending.step(out, context, |record, _, _, _, _| {
            Ok(Some((self.function)(record).into_iter()))
        })?;
        if progress == Progress::Done {
            self.pending = None;
        }
        Ok(progress)
    }
}

impl<I, R, F> OperatorLifecycle<R::Item> for FlatMap<F, I, R>
where
    I: Send,
    R: IntoIterator<IntoIter: Send>,
    F: Fn(I) -> R + Send + Sync,
{
    fn resume(
        &mut self,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }
}

impl<I, R, F> Operator<I, R::Item> for FlatMap<F, I, R>
where
    I: Send,
    R: IntoIterator<IntoIter: Send>,
    F: Fn(I) -> R + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Some(Expansion::new(batch, context));
        self.advance(out, context)
    }
}

/// Like [`FlatMap`], with a function that sees the record by reference and may refuse it.
pub struct TryFlatMap<F, I, R: IntoIterator> {
    function: Arc<F>,
    on_error: OnError<I>,
    pending: Option<Expansion<I, R::IntoIter>>,
}

impl<F, I, R: IntoIterator> TryFlatMap<F, I, R> {
    /// Applies `function`, which all tasks share.
    pub fn new(function: impl Into<Arc<F>>, on_error: OnError<I>) -> Self {
        Self {
            function: function.into(),
            on_error,
            pending: None,
        }
    }
}

impl<I, R, E, F> TryFlatMap<F, I, R>
where
    I: 'static,
    R: IntoIterator,
    E: Into<BoxError>,
    F: Fn(&I) -> Result<R, E>,
{
    fn advance(
        &mut self,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let Some(pending) = &mut self.pending else {
            return Ok(Progress::Done);
        };
        let progress = pending.step(out, context, |record, index, times, position, out| {
            match (self.function)(&record) {
                Ok(results) => Ok(Some(results.into_iter())),
                Err(cause) => {
                    let refused = Refused {
                        record,
                        time: times.get(index),
                        cause: cause.into(),
                    };
                    self.on_error
                        .handle(refused, position, out, context)
                        .map(|()| None)
                }
            }
        })?;
        if progress == Progress::Done {
            self.pending = None;
        }
        Ok(progress)
    }
}

impl<I, R, E, F> OperatorLifecycle<R::Item> for TryFlatMap<F, I, R>
where
    I: Send + 'static,
    R: IntoIterator<IntoIter: Send>,
    E: Into<BoxError>,
    F: Fn(&I) -> Result<R, E> + Send + Sync,
{
    fn resume(
        &mut self,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }
}

impl<I, R, E, F> Operator<I, R::Item> for TryFlatMap<F, I, R>
where
    I: Send + 'static,
    R: IntoIterator<IntoIter: Send>,
    E: Into<BoxError>,
    F: Fn(&I) -> Result<R, E> + Send + Sync,
{
    fn process(
        &mut self,
        batch: Batch<I>,
        out: &mut Output<R::Item>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Some(Expansion::new(batch, context));
        self.advance(out, context)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{EventTime, OutputTag};

    use super::*;
    use crate::{DeadLetter, harness::HarnessBuilder};

    #[test]
    fn every_result_has_its_records_time() {
        let mut harness = HarnessBuilder::new("count-up")
            .one_input(FlatMap::new(|n: u32| 0..n))
            .unwrap();
        harness
            .push_timed([(2, EventTime(20)), (0, EventTime(0)), (1, EventTime(10))])
            .unwrap();
        let expected = [
            (0, Some(EventTime(20))),
            (1, Some(EventTime(20))),
            (0, Some(EventTime(10))),
        ];
        assert_eq!(harness.take_timed(), expected);
    }

    #[test]
    fn a_record_that_gives_very_many_is_expanded_in_steps() {
        let mut harness = HarnessBuilder::new("many")
            .room(4096)
            .one_input(FlatMap::new(|n: u64| 0..n))
            .unwrap();
        harness.push_batch(vec![100_000, 3].into()).unwrap();
        assert!(!harness.is_ready());
        assert!(harness.collected() <= 8192, "{}", harness.collected());
        harness.settle().unwrap();
        let expected: Vec<u64> = (0..100_000).chain(0..3).collect();
        assert_eq!(harness.take(), expected);
    }

    #[test]
    fn a_panic_in_a_resumed_iterator_names_its_record() {
        let poison = |n: u64| (0..n).inspect(|i| assert!(*i < 9_000, "poison"));
        let mut harness = HarnessBuilder::new("poisoned")
            .room(1024)
            .one_input(FlatMap::new(poison))
            .unwrap();
        harness.push_batch(vec![10, 10_000, 5].into()).unwrap();
        assert!(!harness.is_ready());
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| harness.settle().is_ok()));
        assert!(unwound.is_err());
        assert_eq!(
            harness.probe().take_panicked().map(|(_, position)| position),
            Some(1)
        );
    }

    #[test]
    fn a_refused_record_is_skipped_with_its_position() {
        const DEAD: OutputTag<DeadLetter<i64>> = OutputTag::new(1);
        let expand = |n: &i64| u64::try_from(*n).map(|n| 0..n);
        let mut harness = HarnessBuilder::new("expand")
            .side(DEAD)
            .one_input(TryFlatMap::new(expand, OnError::DeadLetter(DEAD)))
            .unwrap();
        harness.push([1, -1, 2]).unwrap();
        assert_eq!(harness.take(), [0, 0, 1]);
        let letters = harness.take_side(DEAD);
        assert_eq!(
            letters.iter().map(|l| (l.record, l.position)).collect::<Vec<_>>(),
            [(-1, 1)]
        );
    }
}

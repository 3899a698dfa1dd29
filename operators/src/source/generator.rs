//! Makes records from a seed and a sequence number.

use std::{sync::Arc, task::Waker, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Batch, EventTime, OperatorContext, OperatorError, Output, ProcessingTime,
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
    target_records,
};

use super::{decode_split, encode_split};

/// Emits `function(seed, sequence)` for the sequences 0, 1, 2, …, spread over all tasks.
///
/// The function has to be deterministic: after a restart it is asked again for what came after the snapshot. At the
/// first start there is one split per task; split *i* of *n* has the sequences *i*, *i + n*, *i + 2n*, …
///
/// With a [rate](Self::rate), sequence *s* is due *s / rate* after the start, whether or not those before it could be
/// emitted in time (an open-loop schedule), and its due time is its event time. A restart takes up the schedule at the
/// restored sequence, it does not make up for the time in between.
pub struct GeneratorSource<F> {
    function: Arc<F>,
    seed: u64,
    count: Option<u64>,
    per_second: Option<u64>,
}

impl<F> GeneratorSource<F> {
    /// Generates without end and as fast as possible, with seed 0.
    pub fn new<T>(function: F) -> Self
    where
        F: Fn(u64, u64) -> T + Send + Sync + 'static,
    {
        Self {
            function: Arc::new(function),
            seed: 0,
            count: None,
            per_second: None,
        }
    }

    /// The seed that the function is given.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Ends after so many records in all.
    #[must_use]
    pub fn count(mut self, records: u64) -> Self {
        self.count = Some(records);
        self
    }

    /// Emits so many records per second in all. 0 counts as 1.
    #[must_use]
    pub fn rate(mut self, records_per_second: u64) -> Self {
        self.per_second = Some(records_per_second.max(1));
        self
    }
}

/// A split: every `stride`-th sequence.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Progress {
    next: u64,
    stride: u64,
}

impl<T, F> Source<T> for GeneratorSource<F>
where
    T: Send + 'static,
    F: Fn(u64, u64) -> T + Send + Sync + 'static,
{
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        let stride = u64::from(parallelism.max(1));
        (0..parallelism.max(1))
            .map(|index| {
                let next = u64::from(index);
                encode_split(index, &Progress { next, stride })
            })
            .collect()
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        Ok(Box::new(Reader {
            function: Arc::clone(&self.function),
            seed: self.seed,
            end: self.count.unwrap_or(u64::MAX),
            per_second: self.per_second,
            splits: Vec::new(),
        }))
    }
}

struct Reader<F> {
    function: Arc<F>,
    seed: u64,
    end: u64,
    per_second: Option<u64>,
    splits: Vec<Reading>,
}

struct Reading {
    index: u32,
    progress: Progress,
    /// When sequence 0 was, or would have been, due.
    schedule: Option<ProcessingTime>,
}

/// The time from the start until a sequence is due.
fn offset(sequence: u64, per_second: u64) -> Duration {
    let millis = u128::from(sequence) * 1000 / u128::from(per_second);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

impl Reading {
    /// When the next sequence is due.
    fn due(&mut self, per_second: u64, now: ProcessingTime) -> ProcessingTime {
        let offset = offset(self.progress.next, per_second);
        let schedule = self.schedule.get_or_insert_with(|| {
            let millis = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
            // At a fresh start each split's first sequences are due one after the other, not all at once.
            let elapsed = if self.progress.next < self.progress.stride {
                0
            } else {
                millis
            };
            ProcessingTime(now.0.saturating_sub(elapsed))
        });
        schedule.after(offset)
    }
}

impl<F> Reader<F> {
    /// Emits what a split has to give now, up to `limit` records.
    fn read<T: 'static>(
        &mut self,
        split: usize,
        limit: usize,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> SourceStatus
    where
        F: Fn(u64, u64) -> T,
    {
        let (end, seed, now) = (self.end, self.seed, context.now());
        let Some(split) = self.splits.get_mut(split) else {
            return SourceStatus::Finished;
        };
        out.mark(SplitMark::Reading(split.index));
        let mut status = SourceStatus::More;
        let mut position = context.position();
        let mut batch = Batch::roomy();
        while batch.len() < limit {
            if split.progress.next >= end {
                status = SourceStatus::Finished;
                break;
            }
            let time = match self.per_second {
                None => None,
                Some(per_second) => {
                    let due = split.due(per_second, now);
                    if due > now {
                        status = SourceStatus::Until(due);
                        break;
                    }
                    Some(EventTime(due.0))
                }
            };
            position.advance();
            let record = (self.function)(seed, split.progress.next);
            match time {
                Some(_) => batch.push(record, time),
                // Without a rate no record has a time, so there are no times to keep.
                None => batch.records.push(record),
            }
            split.progress.next = split.progress.next.saturating_add(split.progress.stride);
        }
        drop(position);
        context.add_received(batch.len());
        out.emit_batch(batch);
        if status == SourceStatus::Finished {
            out.mark(SplitMark::Ended(split.index));
        }
        status
    }
}

impl<T, F> SourceReader<T> for Reader<F>
where
    T: 'static,
    F: Fn(u64, u64) -> T + Send + Sync,
{
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let progress = decode_split(&split)?;
            self.splits.push(Reading {
                index: split.index,
                progress,
                schedule: None,
            });
        }
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let limit = (target_records::<T>() / self.splits.len().max(1)).max(1);
        let mut status = SourceStatus::Finished;
        for split in 0..self.splits.len() {
            status = sooner(status, self.read(split, limit, out, context));
        }
        Ok(status)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.splits
            .iter()
            .map(|split| encode_split(split.index, &split.progress))
            .collect()
    }
}

/// The status of two splits together.
fn sooner(a: SourceStatus, b: SourceStatus) -> SourceStatus {
    match (a, b) {
        (SourceStatus::Finished, other) | (other, SourceStatus::Finished) => other,
        (SourceStatus::Until(a), SourceStatus::Until(b)) => SourceStatus::Until(a.min(b)),
        _ => SourceStatus::More,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness::SourceHarness;

    fn pair(seed: u64, sequence: u64) -> (u64, u64) {
        (seed, sequence)
    }

    proptest! {
        #[test]
        fn all_sequences_come_once_whatever_the_tasks(
            count in 0u64..5000, before in 1u32..5, after in 1u32..5, polls in 0usize..4,
        ) {
            let source = GeneratorSource::new(pair).seed(7).count(count);
            let splits = Source::<(u64, u64)>::discover(&source, before).unwrap();
            let (mut emitted, mut snapshot) = (Vec::new(), Vec::new());
            for index in 0..before {
                let mut task = SourceHarness::with_splits(&source, splits.clone(), index, before).unwrap();
                (0..polls).for_each(|_| { task.poll().unwrap(); });
                emitted.extend(task.take());
                snapshot.extend(task.snapshot().unwrap());
            }
            for index in 0..after {
                let mut task = SourceHarness::with_splits(&source, snapshot.clone(), index, after).unwrap();
                prop_assert_eq!(task.run().unwrap(), SourceStatus::Finished);
                emitted.extend(task.take());
            }
            emitted.sort_unstable();
            prop_assert_eq!(emitted, (0..count).map(|sequence| (7, sequence)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_rate_is_an_open_loop_schedule() {
        let source = GeneratorSource::new(pair).rate(1000);
        let mut harness = SourceHarness::new(&source).unwrap();
        assert_eq!(harness.poll().unwrap(), SourceStatus::Until(ProcessingTime(1)));
        assert_eq!(harness.take().len(), 1);
        // A pause of half a second is made up for at once.
        harness.set_processing_time(ProcessingTime(500));
        assert_eq!(harness.run().unwrap(), SourceStatus::Until(ProcessingTime(501)));
        assert_eq!(harness.take().len(), 500);
    }

    #[test]
    fn a_restart_does_not_make_up_for_the_outage() {
        let source = GeneratorSource::new(pair).rate(1000);
        let mut harness = SourceHarness::new(&source).unwrap();
        harness.set_processing_time(ProcessingTime(0));
        harness.run().unwrap();
        harness.set_processing_time(ProcessingTime(10));
        harness.run().unwrap();
        let splits = harness.snapshot().unwrap();
        let mut restored = SourceHarness::with_splits(&source, splits, 0, 1).unwrap();
        restored.set_processing_time(ProcessingTime(1_000_000));
        assert_eq!(
            restored.run().unwrap(),
            SourceStatus::Until(ProcessingTime(1_000_001))
        );
        assert_eq!(restored.take(), [(0, 11)]);
    }
}

//! Reads from an iterator that can be made anew.

use std::{sync::Arc, task::Waker};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Batch, OperatorContext, OperatorError, Output,
    source::{Source, SourceReader, SourceStatus, Split, SplitMark},
    target_records,
};

use super::{decode_split, encode_split};

/// How many records one poll skips on the way to a restored position.
const SKIP_STEP: u64 = 64 * 1024;

/// Emits what an iterator gives, in one task and in order.
///
/// The position is the number of records emitted; after a restart a new iterator is made and that many records are
/// skipped, so the function has to give the same records every time.
pub struct IteratorSource<F> {
    make: Arc<F>,
}

impl<F> IteratorSource<F> {
    /// Reads from the iterator that `make` gives.
    pub fn new<R>(make: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: IntoIterator,
    {
        Self { make: Arc::new(make) }
    }
}

/// How far an iterator has been read.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Progress {
    emitted: u64,
    finished: bool,
}

impl<T, R, F> Source<T> for IteratorSource<F>
where
    T: Send + 'static,
    R: IntoIterator<Item = T, IntoIter: Send + 'static>,
    F: Fn() -> R + Send + Sync + 'static,
{
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok(vec![encode_split(0, &Progress::default())?])
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        let make = Arc::clone(&self.make);
        Ok(Box::new(Reader {
            make: Box::new(move || make().into_iter()),
            splits: Vec::new(),
        }))
    }
}

struct Reader<I> {
    make: Box<dyn Fn() -> I + Send>,
    splits: Vec<Reading<I>>,
}

struct Reading<I> {
    index: u32,
    progress: Progress,
    iterator: I,
    /// What is still to be skipped to come to the restored position.
    skip: u64,
}

impl<I: Iterator<Item: 'static>> Reading<I> {
    fn poll(&mut self, out: &mut Output<I::Item>, context: &OperatorContext) -> SourceStatus {
        if self.skip > 0 {
            let step = self.skip.min(SKIP_STEP);
            self.skip -= step;
            // An iterator that has become shorter ends below.
            self.iterator.by_ref().take(step as usize).for_each(drop);
            return SourceStatus::More;
        }
        out.mark(SplitMark::Reading(self.index));
        let mut position = context.position();
        let limit = target_records::<I::Item>();
        let mut batch = Batch::roomy();
        while batch.len() < limit {
            position.advance();
            match self.iterator.next() {
                Some(record) => batch.records.push(record),
                None => {
                    self.progress.finished = true;
                    break;
                }
            }
        }
        drop(position);
        self.progress.emitted += batch.len() as u64;
        context.add_received(batch.len());
        out.emit_batch(batch);
        if self.progress.finished {
            out.mark(SplitMark::Ended(self.index));
            SourceStatus::Finished
        } else {
            SourceStatus::More
        }
    }
}

impl<I: Iterator<Item: 'static> + Send> SourceReader<I::Item> for Reader<I> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let progress: Progress = decode_split(&split)?;
            self.splits.push(Reading {
                index: split.index,
                progress,
                iterator: (self.make)(),
                skip: progress.emitted,
            });
        }
        Ok(())
    }

    fn poll(
        &mut self,
        _waker: &Waker,
        out: &mut Output<I::Item>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let unread = self.splits.iter_mut().find(|split| !split.progress.finished);
        Ok(match unread {
            Some(split) => match split.poll(out, context) {
                // Another split may be left.
                SourceStatus::Finished => SourceStatus::More,
                status => status,
            },
            None => SourceStatus::Finished,
        })
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.splits
            .iter()
            .map(|split| encode_split(split.index, &split.progress))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::SourceHarness;

    #[test]
    fn it_emits_everything_in_order() {
        let source = IteratorSource::new(|| 0..5000u32);
        let mut harness = SourceHarness::new(&source).unwrap();
        assert_eq!(harness.run().unwrap(), SourceStatus::Finished);
        assert_eq!(harness.take(), Vec::from_iter(0..5000));
    }

    #[test]
    fn a_restart_goes_on_where_the_snapshot_was() {
        let source = IteratorSource::new(|| 0..200_000u32);
        let mut harness = SourceHarness::new(&source).unwrap();
        let mut emitted = Vec::new();
        while emitted.len() < 100_000 {
            harness.poll().unwrap();
            emitted.extend(harness.take());
        }
        let splits = harness.snapshot().unwrap();
        harness.poll().unwrap();
        let mut restored = SourceHarness::with_splits(&source, splits, 0, 1).unwrap();
        restored.run().unwrap();
        emitted.extend(restored.take());
        assert_eq!(emitted, Vec::from_iter(0..200_000));
    }

    #[test]
    fn a_finished_source_stays_finished() {
        let source = IteratorSource::new(|| 0..3u32);
        let mut harness = SourceHarness::new(&source).unwrap();
        harness.run().unwrap();
        let splits = harness.snapshot().unwrap();
        let mut restored = SourceHarness::with_splits(&source, splits, 0, 1).unwrap();
        assert_eq!(restored.poll().unwrap(), SourceStatus::Finished);
        assert!(restored.take().is_empty());
    }

    #[test]
    fn a_corrupt_position_is_an_error() {
        let source = IteratorSource::new(|| 0..3u32);
        let split = Split {
            index: 0,
            state: vec![0xff; 11],
        };
        let error = SourceHarness::<u32>::with_splits(&source, vec![split], 0, 1)
            .err()
            .unwrap();
        assert!(
            error.to_string().starts_with("state \"split 0\" is corrupt"),
            "{error}"
        );
    }
}

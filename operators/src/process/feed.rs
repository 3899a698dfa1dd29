//! A batch that is being worked through record by record, possibly in several steps.

use tidegate_core::{Batch, EventTime, KeySelector, OperatorContext, Times, recycle, recycle_iterator};

use crate::keyed::hashes;

/// The rest of a batch.
pub struct Feed<T> {
    records: std::vec::IntoIter<T>,
    hashes: Vec<u64>,
    times: Times,
    taken: usize,
    /// The position of the batch's first record.
    base: u64,
}

/// A record on its way into a function.
pub struct Fed<T> {
    pub(super) record: T,
    pub(super) time: Option<EventTime>,
    /// The hash of its key; 0 where there is no key.
    pub(super) hash: u64,
    pub(super) position: u64,
}

impl<T> Feed<T> {
    /// The records of a batch with the hashes of their keys.
    pub(super) fn keyed<S: KeySelector<T>>(
        mut batch: Batch<T>,
        selector: &S,
        context: &OperatorContext,
    ) -> Self {
        let hashes = hashes(&mut batch, selector);
        Self {
            hashes,
            ..Self::plain(batch, context)
        }
    }

    /// The records of a batch without keys.
    pub(super) fn plain(batch: Batch<T>, context: &OperatorContext) -> Self {
        Self {
            records: batch.records.into_iter(),
            hashes: Vec::new(),
            times: batch.times,
            taken: 0,
            base: context.position().absolute(),
        }
    }
}

impl<T: 'static> Feed<T> {
    /// Everything has been given: the vectors serve again.
    fn recycle(&mut self) {
        recycle_iterator(std::mem::take(&mut self.records));
        recycle(std::mem::take(&mut self.hashes));
        std::mem::take(&mut self.times).recycle();
    }
}

impl<T: 'static> Iterator for Feed<T> {
    type Item = Fed<T>;

    #[inline]
    fn next(&mut self) -> Option<Fed<T>> {
        let Some(record) = self.records.next() else {
            self.recycle();
            return None;
        };
        let index = self.taken;
        self.taken += 1;
        Some(Fed {
            record,
            time: self.times.get(index),
            hash: self.hashes.get(index).copied().unwrap_or(0),
            position: self.base + index as u64,
        })
    }
}

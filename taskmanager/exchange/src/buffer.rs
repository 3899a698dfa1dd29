//! Records on their way into a channel, gathered until they are worth handing over.

use tidegate_core::{Batch, EventTime, Times, target_records};

/// A batch in the making.
pub(crate) struct Buffer<T> {
    records: Vec<T>,
    times: Times,
    hashes: Vec<u64>,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            times: Times::None,
            hashes: Vec::new(),
        }
    }
}

impl<T> Buffer<T> {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.records.capacity() > 0
    }

    /// Makes room for a whole batch at once, in vectors used before if there are any.
    pub(crate) fn prepare(&mut self, spare: Option<Batch<T>>, keyed: bool) {
        if let Some(spare) = spare {
            self.records = spare.records;
            self.hashes = spare.hashes.unwrap_or_default();
        }
        let target = target_records::<T>();
        self.records.reserve(target);
        if keyed {
            self.hashes.reserve(target);
        }
    }

    /// Appends a record without an event time, beside others that may have one.
    #[inline]
    pub(crate) fn push(&mut self, record: T, hash: u64) {
        if !matches!(self.times, Times::None) {
            self.times.push(None, self.records.len());
        }
        self.records.push(record);
        self.hashes.push(hash);
    }

    #[inline]
    pub(crate) fn push_timed(&mut self, record: T, time: Option<EventTime>, hash: u64) {
        self.times.push(time, self.records.len());
        self.records.push(record);
        self.hashes.push(hash);
    }

    /// Appends all records of a batch.
    pub(crate) fn append(&mut self, mut batch: Batch<T>) {
        let before = self.records.len();
        match (&self.times, &batch.times) {
            (Times::None, Times::None) => {}
            _ => (0..batch.len()).for_each(|index| self.times.push(batch.time(index), before + index)),
        }
        if let Some(hashes) = &mut batch.hashes {
            self.hashes.append(hashes);
        }
        self.records.append(&mut batch.records);
    }

    /// Begins with a whole batch, as it is.
    pub(crate) fn adopt(&mut self, batch: Batch<T>) {
        self.records = batch.records;
        self.times = batch.times;
        self.hashes = batch.hashes.unwrap_or_default();
    }

    /// The batch made so far.
    pub(crate) fn take(&mut self, keyed: bool) -> Batch<T> {
        let hashes = std::mem::take(&mut self.hashes);
        Batch {
            records: std::mem::take(&mut self.records),
            times: std::mem::take(&mut self.times),
            hashes: keyed.then_some(hashes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_with_and_without_times_gather_in_one_buffer() {
        let mut buffer = Buffer::default();
        buffer.push_timed('a', Some(EventTime(1)), 0);
        buffer.push('b', 0);
        buffer.push_timed('c', Some(EventTime(3)), 0);
        buffer.append(vec!['d'].into());
        let batch = buffer.take(false);
        let times: Vec<_> = (0..4).map(|index| batch.time(index)).collect();
        assert_eq!(times, [Some(EventTime(1)), None, Some(EventTime(3)), None]);
    }
}

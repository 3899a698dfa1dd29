//! The unit of everything on the record path: a run of records with their times and key hashes.

use crate::time::EventTime;

/// How many records a batch gathers before it is handed on, unless they are large.
pub const TARGET_RECORDS: usize = 1024;

/// The size of records, in memory, that a batch should hold: what the first cache holds, so that the next operator finds
/// there what the one before has left.
const TARGET_BYTES: usize = 32 * 1024;

/// Even large records share the cost of handing over.
const MIN_RECORDS: usize = 32;

/// How many records of type `T` make a batch: [`TARGET_RECORDS`], or about 32 KiB of them, whichever is less.
pub const fn target_records<T>() -> usize {
    let size = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
    let records = TARGET_BYTES / size;
    if records > TARGET_RECORDS {
        TARGET_RECORDS
    } else if records < MIN_RECORDS {
        MIN_RECORDS
    } else {
        records
    }
}

/// The event times of a batch's records.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Times {
    /// The records carry no event time.
    #[default]
    None,
    /// All records carry the same event time.
    All(EventTime),
    /// One event time per record, in their order.
    Each(Vec<EventTime>),
}

/// A run of records in the order in which their producer emitted them.
///
/// `hashes`, where present, holds one key hash per record, computed once at the keyed edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// The records.
    pub records: Vec<T>,
    /// Their event times.
    pub times: Times,
    /// Their key hashes, on keyed edges.
    pub hashes: Option<Vec<u64>>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<Vec<T>> for Batch<T> {
    fn from(records: Vec<T>) -> Self {
        Self {
            records,
            times: Times::None,
            hashes: None,
        }
    }
}

impl<T> Batch<T> {
    /// An empty batch that has allocated nothing.
    pub fn new() -> Self {
        Self::from(Vec::new())
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The event time of record `index`.
    pub fn time(&self, index: usize) -> Option<EventTime> {
        self.times.get(index)
    }

    /// Appends a record without a hash.
    pub fn push(&mut self, record: T, time: Option<EventTime>) {
        debug_assert!(
            self.hashes.is_none(),
            "a keyed batch takes its records through push_keyed"
        );
        self.times.push(time, self.records.len());
        self.records.push(record);
    }

    /// Appends a record with its key hash. All records of the batch must have one.
    pub fn push_keyed(&mut self, record: T, time: Option<EventTime>, hash: u64) {
        self.times.push(time, self.records.len());
        self.records.push(record);
        self.hashes.get_or_insert_default().push(hash);
    }

    /// Keeps times (record by record the same) and gives the batch other records: what a one-to-one operator does.
    ///
    /// # Panics
    /// If the number of records differs.
    pub fn with_records<U>(times: Times, records: Vec<U>) -> Batch<U> {
        if let Times::Each(each) = &times {
            assert_eq!(
                each.len(),
                records.len(),
                "a one-to-one operator keeps the number of records"
            );
        }
        Batch {
            records,
            times,
            hashes: None,
        }
    }
}

impl Times {
    /// The event time of record `index`.
    pub fn get(&self, index: usize) -> Option<EventTime> {
        match self {
            Self::None => None,
            Self::All(time) => Some(*time),
            Self::Each(times) => times.get(index).copied().filter(|time| *time != EventTime::MIN),
        }
    }

    /// Adds the time of the record that follows `count` others. A missing time beside present ones is kept as
    /// [`EventTime::MIN`] and read back as missing.
    pub fn push(&mut self, time: Option<EventTime>, count: usize) {
        match (&mut *self, time) {
            (Self::None, None) => {}
            (Self::None, Some(time)) if count == 0 => *self = Self::All(time),
            (Self::All(all), Some(time)) if *all == time && count > 0 => {}
            (Self::Each(each), time) => each.push(time.unwrap_or(EventTime::MIN)),
            (Self::None | Self::All(_), time) => {
                let before = self.get(0).unwrap_or(EventTime::MIN);
                let mut each = Vec::with_capacity(TARGET_RECORDS.max(count + 1));
                each.resize(count, before);
                each.push(time.unwrap_or(EventTime::MIN));
                *self = Self::Each(each);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_compact_while_they_agree() {
        let mut batch = Batch::new();
        batch.push('a', Some(EventTime(5)));
        batch.push('b', Some(EventTime(5)));
        assert_eq!(batch.times, Times::All(EventTime(5)));
        batch.push('c', Some(EventTime(6)));
        batch.push('d', None);
        assert_eq!(
            (0..4).map(|i| batch.time(i)).collect::<Vec<_>>(),
            [Some(EventTime(5)), Some(EventTime(5)), Some(EventTime(6)), None]
        );
    }

    #[test]
    fn batches_of_large_records_are_short() {
        assert_eq!(target_records::<()>(), TARGET_RECORDS);
        assert_eq!(target_records::<(u64, u64)>(), TARGET_RECORDS);
        assert_eq!(target_records::<[u64; 16]>(), 256);
        assert_eq!(target_records::<[u64; 4096]>(), MIN_RECORDS);
    }

    #[test]
    fn a_time_after_untimed_records_leaves_them_untimed() {
        let mut batch = Batch::new();
        batch.push(1, None);
        batch.push(2, Some(EventTime(1)));
        assert_eq!((batch.time(0), batch.time(1)), (None, Some(EventTime(1))));
    }
}

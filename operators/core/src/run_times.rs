//! How long the runs of a task took, in buckets.

use std::time::Duration;

use crate::metrics::Counter;

/// A histogram of run times, written by the task's thread and read by any. A run should stay within 200 µs: while it
/// lasts no other task of its thread gets a turn.
#[derive(Debug, Default)]
pub struct RunTimes {
    counts: [Counter; Self::BOUNDS.len() + 1],
}

impl RunTimes {
    /// The upper bounds of the buckets; one more bucket is open.
    pub const BOUNDS: [Duration; 5] = [
        Duration::from_micros(200),
        Duration::from_millis(1),
        Duration::from_millis(10),
        Duration::from_millis(100),
        Duration::from_secs(1),
    ];

    /// Counts a run.
    #[inline]
    pub fn record(&self, nanos: u64) {
        let took = Duration::from_nanos(nanos);
        let place = Self::BOUNDS.partition_point(|bound| *bound < took);
        self.counts[place].add(1);
    }

    /// How many runs fell in each bucket, shortest first.
    pub fn counts(&self) -> [u64; Self::BOUNDS.len() + 1] {
        std::array::from_fn(|place| self.counts[place].get())
    }

    /// How many runs took longer than a bucket's upper bound.
    pub fn longer_than(&self, bound: Duration) -> u64 {
        let first = Self::BOUNDS.partition_point(|other| *other <= bound);
        self.counts().iter().skip(first).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let times = RunTimes::default();
        for micros in [0, 200, 201, 1_000, 9_999, 10_000, 10_001, 100_001, 1_000_001] {
            times.record(micros * 1_000);
        }
        assert_eq!(times.counts(), [2, 2, 2, 1, 1, 1]);
        assert_eq!(times.longer_than(Duration::from_millis(10)), 3);
        assert_eq!(times.longer_than(Duration::from_secs(1)), 1);
    }
}

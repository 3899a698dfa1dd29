//! Counters that live where they are measured and are read from elsewhere.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::id::OperatorUid;

/// A value written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only its owner calls this, so a plain read and write are enough.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one task measures about itself.
#[derive(Debug, Default)]
pub struct TaskMetrics {
    /// Records received from channels, or produced by the source.
    pub records_in: Counter,
    /// Records sent to channels or written to sinks.
    pub records_out: Counter,
    /// Nanoseconds spent running.
    pub busy_ns: Counter,
    /// Nanoseconds in which the task could not run because an output had no room.
    pub backpressured_ns: Counter,
    /// The longest single run, in nanoseconds.
    pub longest_run_ns: Counter,
    /// Bytes of keyed state, estimated.
    pub state_bytes: Counter,
    /// Records that a policy dropped or diverted as malformed.
    pub malformed: Counter,
    /// Records that came too late for their windows and were dropped.
    pub late_records: Counter,
    /// The vertex (plus one) of the consumer that last held this task back; 0 when none does.
    pub held_back_by: Counter,
    /// The counters that user functions declared, by operator and name.
    own: Mutex<BTreeMap<(OperatorUid, String), Arc<Counter>>>,
}

impl TaskMetrics {
    /// The counter of this name of a user's function in `operator`, made if there is none. Look it up once, not per
    /// record.
    pub fn own_counter(&self, operator: &OperatorUid, name: &str) -> Arc<Counter> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.entry((operator.clone(), name.to_string())).or_default())
    }

    /// The counters of users' functions with their operators, names and values.
    pub fn own_counters(&self) -> Vec<(OperatorUid, String, u64)> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter()
            .map(|((operator, name), counter)| (operator.clone(), name.clone(), counter.get()))
            .collect()
    }
}

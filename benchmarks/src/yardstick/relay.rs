//! What an open loop costs without an engine: two threads, each of which makes records as they become due, keeps its
//! own half of the keys and hands the other half over.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Instant,
};

use hashbrown::HashMap;

use crate::{latency_sink::Latencies, schedule::Schedule};

type Counts = HashMap<u64, u64, foldhash::fast::RandomState>;

/// Buffers on their way to the other thread.
const BUFFERS_IN_FLIGHT: usize = 64;

/// Counts the records of each key, and notes from number `after` on how late each was when it was counted.
pub fn relay(schedule: Schedule, key: impl Fn(u64) -> u64 + Sync, after: u64) -> Latencies {
    let (to_first, from_second) = sync_channel(BUFFERS_IN_FLIGHT);
    let (to_second, from_first) = sync_channel(BUFFERS_IN_FLIGHT);
    let half = |index, inbox, outbox| Half {
        tally: Tally {
            schedule,
            key: &key,
            after,
            counts: Counts::default(),
            latencies: Latencies::default(),
        },
        index,
        next: index,
        inbox,
        outbox,
    };
    let (first, second) = (half(0, from_second, to_second), half(1, from_first, to_first));
    thread::scope(|scope| {
        let first = scope.spawn(move || first.run());
        let mut latencies = second.run();
        latencies.add(&first.join().expect("a loop over plain numbers does not panic"));
        latencies
    })
}

/// What one thread has counted and noted.
struct Tally<'a, F> {
    schedule: Schedule,
    key: &'a F,
    after: u64,
    counts: Counts,
    latencies: Latencies,
}

impl<F: Fn(u64) -> u64> Tally<'_, F> {
    fn count(&mut self, number: u64) {
        *self.counts.entry((self.key)(number)).or_insert(0) += 1;
        if number >= self.after {
            self.latencies.note(&self.schedule, number);
        }
    }

    fn take_in(&mut self, numbers: Vec<u64>) {
        numbers.into_iter().for_each(|number| self.count(number));
    }
}

struct Half<'a, F> {
    tally: Tally<'a, F>,
    index: u64,
    next: u64,
    inbox: Receiver<Vec<u64>>,
    outbox: SyncSender<Vec<u64>>,
}

impl<F: Fn(u64) -> u64> Half<'_, F> {
    fn run(mut self) -> Latencies {
        while self.next < self.tally.schedule.records {
            self.make_due();
            self.take_in_until(self.tally.schedule.next_tick());
        }
        let Self {
            mut tally,
            inbox,
            outbox,
            ..
        } = self;
        // The other thread's inbox ends when this end is gone.
        drop(outbox);
        inbox.into_iter().for_each(|numbers| tally.take_in(numbers));
        tally.latencies
    }

    /// Makes the records that are due: counts its own and hands over the others.
    fn make_due(&mut self) {
        let due = self.tally.schedule.due_now();
        let mut others = Vec::new();
        while self.next < due {
            // Keys are random numbers, so any bit will do.
            if (self.tally.key)(self.next) >> 63 == self.index {
                self.tally.count(self.next);
            } else {
                others.push(self.next);
            }
            self.next += 2;
        }
        if !others.is_empty() && self.outbox.send(others).is_err() {
            // The other thread has panicked, which its join will tell.
            self.next = self.tally.schedule.records;
        }
    }

    fn take_in_until(&mut self, tick: Instant) {
        let left = || tick.saturating_duration_since(Instant::now());
        loop {
            match self.inbox.recv_timeout(left()) {
                Ok(numbers) => self.tally.take_in(numbers),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(left());
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyed_input::key;

    #[test]
    fn every_record_is_counted_once() {
        let schedule = Schedule {
            start: Instant::now(),
            per_second: 100_000,
            records: 5_001,
        };
        assert_eq!(relay(schedule, |number| key(number % 100), 1_000).count(), 4_001);
    }
}

//! A running sum per key: one map, or one per thread with the records dealt by hand.

use std::{
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

use hashbrown::HashMap;

use crate::{checksum::Checksum, keyed_input::KeyedInput};

type Sums = HashMap<u64, u64, foldhash::fast::RandomState>;
type Buffer = Vec<(u64, u64)>;

/// As many records as the engine gathers, so that both hand over equally often.
const BUFFER_RECORDS: usize = 1024;
/// Buffers on their way to the other thread.
const BUFFERS_IN_FLIGHT: usize = 8;

/// Adds `records` pairs into one map and returns the sum of the checksums of all running sums.
pub fn keyed_sum(input: &KeyedInput, records: u64) -> u64 {
    let mut sums = Sums::default();
    (0..records).fold(0, |total, place| {
        total.wrapping_add(add(&mut sums, input.pair(place)))
    })
}

#[inline]
fn add(sums: &mut Sums, (key, value): (u64, u64)) -> u64 {
    let sum = sums.entry(key).or_insert(0);
    *sum += value;
    (key, *sum).checksum()
}

/// The same on two threads: each reads every other record, keeps those of its own keys and hands the rest over in
/// buffers.
pub fn keyed_sum_on_two_threads(input: &KeyedInput, records: u64) -> u64 {
    let (to_first, from_second) = sync_channel(BUFFERS_IN_FLIGHT);
    let (to_second, from_first) = sync_channel(BUFFERS_IN_FLIGHT);
    thread::scope(|scope| {
        let first = scope.spawn(move || {
            Half {
                index: 0,
                sums: Sums::default(),
                total: 0,
                inbox: from_second,
                outbox: to_second,
            }
            .run(input, records)
        });
        let second = Half {
            index: 1,
            sums: Sums::default(),
            total: 0,
            inbox: from_first,
            outbox: to_first,
        }
        .run(input, records);
        second.wrapping_add(first.join().expect("a loop over plain numbers does not panic"))
    })
}

struct Half {
    index: u64,
    sums: Sums,
    total: u64,
    inbox: Receiver<Buffer>,
    outbox: SyncSender<Buffer>,
}

impl Half {
    /// The sum of the checksums of this half's keys.
    fn run(mut self, input: &KeyedInput, records: u64) -> u64 {
        let mut buffer = Vec::with_capacity(BUFFER_RECORDS);
        for place in (self.index..records).step_by(2) {
            let pair = input.pair(place);
            // Keys are random numbers, so any bit will do.
            if pair.0 >> 63 == self.index {
                self.total = self.total.wrapping_add(add(&mut self.sums, pair));
            } else {
                buffer.push(pair);
                if buffer.len() == BUFFER_RECORDS {
                    self.hand_over(std::mem::replace(&mut buffer, Vec::with_capacity(BUFFER_RECORDS)));
                }
            }
        }
        self.hand_over(buffer);
        let Self {
            mut sums,
            mut total,
            inbox,
            outbox,
            ..
        } = self;
        // The other thread's inbox ends when this end is gone.
        drop(outbox);
        for buffer in inbox {
            total = buffer
                .into_iter()
                .fold(total, |total, pair| total.wrapping_add(add(&mut sums, pair)));
        }
        total
    }

    /// Sends a buffer, and takes in what has come while there is no room.
    fn hand_over(&mut self, buffer: Buffer) {
        let mut unsent = Some(buffer);
        while let Some(buffer) = unsent.take() {
            self.take_in();
            match self.outbox.try_send(buffer) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(buffer)) => {
                    unsent = Some(buffer);
                    thread::yield_now();
                }
            }
        }
    }

    fn take_in(&mut self) {
        while let Ok(buffer) = self.inbox.try_recv() {
            for pair in buffer {
                self.total = self.total.wrapping_add(add(&mut self.sums, pair));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_come_to_what_one_does() {
        let (input, records) = (KeyedInput::uniform(1_000), 100_000);
        assert_eq!(
            keyed_sum_on_two_threads(&input, records),
            keyed_sum(&input, records)
        );
    }

    #[test]
    fn one_thread_sums_as_it_goes() {
        let input = KeyedInput::uniform(3);
        let (mut sums, mut expected) = (std::collections::HashMap::new(), 0u64);
        for place in 0..1_000 {
            let (key, value) = input.pair(place);
            let sum = sums.entry(key).or_insert(0u64);
            *sum += value;
            expected = expected.wrapping_add(key.rotate_left(32) ^ *sum);
        }
        assert_eq!(keyed_sum(&input, 1_000), expected);
    }
}

//! An open loop: records have a time at which they are due, whether or not those before them have come through.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use tidegate_core::{
    Batch, OperatorContext, OperatorError, Output,
    source::{Source, SourceReader, SourceStatus, Split},
    target_records,
};

/// From one look at the clock to the next: what a client with a thread of its own would be woken by.
const TICK: Duration = Duration::from_micros(100);

/// When records are due: record *n* of all is due *n / rate* after the start.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When record 0 is due.
    pub start: Instant,
    /// Records per second.
    pub per_second: u64,
    /// How many there are.
    pub records: u64,
}

impl Schedule {
    /// When a record is due, after the start.
    #[inline]
    pub fn due(&self, number: u64) -> Duration {
        Duration::from_nanos(number * (1_000_000_000 / self.per_second))
    }

    /// How late it is for a record now.
    #[inline]
    pub fn latency(&self, number: u64) -> Duration {
        self.start.elapsed().saturating_sub(self.due(number))
    }

    /// How many records are due now.
    pub fn due_now(&self) -> u64 {
        let elapsed = self.start.elapsed().as_nanos() as u64;
        (elapsed / (1_000_000_000 / self.per_second)).min(self.records)
    }

    /// The next tick of whoever waits for records to become due.
    pub fn next_tick(&self) -> Instant {
        let ticks = self.start.elapsed().as_nanos() / TICK.as_nanos() + 1;
        self.start + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// Emits the numbers of records as they become due: with *n* tasks, each emits every *n*th.
#[derive(Debug)]
pub struct ScheduledSource {
    schedule: Schedule,
    waiting: Arc<Waiting>,
}

/// The readers that wait for the next tick.
#[derive(Debug, Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn wait(&self, waker: &Waker) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waker.clone());
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl ScheduledSource {
    /// A source of that schedule. A thread ticks for it as long as it lives.
    pub fn new(schedule: Schedule) -> Self {
        let waiting = Arc::<Waiting>::default();
        let ticking: Weak<Waiting> = Arc::downgrade(&waiting);
        thread::spawn(move || {
            loop {
                thread::sleep(schedule.next_tick() - Instant::now().min(schedule.next_tick()));
                let Some(waiting) = ticking.upgrade() else { break };
                waiting.wake();
            }
        });
        Self { schedule, waiting }
    }
}

fn split(index: u32, next: u64, stride: u64) -> Split {
    let state = [next.to_le_bytes(), stride.to_le_bytes()].concat();
    Split { index, state }
}

impl Source<u64> for ScheduledSource {
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok((0..parallelism)
            .map(|index| split(index, u64::from(index), u64::from(parallelism)))
            .collect())
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<u64>>, OperatorError> {
        Ok(Box::new(Reader {
            schedule: self.schedule,
            waiting: Arc::clone(&self.waiting),
            reading: None,
        }))
    }
}

struct Reader {
    schedule: Schedule,
    waiting: Arc<Waiting>,
    reading: Option<Reading>,
}

struct Reading {
    index: u32,
    next: u64,
    stride: u64,
}

fn number(bytes: &[u8]) -> Result<u64, OperatorError> {
    Ok(u64::from_le_bytes(
        bytes.try_into().map_err(OperatorError::other)?,
    ))
}

impl SourceReader<u64> for Reader {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let (next, stride) = split.state.split_at(split.state.len() / 2);
            self.reading = Some(Reading {
                index: split.index,
                next: number(next)?,
                stride: number(stride)?,
            });
        }
        Ok(())
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<u64>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(reading) = &mut self.reading else {
            return Ok(SourceStatus::Finished);
        };
        let due = self.schedule.due_now();
        if reading.next >= due {
            if due == self.schedule.records {
                return Ok(SourceStatus::Finished);
            }
            self.waiting.wait(waker);
            return Ok(SourceStatus::Waiting);
        }
        let mut batch = Batch::roomy();
        while reading.next < due && batch.len() < target_records::<u64>() {
            batch.records.push(reading.next);
            reading.next += reading.stride;
        }
        context.add_received(batch.len());
        out.emit_batch(batch);
        Ok(SourceStatus::More)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        Ok(self
            .reading
            .iter()
            .map(|reading| split(reading.index, reading.next, reading.stride))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use tidegate::prelude::*;

    use super::*;

    #[test]
    fn every_record_comes_once_and_none_before_it_is_due() {
        let schedule = Schedule {
            start: Instant::now(),
            per_second: 100_000,
            records: 5_000,
        };
        for parallelism in [1, 2] {
            let env = Env::new("schedule");
            let records = env
                .source("numbers", ScheduledSource::new(schedule))
                .map(move |number| (number, schedule.start.elapsed() >= schedule.due(number)))
                .collect("records");
            let options = RunOptions::in_memory().parallelism(parallelism);
            env.build().unwrap().run(options).unwrap();
            let records = records.sorted();
            assert!(
                records
                    .iter()
                    .copied()
                    .eq((0..5_000).map(|number| (number, true)))
            );
        }
    }
}

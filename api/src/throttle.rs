//! Slowing a source down.

use std::task::Waker;

use tidegate_core::{
    OperatorContext, OperatorError, Output, ProcessingTime,
    source::{Source, SourceReader, SourceStatus, Split},
};

/// A source that gives no more than so many records a second, all its tasks together: for demonstrations, and to spare
/// whatever the records come from.
///
/// It waits between batches, so the rate is even over seconds and not within a batch. Its positions are those of the
/// source it wraps: a job may resume with another rate, or with none.
///
/// ```
/// # use tidegate::prelude::*;
/// # let env = Env::new("throttle");
/// let numbers = IteratorSource::new(|| 0..10u64);
/// env.source("numbers", Throttle::new(numbers, 1_000_000)).discard("nowhere");
/// # env.build()?.run(RunOptions::in_memory())?;
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Throttle<S> {
    source: S,
    records_per_second: u64,
}

impl<S> Throttle<S> {
    /// Lets `records_per_second` of `source` through, at least 1.
    pub fn new(source: S, records_per_second: u64) -> Self {
        Self {
            source,
            records_per_second: records_per_second.max(1),
        }
    }
}

impl<T: 'static, S: Source<T>> Source<T> for Throttle<S> {
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        self.source.discover(parallelism)
    }

    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        Ok(Box::new(ThrottledReader {
            reader: self.source.reader(context)?,
            records_per_second: self.records_per_second,
            active_readers: u64::from(context.parallelism),
            started: None,
        }))
    }
}

struct ThrottledReader<T> {
    reader: Box<dyn SourceReader<T>>,
    records_per_second: u64,
    /// How many tasks share the rate; those without a split take nothing of it.
    active_readers: u64,
    /// When the first record was asked for, and how many had been emitted by then.
    started: Option<(ProcessingTime, u64)>,
}

impl<T> SourceReader<T> for ThrottledReader<T> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        self.reader.assign(splits)
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let (started, before) = *self.started.get_or_insert((context.now(), out.emitted()));
        let emitted = out.emitted().saturating_sub(before);
        let due = started.after(due_after(emitted, self.records_per_second, self.active_readers));
        if due > context.now() {
            return Ok(SourceStatus::Until(due));
        }
        self.reader.poll(waker, out, context)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.reader.snapshot()
    }
}

/// How long after its start one of `readers` equal readers may emit again, having emitted so much.
fn due_after(emitted: u64, records_per_second: u64, readers: u64) -> std::time::Duration {
    let millis = u128::from(emitted) * u128::from(readers) * 1000 / u128::from(records_per_second);
    std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_the_rate() {
        let cases = [
            (0, 100, 1, 0),
            (100, 100, 1, 1000),
            (100, 100, 2, 2000),
            (1, 1_000_000, 1, 0),
            (u64::MAX, 1, 2, u64::MAX),
        ];
        for (emitted, rate, readers, millis) in cases {
            assert_eq!(due_after(emitted, rate, readers).as_millis(), u128::from(millis));
        }
    }
}

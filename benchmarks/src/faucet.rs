//! A source that is told from outside how far it may go.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::Waker,
};

use tidegate_core::{
    Batch, OperatorContext, OperatorError, Output,
    source::{Source, SourceReader, SourceStatus, Split},
    target_records,
};

/// Says how far a [`Faucet`] may go. Cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Tap(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    allowed: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Tap {
    /// Lets records flow up to record `number`, which does not.
    pub fn allow(&self, number: u64) {
        self.0.allowed.store(number, SeqCst);
        let waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Lets records flow without end.
    pub fn open(&self) {
        self.allow(u64::MAX);
    }

    /// Lets no more records flow.
    pub fn close(&self) {
        self.allow(0);
    }

    fn allowed(&self) -> u64 {
        self.0.allowed.load(SeqCst)
    }

    /// How far it may go; if that is not beyond `next`, `waker` is woken when it changes.
    fn allowed_beyond(&self, next: u64, waker: &Waker) -> u64 {
        if self.allowed() <= next {
            *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        }
        // Looked at again: it may have changed before the waker was left.
        self.allowed()
    }
}

/// Emits `make(number)` for the numbers from 0 on, in one task, as far as its [`Tap`] allows.
#[derive(Debug)]
pub struct Faucet<F> {
    tap: Tap,
    make: Arc<F>,
}

impl<F> Faucet<F> {
    /// A source that `tap` controls.
    pub fn new(tap: Tap, make: F) -> Self {
        Self {
            tap,
            make: Arc::new(make),
        }
    }
}

impl<T, F> Source<T> for Faucet<F>
where
    T: Send + 'static,
    F: Fn(u64) -> T + Send + Sync + 'static,
{
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok(vec![split(0)])
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        Ok(Box::new(Reader {
            tap: self.tap.clone(),
            make: Arc::clone(&self.make),
            next: None,
        }))
    }
}

fn split(next: u64) -> Split {
    Split {
        index: 0,
        state: next.to_le_bytes().to_vec(),
    }
}

struct Reader<F> {
    tap: Tap,
    make: Arc<F>,
    /// Only the task that has the split reads.
    next: Option<u64>,
}

impl<T, F> SourceReader<T> for Reader<F>
where
    F: Fn(u64) -> T + Send + Sync,
{
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let next = split.state.as_slice().try_into().map_err(OperatorError::other)?;
            self.next = Some(u64::from_le_bytes(next));
        }
        Ok(())
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(next) = self.next else {
            return Ok(SourceStatus::Finished);
        };
        let end = self
            .tap
            .allowed_beyond(next, waker)
            .min(next + target_records::<T>() as u64);
        if end <= next {
            return Ok(SourceStatus::Waiting);
        }
        let records: Vec<T> = (next..end).map(&*self.make).collect();
        self.next = Some(end);
        context.add_received(records.len());
        out.emit_batch(Batch::from(records));
        Ok(SourceStatus::More)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        Ok(self.next.map(split).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use tidegate::prelude::*;

    use super::*;

    #[test]
    fn records_flow_as_far_as_they_may() {
        let tap = Tap::default();
        let env = Env::new("faucet");
        let records = env
            .source("numbers", Faucet::new(tap.clone(), |number| number))
            .collect("records");
        let running = env.build().unwrap().start(RunOptions::in_memory()).unwrap();
        for end in [1, 5_000, 5_001] {
            tap.allow(end);
        }
        running.suspend().unwrap();
        running.join().unwrap();
        let records = records.sorted();
        assert!(records.len() <= 5_001);
        assert!(records.iter().copied().eq(0..records.len() as u64));
    }
}

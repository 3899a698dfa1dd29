//! A source that gives what a test feeds it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tidegate_core::{
    Batch, EventTime, OperatorContext, OperatorError, Output, TARGET_RECORDS,
    source::{Source, SourceReader, SourceStatus, Split},
};

/// The source of a job that a test runs [in steps](super::JobSteps): it gives the records that it is fed, in their order and
/// in one task, waits for more, and ends when it is told to.
///
/// All that was fed is kept, so a job that goes on from a snapshot reads again what came after it. A copy of a feed is
/// the same feed.
pub struct Feed<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Some records have been read.
    progress: Condvar,
}

struct State<T> {
    records: Vec<(T, Option<EventTime>)>,
    has_ended: bool,
    /// How many records the job has read.
    read: usize,
    waiting: Option<Waker>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Feed<T> {
    pub(super) fn new() -> Self {
        let state = State {
            records: Vec::new(),
            has_ended: false,
            read: 0,
            waiting: None,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            progress: Condvar::new(),
        }))
    }

    /// Feeds records without event times.
    pub fn push(&self, records: impl IntoIterator<Item = T>) {
        self.add(records.into_iter().map(|record| (record, None)));
    }

    /// Feeds records with their event times.
    pub fn push_timed<E: Into<EventTime>>(&self, records: impl IntoIterator<Item = (T, E)>) {
        self.add(
            records
                .into_iter()
                .map(|(record, time)| (record, Some(time.into()))),
        );
    }

    fn add(&self, records: impl Iterator<Item = (T, Option<EventTime>)>) {
        let mut state = self.0.lock();
        state.records.extend(records);
        state.wake();
    }

    /// Ends the input: once everything has been read, this source is at its end.
    pub fn end(&self) {
        let mut state = self.0.lock();
        state.has_ended = true;
        state.wake();
    }
}

impl<T> State<T> {
    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// A feed of whatever type.
pub(super) trait AnyFeed: Send + Sync {
    /// Waits until everything fed has been read, but not longer than `patience`. Whether it has.
    fn wait_until_read(&self, patience: Duration) -> bool;
    /// See [`Feed::end`].
    fn end(&self);
    /// Whether it has been told to end.
    fn has_ended(&self) -> bool;
}

impl<T: Send + 'static> AnyFeed for Feed<T> {
    fn wait_until_read(&self, patience: Duration) -> bool {
        let state = self.0.lock();
        let unread = |state: &mut State<T>| state.read < state.records.len();
        let (state, _) = self
            .0
            .progress
            .wait_timeout_while(state, patience, unread)
            .unwrap_or_else(PoisonError::into_inner);
        state.read >= state.records.len()
    }

    fn end(&self) {
        Feed::end(self);
    }

    fn has_ended(&self) -> bool {
        self.0.lock().has_ended
    }
}

impl<T: Clone + Send + 'static> Source<T> for Feed<T> {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        Ok(vec![split(0)])
    }

    fn reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        Ok(Box::new(Reader {
            feed: self.clone(),
            position: None,
        }))
    }
}

fn split(position: usize) -> Split {
    Split {
        index: 0,
        state: (position as u64).to_le_bytes().to_vec(),
    }
}

struct Reader<T> {
    feed: Feed<T>,
    /// How much has been emitted, in the one task that reads.
    position: Option<usize>,
}

impl<T: Clone + Send + 'static> SourceReader<T> for Reader<T> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            let position: [u8; 8] = split.state.as_slice().try_into().map_err(OperatorError::other)?;
            let position = usize::try_from(u64::from_le_bytes(position)).map_err(OperatorError::other)?;
            self.position = Some(position);
            self.feed.0.lock().read = position;
        }
        Ok(())
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        _context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(position) = &mut self.position else {
            return Ok(SourceStatus::Finished);
        };
        let mut state = self.feed.0.lock();
        let end = state.records.len().min(*position + TARGET_RECORDS);
        let mut batch = Batch::new();
        for (record, time) in state.records.get(*position..end).unwrap_or_default() {
            batch.push(record.clone(), *time);
        }
        if batch.is_empty() {
            if state.has_ended {
                return Ok(SourceStatus::Finished);
            }
            state.waiting = Some(waker.clone());
            return Ok(SourceStatus::Waiting);
        }
        // Before the lock goes: whoever sees them as read must find them ahead of the next barrier.
        out.emit_batch(batch);
        *position = end;
        state.read = end;
        self.feed.0.progress.notify_all();
        Ok(SourceStatus::More)
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        Ok(self.position.map(split).into_iter().collect())
    }
}

//! Windows that each key makes for itself.
//!
//! What has fired leaves the state, or is marked there while it may still change: a snapshot at any moment knows what is
//! still to fire.

use std::{marker::PhantomData, sync::Arc};

use tidegate_core::{
    Batch, EventTime, KeyProbe, KeySelector, KeySpace, Operator, OperatorContext, OperatorError,
    OperatorLifecycle, Output, ProcessingTime, Progress, snapshot::KeyedState,
};
use tidegate_state::{Hint, LOOK_AHEAD};

use super::{
    assigner::Clock,
    contents::WindowContents,
    error::WindowError,
    grid::FARTHEST,
    late::LateRecords,
    result::Window,
    session_table::{SessionState, SessionTable, Sessions},
};
use crate::keyed::hashes;

/// The name of the state within its operator.
const STATE: &str = "sessions";

/// Session windows.
pub(super) struct SessionWindows<T, S: KeySelector<T>, C: WindowContents<S::Key, T>> {
    selector: Arc<S>,
    contents: Arc<C>,
    gap: i64,
    clock: Clock,
    lateness: i64,
    table: SessionTable<S::Key, C::Value>,
    /// How far time has come.
    now: i64,
    hints: Vec<Hint>,
    records: PhantomData<fn(T)>,
}

/// What became of a record.
enum Placed<T> {
    /// It is in a session.
    Kept,
    /// The session it would be in is over.
    Late(T),
}

impl<T, S, C> SessionWindows<T, S, C>
where
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    pub(super) fn new(
        selector: Arc<S>,
        contents: Arc<C>,
        gap: i64,
        clock: Clock,
        lateness: i64,
        space: KeySpace,
    ) -> Self {
        Self {
            selector,
            contents,
            gap,
            clock,
            lateness,
            table: SessionTable::new(STATE, space, lateness),
            now: i64::MIN,
            hints: Vec::with_capacity(LOOK_AHEAD),
            records: PhantomData,
        }
    }

    /// Puts a record into its session, which it may start, prolong or merge from several. A record that comes exactly a gap
    /// after the one before still belongs to it.
    fn place(&mut self, record: T, hint: Hint, time: i64) -> Placed<T> {
        let (start, end) = (time, time + self.gap);
        let lateness = self.lateness;
        let probe = self.selector.probe(&record);
        let Some(sessions) = self.table.table.get_mut_at(hint, &probe) else {
            if end + lateness <= self.now {
                drop(probe);
                return Placed::Late(record);
            }
            let key = probe.into_key();
            let session = SessionState {
                start,
                end,
                fired: false,
                value: self.contents.begin(record),
            };
            self.table.insert(hint.hash(), key, session);
            return Placed::Kept;
        };
        let all = &mut sessions.all;
        let first = all.partition_point(|session| session.end < start);
        let met = first
            + all[first..]
                .iter()
                .take_while(|session| session.start <= end)
                .count();
        let last_end = all[first..met].last().map_or(end, |session| session.end.max(end));
        if last_end + lateness <= self.now {
            drop(probe);
            return Placed::Late(record);
        }
        // The key stays where it is in the index unless this session is due before all others.
        let indexed = sessions.indexed(lateness).filter(|indexed| *indexed <= last_end);
        let key = indexed.is_none().then(|| probe.into_key());
        sessions.set_indexed(indexed.unwrap_or(last_end));
        add(&*self.contents, sessions, first, met, (start, end), record);
        if let Some(key) = key {
            self.table.index(last_end, hint.hash(), key);
        }
        Placed::Kept
    }

    /// Lets sessions fire that are over, and forgets those that cannot change any more.
    fn fire(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let (now, lateness) = (self.now, self.lateness);
        while let Some((hash, key)) = self.table.pop_due(now) {
            let contents = &*self.contents;
            if let Some(sessions) = self.table.table.get_mut(hash, &key) {
                for session in &mut sessions.all {
                    if !session.fired && session.end <= now {
                        session.fired = true;
                        let window = Window::new(session.start, session.end);
                        contents
                            .emit(&key, window, window.end, &[&session.value], out, context)
                            .map_err(OperatorError::Other)?;
                    }
                }
                sessions.all.retain(|session| session.end + lateness > now);
            }
            self.table.put_back(hash, key);
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn advance(
        &mut self,
        time: i64,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.now = self.now.max(time);
        self.fire(out, context)
    }
}

/// Adds a record with a window of its own to the sessions from `first` to before `met`, which it meets: they become one.
fn add<K: tidegate_core::Key, T, C: WindowContents<K, T>>(
    contents: &C,
    sessions: &mut Sessions<C::Value>,
    first: usize,
    met: usize,
    (start, end): (i64, i64),
    record: T,
) {
    let all = &mut sessions.all;
    if first == met {
        let session = SessionState {
            start,
            end,
            fired: false,
            value: contents.begin(record),
        };
        all.insert(first, session);
        return;
    }
    let mut later = all.drain(first + 1..met).collect::<Vec<_>>().into_iter();
    let session = &mut all[first];
    session.start = session.start.min(start);
    session.end = session.end.max(end);
    session.fired = false;
    for other in later.by_ref() {
        session.end = session.end.max(other.end);
        contents.merge(&mut session.value, other.value);
    }
    contents.add(&mut session.value, record);
}

impl<T, S, C> OperatorLifecycle<C::Out> for SessionWindows<T, S, C>
where
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        vec![&mut self.table]
    }

    fn snapshots_midway(&self) -> bool {
        true
    }

    fn resume(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.fire(out, context)
    }

    fn on_watermark(
        &mut self,
        watermark: EventTime,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        // The end of all input closes windows of either clock.
        if self.clock == Clock::Event || watermark == EventTime::MAX {
            self.advance(watermark.0, out, context)
        } else {
            Ok(Progress::Done)
        }
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        match self.clock {
            Clock::Event => None,
            Clock::Processing => self
                .table
                .first_due()
                .map(|due| ProcessingTime(due.saturating_add(1))),
        }
    }

    fn on_timer(
        &mut self,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        // No record will have a time before now.
        self.advance(context.now().0.saturating_sub(1), out, context)
    }
}

impl<T, S, C> Operator<T, C::Out> for SessionWindows<T, S, C>
where
    T: Send + 'static,
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    fn process(
        &mut self,
        mut batch: Batch<T>,
        out: &mut Output<C::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let hashes = hashes(&mut batch, &*self.selector);
        // A clock that was set back must not make records late.
        let now = context.now().0.max(self.now.saturating_add(1));
        let mut late = LateRecords::new(out, context);
        let mut records = batch.records.into_iter().enumerate();
        let mut hints = std::mem::take(&mut self.hints);
        for hashes in hashes.chunks(LOOK_AHEAD) {
            self.table.table.look_ahead(hashes, &mut hints);
            for (hint, (index, record)) in hints.iter().zip(records.by_ref()) {
                position.advance();
                let time = match self.clock {
                    Clock::Processing => now,
                    Clock::Event => match batch.times.get(index) {
                        Some(time) => time.0,
                        None => return Err(position.error(WindowError::NoTime)),
                    },
                };
                if !(-FARTHEST..=FARTHEST).contains(&time) {
                    return Err(position.error(WindowError::TimeOutOfRange { time }));
                }
                if let Placed::Late(record) = self.place(record, *hint, time) {
                    late.push(record, EventTime(time));
                }
            }
        }
        self.hints = hints;
        drop(position);
        // Sessions that records came for too late, but in time, fire again.
        self.fire(out, context)
    }
}

//! The link of a chain that calls asynchronous functions.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Barrier, Batch, BoxError, BoxFuture, Control, EventTime, Flow, OperatorContext, OperatorError,
    OperatorVisitor, Output, ProcessingTime, Push, VisitOperators,
    chain::{ChainError, ChainedOperator},
    snapshot::{KeyedState, OperatorState, RestoredState},
};
use tidegate_state::OperatorListState;

use super::{
    call::{Answers, Call, CallId, Outcome},
    options::AsyncCalls,
    queue::{Departure, Entry, Queue},
};
use crate::dead_letter::{OnError, Refused};

/// The name of the state that holds the records in flight.
const IN_FLIGHT: &str = "in-flight";

/// What is called for each record, shared by all tasks.
pub type AsyncFunction<T, R> = Arc<dyn Fn(T) -> BoxFuture<Result<R, BoxError>> + Send + Sync>;

/// Calls an asynchronous function for each record and emits what it answers, with the record's event time.
///
/// **Guarantee.** The records whose results have not been emitted are part of every snapshot, as they came, and are called
/// for again after a restore: calls are made at least once, results count exactly once. A former task's records all go to
/// one task and keep their order.
///
/// **Order and event time.** See [`AsyncCalls`]: in no case does a result leave behind a watermark that its record came
/// before, or the reverse. A barrier passes at once.
///
/// **Room.** When as many records are in flight as may be, the link is blocked until an answer has left.
///
/// It is a link of its own rather than an [`Operator`](tidegate_core::Operator) because it holds watermarks back while
/// records go on coming.
pub struct AsyncMap<T, R> {
    function: AsyncFunction<T, R>,
    calls: AsyncCalls,
    on_error: OnError<T>,
    context: OperatorContext,
    out: Output<R>,
    queue: Queue<T, R, CallState>,
    /// When calls time out or are made again, with their records' numbers.
    due: BTreeSet<(ProcessingTime, u64)>,
    answers: Arc<Answers<R>>,
}

/// What is known of a record that has no answer.
#[derive(Default)]
struct CallState {
    /// How many calls have been started.
    attempts: u32,
    /// The one that is under way; none before the first and between two.
    call: Option<Call>,
    /// The record's entry among what is due.
    due: Option<ProcessingTime>,
}

/// Why a record has no result.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("the call did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the call panicked: {0}")]
    Panicked(String),
    #[error("{last}; {calls} calls have failed")]
    GaveUp { calls: u32, last: BoxError },
}

impl<T, R> AsyncMap<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    /// A link in front of `out`.
    pub fn new(
        function: AsyncFunction<T, R>,
        calls: AsyncCalls,
        on_error: OnError<T>,
        context: OperatorContext,
        out: Output<R>,
    ) -> Self {
        Self {
            function,
            calls,
            on_error,
            queue: Queue::new(calls.order, calls.in_flight),
            due: BTreeSet::new(),
            answers: Answers::new(context.probe.waker()),
            context,
            out,
        }
    }

    fn wrap(&self, error: OperatorError) -> ChainError {
        ChainError {
            operator: self.context.uid.clone(),
            error,
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self) -> Result<Flow, ChainError> {
        self.context.enter();
        let worked = self.work();
        // A failure below is the cause of whatever is said here.
        let below = self.out.settle()?;
        worked?;
        Ok(self.flow(below))
    }

    fn flow(&self, below: Flow) -> Flow {
        if self.queue.is_full() || self.queue.is_ending() {
            below.and(Flow::Blocked)
        } else {
            below
        }
    }

    fn work(&mut self) -> Result<(), ChainError> {
        loop {
            self.hear()?;
            self.act_on_time();
            self.emit()?;
            self.start();
            if self.answers.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes the answers that have come.
    fn hear(&mut self) -> Result<(), ChainError> {
        for (id, outcome) in self.answers.take() {
            let Some((entry, state)) = self.queue.unanswered(id.record) else {
                continue;
            };
            if state.call.is_none() || state.attempts != id.attempt {
                // It has been given up in the meantime.
                continue;
            }
            let position = entry.position;
            state.call = None;
            if let Some(due) = state.due.take() {
                self.due.remove(&(due, id.record));
            }
            match outcome {
                Outcome::Returned(Ok(result)) => self.queue.answer(id.record, Ok(result)),
                Outcome::Returned(Err(cause)) => self.fail(id.record, cause),
                Outcome::Panicked(text) => {
                    let cause = CallError::Panicked(text).into();
                    return Err(self.wrap(OperatorError::Record { position, cause }));
                }
            }
        }
        Ok(())
    }

    /// Gives up calls that take too long, and makes those again whose time has come.
    fn act_on_time(&mut self) {
        let now = self.context.now();
        while let Some((due, number)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, number));
            let Some((_, state)) = self.queue.unanswered(number) else {
                continue;
            };
            state.due = None;
            match state.call.take() {
                Some(_) => {
                    let limit = self.calls.timeout.unwrap_or_default();
                    self.fail(number, CallError::TimedOut(limit).into());
                }
                None => self.call(number),
            }
        }
    }

    /// A call has failed: another one follows later, or that is the answer.
    fn fail(&mut self, number: u64, cause: BoxError) {
        let now = self.context.now();
        let Some((_, state)) = self.queue.unanswered(number) else {
            return;
        };
        let calls = state.attempts;
        match self.calls.retry.delay_after(calls) {
            Some(delay) => {
                let due = now.after(delay);
                state.due = Some(due);
                self.due.insert((due, number));
            }
            None if calls > 1 => {
                let last = cause;
                self.queue
                    .answer(number, Err(CallError::GaveUp { calls, last }.into()));
            }
            None => self.queue.answer(number, Err(cause)),
        }
    }

    fn emit(&mut self) -> Result<(), ChainError> {
        while !self.out.is_full() {
            match self.queue.pop() {
                None => break,
                Some(Departure::Control(control)) => {
                    // What flow this leads to is asked for when everything is told.
                    let _ = self.out.control(control)?;
                }
                Some(Departure::Answered(entry, Ok(result))) => self.out.emit(result, entry.time),
                Some(Departure::Answered(entry, Err(cause))) => self.refuse(entry, cause)?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, entry: Entry<T>, cause: BoxError) -> Result<(), ChainError> {
        let mut position = self.context.position_from(entry.position);
        position.advance();
        let refused = Refused {
            record: entry.record,
            time: entry.time,
            cause,
        };
        let handled = self
            .on_error
            .handle(refused, &position, &mut self.out, &self.context);
        drop(position);
        handled.map_err(|error| self.wrap(error))
    }

    /// Calls for as many records as may be in flight.
    fn start(&mut self) {
        while let Some(number) = self.queue.start_next() {
            self.call(number);
        }
    }

    fn call(&mut self, number: u64) {
        let Some((entry, state)) = self.queue.unanswered(number) else {
            return;
        };
        state.attempts += 1;
        let id = CallId {
            record: number,
            attempt: state.attempts,
        };
        if let Some(timeout) = self.calls.timeout {
            let due = self.context.now().after(timeout);
            state.due = Some(due);
            self.due.insert((due, number));
        }
        let record = entry.record.clone();
        let call = Call::start(
            id,
            record,
            &self.function,
            &self.answers,
            self.context.io.as_ref(),
        );
        state.call = Some(call);
    }
}

impl<T, R> ChainedOperator for AsyncMap<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn open(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }

    fn keyed_states(&mut self) -> Vec<&mut dyn KeyedState> {
        Vec::new()
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        let entries = self.queue.entries();
        let in_flight = OperatorListState::<(T, Option<EventTime>)> {
            elements: entries.map(|entry| (entry.record.clone(), entry.time)).collect(),
        };
        Ok(vec![in_flight.snapshot(IN_FLIGHT)?])
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        let (index, parallelism) = (self.context.index(), self.context.parallelism);
        let is_mine = |task: &&(u32, Vec<OperatorState>)| task.0 % parallelism == index;
        let mine = RestoredState {
            tasks: state.tasks.iter().filter(is_mine).cloned().collect(),
        };
        // The calls start when the task does: it tells first how far event time has come.
        let in_flight = OperatorListState::<(T, Option<EventTime>)>::restore(IN_FLIGHT, &mine, 0, 1)?;
        let count = in_flight.elements.len();
        for ((record, time), position) in in_flight.elements.into_iter().zip(0..) {
            self.queue.push(Entry {
                record,
                time,
                position,
            });
        }
        self.context.add_received(count);
        Ok(())
    }

    fn next_timer(&self) -> Option<ProcessingTime> {
        if self.answers.is_empty() {
            self.due.first().map(|(due, _)| *due)
        } else {
            // The answer has woken the task: this is what it is to do.
            Some(ProcessingTime(i64::MIN))
        }
    }

    fn on_timer(&mut self) -> Result<Flow, ChainError> {
        self.advance()
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        // Dropped calls are cancelled.
        self.queue = Queue::new(self.calls.order, self.calls.in_flight);
        self.due.clear();
        Ok(())
    }
}

impl<T, R> VisitOperators for AsyncMap<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        visitor(self)?;
        self.out.visit(visitor)
    }
}

impl<T, R> Push<T> for AsyncMap<T, R>
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
    R: Send + 'static,
{
    fn push(&mut self, mut batch: Batch<T>) -> Result<Flow, ChainError> {
        let base = self.context.position().absolute();
        self.context.add_received(batch.len());
        for (index, record) in batch.records.drain(..).enumerate() {
            self.queue.push(Entry {
                record,
                time: batch.times.get(index),
                position: base + index as u64,
            });
        }
        batch.recycle();
        self.advance()
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        match control {
            // What has not left is in the snapshot, so nothing may leave between that and the barrier.
            Control::Barrier(_) => {
                let below = self.out.control(control)?;
                return Ok(self.flow(below));
            }
            Control::Watermark(watermark) => self.context.set_watermark(watermark),
            Control::Idle | Control::End => {}
        }
        self.queue.push_control(control);
        self.advance()
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        // Whether there is room now is asked again when everything is told.
        let _ = self.out.drain()?;
        self.advance()
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        let below = self.out.flush()?;
        Ok(self.flow(below))
    }
}

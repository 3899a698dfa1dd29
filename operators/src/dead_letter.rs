//! What becomes of a record for which user code returned an error.

use serde::{Deserialize, Serialize};
use tidegate_core::{BoxError, EventTime, OperatorContext, OperatorError, Output, OutputTag, Position};

/// A record that user code refused, with why and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter<T> {
    /// The record as it came.
    pub record: T,
    /// What user code said about it.
    pub error: String,
    /// The uid of the operator that refused it.
    pub operator: String,
    /// The record's place among those that the operator's task has received in this attempt, from 0.
    pub position: u64,
    /// The record's event time.
    pub time: Option<EventTime>,
}

/// What an operator does when user code returns an error.
#[derive(Debug)]
pub enum OnError<T> {
    /// The task fails with [`OperatorError::Record`].
    Fail,
    /// The record goes to a side output and processing goes on; if nobody reads there it is dropped. Either way it is
    /// counted in [`TaskMetrics::malformed`](tidegate_core::metrics::TaskMetrics::malformed).
    DeadLetter(OutputTag<DeadLetter<T>>),
}

impl<T> Clone for OnError<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OnError<T> {}

impl<T: 'static> OnError<T> {
    /// Applies the policy to the record that `position` stands at.
    pub(crate) fn handle<O>(
        self,
        refused: Refused<T>,
        position: &Position<'_>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<(), OperatorError> {
        match self {
            Self::Fail => Err(position.error(refused.cause)),
            Self::DeadLetter(tag) => {
                let letter = DeadLetter {
                    record: refused.record,
                    error: refused.cause.to_string(),
                    operator: context.uid.to_string(),
                    position: position.absolute(),
                    time: refused.time,
                };
                context.metrics.malformed.add(1);
                out.emit_side(tag, letter, refused.time);
                Ok(())
            }
        }
    }
}

/// A record, its time, and what user code said about it.
pub(crate) struct Refused<T> {
    pub(crate) record: T,
    pub(crate) time: Option<EventTime>,
    pub(crate) cause: BoxError,
}

//! Where records come from.

use std::{sync::Arc, task::Waker};

use serde::{Deserialize, Serialize};

use crate::{error::OperatorError, operator::OperatorContext, output::Output, time::ProcessingTime};

/// A part of a source's input that is read by one task at a time, with how far it has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its place in the order of discovery. Split *i* is read by task *i* modulo the parallelism.
    pub index: u32,
    /// What and how far, in the source's own encoding.
    pub state: Vec<u8>,
}

/// What is said along with records about the splits they come from, so that event time can be told split by split.
///
/// Marks travel in order with the records, through the chain that the source heads and no further: behind an edge the
/// records of several tasks are mixed, and only a task's watermark means anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SplitMark {
    /// The split is one of this task's. Said by the engine for each of them before anything is read.
    Assigned(u32),
    /// Records from here on come from this split. Said by the reader.
    Reading(u32),
    /// The split has been read to its end. Said by the reader.
    Ended(u32),
}

/// What a reader has to say after a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceStatus {
    /// There may be more at once.
    More,
    /// Nothing now: the waker is called when there is.
    Waiting,
    /// Nothing before this time.
    Until(ProcessingTime),
    /// The input has ended for good.
    Finished,
}

/// A source: how its input falls into splits, and how those are read. Shared by all its tasks.
pub trait Source<T>: Send + Sync {
    /// Finds the splits. Called in one task, once in the life of a job: the answer is part of its snapshots. It may
    /// block, so it runs on a thread where that is allowed.
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError>;

    /// A reader for one task.
    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError>;
}

impl<T, S: Source<T> + ?Sized> Source<T> for Arc<S> {
    fn discover(&self, parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        (**self).discover(parallelism)
    }

    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        (**self).reader(context)
    }
}

/// Reads the splits of one task.
pub trait SourceReader<T>: Send {
    /// Gives the reader its splits: all that it will ever have, fresh or as snapshotted.
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError>;

    /// Emits up to about one batch, without blocking. [`SourceStatus::Waiting`] promises that `waker` will be called.
    ///
    /// A reader that may have several splits says which one it reads, with [`Output::mark`], before it emits from
    /// it, and when it has come to the end of one: the watermark is then the least of its splits', and a split that
    /// has not been read yet holds it back. The records of a reader that never says so count as one stream.
    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError>;

    /// All splits the reader has been given, each with its position after the last record emitted, ended ones too.
    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError>;
}

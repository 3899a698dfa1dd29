//! Where records go: staged as they come, published when their checkpoint is claimed.

use std::{sync::Arc, task::Waker};

use serde::{Deserialize, Serialize};

use crate::{
    batch::Batch,
    error::OperatorError,
    fault::Faults,
    id::{Attempt, CheckpointId, Epoch, Lineage, OperatorUid},
    io::BoxFuture,
    operator::OperatorContext,
    output::Flow,
};

/// What a sink promises about records it has been given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Guarantee {
    /// Visible exactly once, when their checkpoint commits.
    ExactlyOnce,
    /// Visible at once, and possibly again after a failure.
    AtLeastOnce,
}

/// Something staged and durable that a commit will publish, in the sink's own encoding. It lives in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committable(pub Vec<u8>);

/// What a sink prepares at a barrier: a future that makes everything written so far durable and says how to publish
/// it. It runs on the worker's I/O threads; the checkpoint is acknowledged when it is done.
pub type PrepareResult = BoxFuture<Result<Vec<Committable>, OperatorError>>;

/// A sink: makes one writer per task and one committer. Shared by all its tasks.
pub trait Sink<T>: Send + Sync {
    /// What it promises.
    fn guarantee(&self) -> Guarantee;

    /// A writer for one task.
    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError>;

    /// Who publishes what writers prepared; sinks that publish as they write have none.
    fn committer(&self) -> Option<Arc<dyn Committer>>;

    /// A [`committer`](Self::committer) that dies where the run's faults strike; one that publishes in a single step has
    /// no such place.
    fn committer_with(&self, faults: &Faults) -> Option<Arc<dyn Committer>> {
        let _ = faults;
        self.committer()
    }
}

/// What a sink's writer may know.
pub struct SinkContext<'a> {
    /// The operator.
    pub operator: &'a OperatorContext,
    /// The identity of this run's output.
    pub lineage: &'a Lineage,
    /// The attempt: part of staging names, so that two attempts never write to one place.
    pub attempt: Attempt,
}

/// Takes the records of one task.
pub trait SinkWriter<T>: Send {
    /// Stages a batch. [`Flow::Blocked`] asks for [`poll`](Self::poll) before more comes.
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError>;

    /// Looks whether the writer can take more; if it cannot, `waker` will be called when it can.
    fn poll(&mut self, waker: &Waker) -> Result<Flow, OperatorError> {
        let _ = waker;
        Ok(Flow::Ready)
    }

    /// Closes what has been staged since the last call, to be made durable by the returned future. It may be called
    /// while the writer is blocked: all that it has been given belongs to the checkpoint. If the checkpoint is aborted, what was prepared is kept by the worker and becomes part of the next one.
    fn prepare(&mut self, checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError>;

    /// The input has ended or the task is cancelled.
    fn close(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// What is to be published for one sink and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The identity of the output.
    pub lineage: Lineage,
    /// The sink.
    pub sink: OperatorUid,
    /// The claimed epoch whose output this is.
    pub epoch: Epoch,
    /// The task that prepared the committables.
    pub task: u32,
    /// What it prepared, in order.
    pub committables: Vec<Committable>,
}

/// Publishes. Called for claimed epochs only, again and again until it succeeds, and again after a restore.
pub trait Committer: Send + Sync {
    /// Publishes everything in `request`, or what of it is not published yet. Idempotent.
    fn commit(&self, request: CommitRequest) -> BoxFuture<Result<(), OperatorError>>;
}

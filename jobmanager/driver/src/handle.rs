//! How workers and people reach a running driver.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tidegate_coordinator::{
    CheckpointFailure, CheckpointStatistics, Event, JobStatus, Newcomer, NewcomerError, RequestId,
    SavepointError, SavepointInfo,
};
use tidegate_core::{
    CheckpointId, Severity, WorkerId, WorkerName,
    control::{WorkerOrder, WorkerReport},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{error::StoreError, savepoint, store::JobStore};

/// The capacity that a worker's order queue should have at least. A worker that leaves this many orders lying counts
/// as lost.
pub const ORDER_CAPACITY: usize = 256;

/// How many facts may wait for the driver.
pub(crate) const MESSAGE_CAPACITY: usize = 1024;

/// The driver has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the job's driver has ended; look at its outcome")]
pub struct DriverGone;

/// Why a worker is not one of a job's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttachError {
    /// The driver has ended.
    #[error(transparent)]
    Gone(#[from] DriverGone),
    /// It is not let in.
    #[error(transparent)]
    Refused(#[from] NewcomerError),
}

/// Why a savepoint was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SavepointRequestError {
    /// The driver has ended.
    #[error(transparent)]
    Gone(#[from] DriverGone),
    /// The name cannot be used, or the store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job could not take it.
    #[error(transparent)]
    Savepoint(#[from] SavepointError),
}

/// Why a checkpoint was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointRequestError {
    /// The driver has ended.
    #[error(transparent)]
    Gone(#[from] DriverGone),
    /// It did not come to be.
    #[error("{0}")]
    Failed(CheckpointFailure),
}

/// What reaches the driver's loop.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Event),
    Attach {
        request: RequestId,
        newcomer: Box<Newcomer>,
        orders: mpsc::Sender<WorkerOrder>,
        answer: oneshot::Sender<Result<WorkerId, NewcomerError>>,
    },
    Request {
        event: Event,
        request: RequestId,
        answer: oneshot::Sender<Result<SavepointInfo, SavepointError>>,
    },
}

/// Reaches a driver; cheap to clone. Every call may wait while the driver's queue is full.
#[derive(Clone, Debug)]
pub struct DriverHandle {
    messages: mpsc::Sender<Message>,
    status: watch::Receiver<JobStatus>,
    store: JobStore,
    next_request: Arc<AtomicU64>,
}

/// Takes one worker's reports to the driver; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReportSender {
    worker: WorkerId,
    messages: mpsc::Sender<Message>,
}

impl ReportSender {
    /// The worker that speaks.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Sends a report, in order after all that were sent before; waits while the driver's queue is full.
    pub async fn send(&self, report: WorkerReport) -> Result<(), DriverGone> {
        self.messages
            .send(self.message(report))
            .await
            .map_err(|_| DriverGone)
    }

    /// As [`send`](Self::send), for threads that may block. Must not be called from within an async runtime.
    pub fn blocking_send(&self, report: WorkerReport) -> Result<(), DriverGone> {
        self.messages
            .blocking_send(self.message(report))
            .map_err(|_| DriverGone)
    }

    fn message(&self, report: WorkerReport) -> Message {
        Message::Event(Event::Reported {
            worker: self.worker,
            report,
        })
    }
}

impl DriverHandle {
    pub(crate) fn new(
        messages: mpsc::Sender<Message>,
        status: watch::Receiver<JobStatus>,
        store: JobStore,
    ) -> Self {
        Self {
            messages,
            status,
            store,
            next_request: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Brings a worker. Its orders come through `orders`, a queue of [`ORDER_CAPACITY`]; it answers through the sender.
    /// A worker whose end of `orders` is dropped is lost. One that still runs what a driver before this one deployed says
    /// so, keeps its number, and is gone on with if the job can be; otherwise its first order is to stop that.
    ///
    /// # Errors
    /// If the driver has ended, or does not let the worker in.
    pub async fn attach_worker(
        &self,
        newcomer: Newcomer,
        orders: mpsc::Sender<WorkerOrder>,
    ) -> Result<(WorkerId, ReportSender), AttachError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Attach {
            request: self.mint_request(),
            newcomer: Box::new(newcomer),
            orders,
            answer,
        })
        .await?;
        let worker = answered.await.map_err(|_| DriverGone)??;
        let messages = self.messages.clone();
        Ok((worker, ReportSender { worker, messages }))
    }

    /// Says that a worker's process has ended, and how: exit status and last words. It becomes the cause of what follows,
    /// also if the worker's connection was noticed to be broken before; a worker that never attached counts as a failure of
    /// the job. With [`Severity::FailJob`] the job fails.
    pub async fn worker_gone(
        &self,
        name: WorkerName,
        reason: impl Into<String>,
        severity: Severity,
    ) -> Result<(), DriverGone> {
        let reason = reason.into();
        self.send(Message::Event(Event::WorkerGone {
            name,
            reason,
            severity,
        }))
        .await
    }

    /// Says that a worker is gone and all its tasks with it.
    pub async fn lose_worker(&self, worker: WorkerId, reason: impl Into<String>) -> Result<(), DriverGone> {
        let reason = reason.into();
        self.send(Message::Event(Event::WorkerLost { worker, reason }))
            .await
    }

    /// Takes a savepoint of the running job. Answers when it is copied and everything up to it is published.
    pub async fn savepoint(&self, name: &str) -> Result<SavepointInfo, SavepointRequestError> {
        savepoint::check_new_name(&self.store, name).await?;
        let name = name.to_owned();
        self.request(|request| Event::SavepointRequested { request, name })
            .await
    }

    /// Suspends the job: a checkpoint is taken, claimed and committed, then tasks stop and the driver ends with
    /// [`Suspended`](tidegate_coordinator::Outcome::Suspended). With a name, the checkpoint is a savepoint, and the answer
    /// comes when it is copied; without, at once.
    pub async fn suspend(
        &self,
        savepoint: Option<&str>,
    ) -> Result<Option<SavepointInfo>, SavepointRequestError> {
        let Some(name) = savepoint else {
            let event = Event::SuspendRequested {
                request: self.mint_request(),
                savepoint: None,
            };
            self.send(Message::Event(event)).await?;
            return Ok(None);
        };
        savepoint::check_new_name(&self.store, name).await?;
        let savepoint = Some(name.to_owned());
        self.request(|request| Event::SuspendRequested { request, savepoint })
            .await
            .map(Some)
    }

    /// Takes a checkpoint before its time. Answers when one that was triggered after this call is claimed.
    ///
    /// # Errors
    /// If the job ends before, or the checkpoint fails.
    pub async fn checkpoint(&self) -> Result<CheckpointStatistics, CheckpointRequestError> {
        let mut status = self.status();
        let before = newest_checkpoint(&status.borrow_and_update());
        self.send(Message::Event(Event::CheckpointRequested)).await?;
        let is_answer = |status: &JobStatus| status.outcome.is_some() || newest_answer(status) > before;
        let answered = status.wait_for(is_answer).await.map_err(|_| DriverGone)?;
        let failure = answered.checkpoint_failures.last();
        match (&answered.last_checkpoint, failure) {
            (Some(claimed), _) if Some(claimed.checkpoint) > before => Ok(claimed.clone()),
            (_, Some(failure)) if Some(failure.checkpoint) > before => {
                Err(CheckpointRequestError::Failed(failure.clone()))
            }
            _ => Err(DriverGone.into()),
        }
    }

    /// Ends the job: what is being claimed is committed first, then tasks stop and the driver ends with
    /// [`Canceled`](tidegate_coordinator::Outcome::Canceled). Answers at once.
    pub async fn cancel(&self) -> Result<(), DriverGone> {
        self.send(Message::Event(Event::CancelRequested)).await
    }

    /// The job's status, as it changes.
    pub fn status(&self) -> watch::Receiver<JobStatus> {
        self.status.clone()
    }

    /// Where the job keeps what it keeps.
    pub fn store(&self) -> &JobStore {
        &self.store
    }

    async fn request(
        &self,
        event: impl FnOnce(RequestId) -> Event,
    ) -> Result<SavepointInfo, SavepointRequestError> {
        let request = self.mint_request();
        let (answer, answered) = oneshot::channel();
        let event = event(request);
        self.send(Message::Request {
            event,
            request,
            answer,
        })
        .await?;
        Ok(answered.await.map_err(|_| DriverGone)??)
    }

    fn mint_request(&self) -> RequestId {
        RequestId(self.next_request.fetch_add(1, Relaxed))
    }

    async fn send(&self, message: Message) -> Result<(), DriverGone> {
        self.messages.send(message).await.map_err(|_| DriverGone)
    }
}

/// The newest checkpoint that has been claimed or has failed.
fn newest_answer(status: &JobStatus) -> Option<CheckpointId> {
    let claimed = status.last_checkpoint.as_ref().map(|last| last.checkpoint);
    let failed = status.checkpoint_failures.last().map(|last| last.checkpoint);
    claimed.max(failed)
}

/// The newest checkpoint that has been triggered.
fn newest_checkpoint(status: &JobStatus) -> Option<CheckpointId> {
    let pending = status.pending_checkpoint.map(|(checkpoint, _)| checkpoint);
    newest_answer(status).max(pending)
}

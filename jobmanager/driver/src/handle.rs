//! How workers and people reach a running driver.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use tidegate_coordinator::{Event, JobStatus, RequestId, SavepointError, SavepointInfo};
use tidegate_core::{
    WorkerId,
    control::{WorkerAddress, WorkerOrder, WorkerReport},
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

/// What reaches the driver's loop.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Event),
    Attach {
        address: WorkerAddress,
        orders: mpsc::Sender<WorkerOrder>,
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
    next_worker: Arc<AtomicU32>,
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
            next_worker: Arc::new(AtomicU32::new(0)),
            next_request: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Brings a worker. Its orders come through `orders`, a queue of [`ORDER_CAPACITY`]; it answers through the sender.
    /// A worker whose end of `orders` is dropped is lost.
    pub async fn attach_worker(
        &self,
        slots: u32,
        data: Option<SocketAddr>,
        orders: mpsc::Sender<WorkerOrder>,
    ) -> Result<(WorkerId, ReportSender), DriverGone> {
        let worker = WorkerId(self.next_worker.fetch_add(1, Relaxed));
        let address = WorkerAddress { worker, slots, data };
        self.send(Message::Attach { address, orders }).await?;
        let messages = self.messages.clone();
        Ok((worker, ReportSender { worker, messages }))
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

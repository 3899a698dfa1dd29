//! The link of a worker in a process of its own to its coordinator in a job manager, over gRPC.
//!
//! It carries the same orders and reports as the queues between a worker and a coordinator in one process. When the link
//! breaks, tasks run on, and the worker attaches again, saying what it runs: a new job manager may go on with that.
//! Nothing that happened meanwhile is kept to be told later, as all that matters is in what the worker says of itself then.
//! One that finds no job manager in time, or is refused, stops its tasks and returns.

mod attachment;
mod conversation;

use std::time::Duration;

use tidegate_core::{
    Generation, WorkerId,
    control::{WorkerOrder, WorkerReport},
};
use tidegate_proto::control::{ClusterSecret, Registration};
use tokio::{
    sync::{
        mpsc::{self, error::TryRecvError},
        watch,
    },
    time::{Instant, timeout_at},
};

use self::{
    attachment::{Attachment, NotAttached},
    conversation::{Generations, send_reports, take_orders},
};
use crate::{
    metrics::WorkerMetrics,
    standing::Standing,
    worker::{Worker, WorkerError},
};

/// Orders that the worker has not taken yet. More wait in the connection, and then with the coordinator.
const ORDER_CAPACITY: usize = 64;
/// Reports that the link has not taken yet.
const REPORT_CAPACITY: usize = 64;
/// How long to wait before the first try to attach again; doubles up to [`REATTACH_MOST`].
const REATTACH_FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two tries to attach again.
const REATTACH_MOST: Duration = Duration::from_secs(1);

/// Where and how to reach a job manager.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// Where it listens for workers, as `http://host:port`.
    pub coordinator: String,
    /// What the cluster's processes know.
    pub secret: Option<ClusterSecret>,
    /// From one sign of life to the next.
    pub heartbeat_interval: Duration,
    /// A job manager that has not been heard of for so long is lost.
    pub heartbeat_timeout: Duration,
    /// For how long to try to attach again when the job manager is lost. Zero ends the worker at once.
    pub reattach_timeout: Duration,
}

impl LinkOptions {
    /// A job manager at `coordinator`, without a secret: a beat a second, and five without one are the end.
    pub fn to(coordinator: impl Into<String>) -> Self {
        Self {
            coordinator: coordinator.into(),
            secret: None,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            reattach_timeout: Duration::from_secs(60),
        }
    }
}

/// Why a worker is not linked with a coordinator, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is none, or nobody is there.
    #[error(
        "cannot connect to the job manager at {coordinator:?}: {reason}; check the address and that it runs"
    )]
    Connect {
        /// Where.
        coordinator: String,
        /// Why.
        reason: String,
    },
    /// The job manager does not let the worker in.
    #[error("the job manager refuses the worker: {reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The link broke.
    #[error("the job manager is lost: {reason}")]
    Lost {
        /// How it is known.
        reason: String,
    },
    /// Orders came from a coordinator whose time is over.
    #[error("the job manager gives orders as generation {from} where generation {known} leads")]
    Outdated {
        /// Whose orders.
        from: Generation,
        /// The latest that the worker knows of.
        known: Generation,
    },
    /// The worker itself failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// An attached worker's link to its coordinator.
pub struct CoordinatorLink {
    registration: Registration,
    options: LinkOptions,
    attachment: Attachment,
}

impl CoordinatorLink {
    /// Connects and registers.
    ///
    /// # Errors
    /// [`LinkError::Connect`], [`LinkError::Refused`], [`LinkError::Lost`].
    pub async fn attach(options: LinkOptions, registration: Registration) -> Result<Self, LinkError> {
        let attached = Attachment::open(&options, Generation::default(), registration.clone()).await;
        Ok(Self {
            attachment: attached.map_err(|not| not.error)?,
            registration,
            options,
        })
    }

    /// The worker's number within the job.
    pub fn worker(&self) -> WorkerId {
        self.attachment.worker
    }

    /// Lets `worker` work for the coordinator until the job ends. When the link breaks, the worker's tasks go on for as
    /// long as [`LinkOptions::reattach_timeout`] allows; when there is no other, so do they end.
    ///
    /// # Errors
    /// [`LinkError::Lost`], [`LinkError::Refused`] and [`LinkError::Outdated`] if the link ended otherwise than with the
    /// job, [`LinkError::Worker`] if the worker failed; the coordinator is told then.
    pub async fn run(self, worker: Worker) -> Result<(), LinkError> {
        let Self {
            registration,
            options,
            attachment,
        } = self;
        let (orders, order_queue) = mpsc::channel(ORDER_CAPACITY);
        let (reports, report_queue) = mpsc::channel(REPORT_CAPACITY);
        let numbers = watch::Sender::new(attachment.worker);
        let (standing, metrics) = (worker.standing(), worker.metrics());
        let working = worker.run(numbers.subscribe(), order_queue, reports);
        let line = Line {
            registration,
            options,
            standing,
            metrics,
            numbers,
            known: attachment.generation,
            orders,
            reports: report_queue,
        };
        let (worked, line) = tokio::join!(working, line.hold(attachment));
        match (worked, line) {
            // A worker that was about to report when the link ended notices that as the end of its coordinator.
            (Ok(()) | Err(WorkerError::CoordinatorGone), line) => line.map(drop),
            (Err(error), line) => {
                if let Ok(Some((attachment, generation))) = line {
                    attachment.say_farewell(generation, error.to_string()).await;
                }
                Err(error.into())
            }
        }
    }
}

/// The worker's end of the link, through all its attachments.
struct Line {
    registration: Registration,
    options: LinkOptions,
    standing: Standing,
    metrics: WorkerMetrics,
    /// What the worker is called in the next deployment.
    numbers: watch::Sender<WorkerId>,
    /// The highest generation that the worker has been told of.
    known: Generation,
    orders: mpsc::Sender<WorkerOrder>,
    reports: mpsc::Receiver<WorkerReport>,
}

impl Line {
    /// Serves one attachment after another until the job or the worker ends; with that, both ends of the queues are gone,
    /// so that the worker ends too. Returns the attachment that there still is, with the generation to speak under.
    async fn hold(mut self, first: Attachment) -> Result<Option<(Attachment, Generation)>, LinkError> {
        let mut attachment = first;
        loop {
            match self.converse(&mut attachment).await {
                Ok(()) => return Ok(Some((attachment, self.known))),
                Err(LinkError::Lost { reason }) => {
                    drop(attachment);
                    match self.attach_again(reason).await? {
                        Some(again) => attachment = again,
                        None => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn converse(&mut self, attachment: &mut Attachment) -> Result<(), LinkError> {
        let generations = watch::Sender::new(Generations::new(self.known, attachment.generation)?);
        let (silence, beat) = (self.options.heartbeat_timeout, self.options.heartbeat_interval);
        let (incoming, outgoing) = (&mut attachment.incoming, &attachment.outgoing);
        let end = tokio::select! {
            end = take_orders(incoming, &generations, &self.standing, &self.orders, silence) => end,
            end = send_reports(&mut self.reports, &generations, &self.metrics, outgoing, beat) => end,
        };
        self.known = generations.borrow().known;
        end
    }

    /// Looks for a job manager while tasks go on. `None` if the worker ends meanwhile.
    async fn attach_again(&mut self, lost: String) -> Result<Option<Attachment>, LinkError> {
        let patience = self.options.reattach_timeout;
        tracing::warn!(
            reason = lost,
            ?patience,
            "the job manager is lost; tasks go on while it is looked for"
        );
        let orders = self.orders.clone();
        let attached = timeout_at(Instant::now() + patience, self.try_again());
        let attached = tokio::select! {
            () = orders.closed() => return Ok(None),
            attached = attached => attached,
        };
        match attached {
            Ok(attached) => attached,
            Err(_) => Err(LinkError::Lost {
                reason: format!("{lost}, and it was not to be reached again within {patience:?}"),
            }),
        }
    }

    async fn try_again(&mut self) -> Result<Option<Attachment>, LinkError> {
        let mut rest = REATTACH_FIRST;
        loop {
            tokio::time::sleep(rest).await;
            rest = (rest * 2).min(REATTACH_MOST);
            // What they tell is in the standing, which is read after them. Those that come later wait to be sent.
            loop {
                match self.reports.try_recv() {
                    Ok(_) => {}
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(None),
                }
            }
            let registration = Registration {
                running: self.standing.running(),
                ..self.registration.clone()
            };
            match Attachment::open(&self.options, self.known, registration).await {
                Ok(attachment) => {
                    tracing::info!(worker = %attachment.worker, "attached again");
                    self.numbers.send_replace(attachment.worker);
                    return Ok(Some(attachment));
                }
                Err(NotAttached {
                    error,
                    may_change: true,
                }) => tracing::debug!(%error, "not attached again yet"),
                Err(NotAttached { error, .. }) => return Err(error),
            }
        }
    }
}

//! The link of a worker in a process of its own to its coordinator in a job manager, over gRPC.
//!
//! It carries the same orders and reports as the queues between a worker and a coordinator in one process. The end of
//! the link is the end of the worker: an orphan stops its tasks and returns.

use std::time::Duration;

use futures::Stream;
use tidegate_core::{
    CheckpointId, Generation, WorkerId,
    control::{WorkerOrder, WorkerReport},
};
use tidegate_proto::control::{
    Attached, ClusterSecret, FromWorker, MESSAGE_LIMIT_BYTES, Registration, ToWorker, WorkerContent,
    WorkerControlClient, WorkerDirective,
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, timeout},
};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use crate::worker::{Worker, WorkerError};

/// Orders that the worker has not taken yet. More wait in the connection, and then with the coordinator.
const ORDER_CAPACITY: usize = 64;
/// Reports that the link has not taken yet.
const REPORT_CAPACITY: usize = 64;
/// Messages that the connection has not taken yet.
const OUTGOING_CAPACITY: usize = 16;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a registration may take to be answered: a coordinator that has only just started reads its chain first.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last words may take to be heard.
const FAREWELL: Duration = Duration::from_secs(2);

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
    worker: WorkerId,
    generation: watch::Sender<Generation>,
    outgoing: mpsc::Sender<FromWorker>,
    incoming: Streaming<ToWorker>,
    options: LinkOptions,
}

impl CoordinatorLink {
    /// Connects and registers.
    ///
    /// # Errors
    /// [`LinkError::Connect`], [`LinkError::Refused`], [`LinkError::Lost`].
    pub async fn attach(options: LinkOptions, registration: Registration) -> Result<Self, LinkError> {
        let mut client = connect(&options).await?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_CAPACITY);
        let first = FromWorker {
            generation: Generation::default(),
            content: WorkerContent::Registration(registration),
        };
        // The queue is empty and its other end is in this function.
        let _ = outgoing.try_send(first);
        let mut request = Request::new(stream_of(queue));
        if let Some(secret) = &options.secret {
            let proof = MetadataValue::try_from(secret.to_authorization());
            let mut proof = proof.map_err(|_| LinkError::Refused {
                reason: "the cluster secret cannot be sent in a header; choose letters and digits".to_owned(),
            })?;
            proof.set_sensitive(true);
            request.metadata_mut().insert("authorization", proof);
        }
        let registered = async {
            let mut incoming = client.attach(request).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, Status>((incoming, first))
        };
        let (incoming, first) = timeout(REGISTRATION_TIMEOUT, registered)
            .await
            .map_err(|_| LinkError::Lost {
                reason: format!("it did not answer the registration within {REGISTRATION_TIMEOUT:?}"),
            })?
            .map_err(refused)?;
        match first {
            Some(ToWorker {
                generation,
                directive: WorkerDirective::Attached(Attached { worker, .. }),
            }) => Ok(Self {
                worker,
                generation: watch::Sender::new(generation),
                outgoing,
                incoming,
                options,
            }),
            _ => Err(LinkError::Lost {
                reason: "its first message was no answer to the registration".to_owned(),
            }),
        }
    }

    /// The worker's number within the job.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Lets `worker` work for the coordinator until the job ends. Whenever the link ends, so do the worker's tasks.
    ///
    /// # Errors
    /// [`LinkError::Lost`] and [`LinkError::Outdated`] if the link ended otherwise than with the job,
    /// [`LinkError::Worker`] if the worker failed; the coordinator is told then.
    pub async fn run(self, worker: Worker) -> Result<(), LinkError> {
        let Self {
            worker: id,
            generation,
            outgoing,
            mut incoming,
            options,
        } = self;
        let (orders, order_queue) = mpsc::channel(ORDER_CAPACITY);
        let (reports, report_queue) = mpsc::channel(REPORT_CAPACITY);
        let working = worker.run(id, order_queue, reports);
        let linked = async {
            // Both ends of the queues go with this block, so that the worker ends with the link.
            tokio::select! {
                end = take_orders(&mut incoming, &generation, orders, options.heartbeat_timeout) => end,
                end = send_reports(report_queue, &generation, &outgoing, options.heartbeat_interval) => end,
            }
        };
        let (worked, link) = tokio::join!(working, linked);
        match (worked, link) {
            // A worker that was about to report when the link ended notices that as the end of its coordinator.
            (Ok(()) | Err(WorkerError::CoordinatorGone), link) => link,
            (Err(error), _) => {
                let generation = *generation.borrow();
                say_farewell(outgoing, incoming, generation, error.to_string()).await;
                Err(error.into())
            }
        }
    }
}

async fn connect(options: &LinkOptions) -> Result<WorkerControlClient<Channel>, LinkError> {
    let unreachable = |error: tonic::transport::Error| LinkError::Connect {
        coordinator: options.coordinator.clone(),
        reason: with_causes(&error),
    };
    let endpoint = Endpoint::from_shared(options.coordinator.clone()).map_err(unreachable)?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(options.heartbeat_interval)
        .keep_alive_timeout(options.heartbeat_timeout)
        .connect()
        .await
        .map_err(unreachable)?;
    Ok(WorkerControlClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn stream_of<T>(mut queue: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    futures::stream::poll_fn(move |context| queue.poll_recv(context))
}

fn refused(status: Status) -> LinkError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::Unavailable => LinkError::Refused { reason },
        _ => LinkError::Lost { reason },
    }
}

/// Hands orders to the worker. Ends well when the coordinator ends the stream.
async fn take_orders(
    incoming: &mut Streaming<ToWorker>,
    generation: &watch::Sender<Generation>,
    orders: mpsc::Sender<WorkerOrder>,
    silence: Duration,
) -> Result<(), LinkError> {
    loop {
        let message = match timeout(silence, incoming.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(status)) => {
                return Err(LinkError::Lost {
                    reason: status.message().to_owned(),
                });
            }
            Err(_) => {
                return Err(LinkError::Lost {
                    reason: format!("it has not been heard of for {silence:?}"),
                });
            }
        };
        let known = *generation.borrow();
        if message.generation < known {
            return Err(LinkError::Outdated {
                from: message.generation,
                known,
            });
        }
        if message.generation > known {
            generation.send_replace(message.generation);
        }
        match message.directive {
            WorkerDirective::Heartbeat => {}
            WorkerDirective::Order(order) => {
                if orders.send(order).await.is_err() {
                    // The worker has ended by itself and says why.
                    return Ok(());
                }
            }
            WorkerDirective::Attached(_) => {
                return Err(LinkError::Lost {
                    reason: "it attached the worker twice".to_owned(),
                });
            }
        }
    }
}

/// Takes reports to the coordinator, and a sign of life whenever it is due. Ends when the worker ends.
async fn send_reports(
    mut reports: mpsc::Receiver<WorkerReport>,
    generation: &watch::Sender<Generation>,
    outgoing: &mpsc::Sender<FromWorker>,
    beat: Duration,
) -> Result<(), LinkError> {
    let mut beats = tokio::time::interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let content = tokio::select! {
            report = reports.recv() => match report {
                Some(report) => WorkerContent::Report(report),
                None => return Ok(()),
            },
            _ = beats.tick() => WorkerContent::Heartbeat,
        };
        let message = FromWorker {
            generation: *generation.borrow(),
            content,
        };
        if outgoing.send(within_limit(message)).await.is_err() {
            // The other half of the link hears why.
            return std::future::pending().await;
        }
    }
}

/// An acknowledgement that no message can hold becomes a declined checkpoint with a reason, not a broken link.
fn within_limit(message: FromWorker) -> FromWorker {
    let FromWorker {
        generation,
        content:
            WorkerContent::Report(WorkerReport::Acknowledged {
                attempt, checkpoint, ..
            }),
    } = &message
    else {
        return message;
    };
    let size = message.encoded_size();
    if size <= MESSAGE_LIMIT_BYTES {
        return message;
    }
    FromWorker {
        generation: *generation,
        content: WorkerContent::Report(WorkerReport::Declined {
            attempt: *attempt,
            checkpoint: *checkpoint,
            reason: too_large(*checkpoint, size),
        }),
    }
}

fn too_large(checkpoint: CheckpointId, size: usize) -> String {
    format!(
        "the acknowledgement of checkpoint {checkpoint} has {size} bytes where {MESSAGE_LIMIT_BYTES} are the most; keep less \
         state that is not keyed, or run fewer tasks on a worker"
    )
}

/// Says why the worker ends, and waits, within bounds, until it is heard.
async fn say_farewell(
    outgoing: mpsc::Sender<FromWorker>,
    mut incoming: Streaming<ToWorker>,
    generation: Generation,
    reason: String,
) {
    let last_words = FromWorker {
        generation,
        content: WorkerContent::Leaving { reason },
    };
    let heard = async {
        if outgoing.send(last_words).await.is_ok() {
            drop(outgoing);
            while let Ok(Some(_)) = incoming.message().await {}
        }
    };
    // Whoever does not hear it notices the end of the stream.
    let _ = timeout(FAREWELL, heard).await;
}

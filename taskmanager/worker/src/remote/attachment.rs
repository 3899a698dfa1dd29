//! One stream to a job manager, from its registration on.

use std::time::Duration;

use futures::Stream;
use tidegate_core::{Generation, WorkerId};
use tidegate_proto::control::{
    Attached, FromWorker, MESSAGE_LIMIT_BYTES, Registration, ToWorker, WorkerContent, WorkerControlClient,
    WorkerDirective,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use super::{LinkError, LinkOptions};

/// Messages that the connection has not taken yet.
const OUTGOING_CAPACITY: usize = 16;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a registration may take to be answered: a coordinator that has only just started reads its chain first.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last words may take to be heard.
const FAREWELL: Duration = Duration::from_secs(2);

/// A stream to a job manager that has let the worker in.
pub(super) struct Attachment {
    /// The worker's number within the job.
    pub(super) worker: WorkerId,
    /// That of the coordinator; 0 if it has none yet.
    pub(super) generation: Generation,
    pub(super) outgoing: mpsc::Sender<FromWorker>,
    pub(super) incoming: Streaming<ToWorker>,
}

/// Why there is no attachment.
pub(super) struct NotAttached {
    pub(super) error: LinkError,
    /// Whether it may be otherwise in a while: the job manager is not there yet, or does not know the job yet.
    pub(super) may_change: bool,
}

impl NotAttached {
    fn lost(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            error: LinkError::Lost { reason },
            may_change: true,
        }
    }

    fn by(status: Status) -> Self {
        let reason = status.message().to_owned();
        let (refuses, may_change) = match status.code() {
            Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument | Code::Aborted => {
                (true, false)
            }
            Code::NotFound | Code::DeadlineExceeded | Code::Unavailable => (true, true),
            _ => (false, true),
        };
        Self {
            error: match refuses {
                true => LinkError::Refused { reason },
                false => LinkError::Lost { reason },
            },
            may_change,
        }
    }
}

impl Attachment {
    /// Connects and registers, having been told of generation `known`.
    pub(super) async fn open(
        options: &LinkOptions,
        known: Generation,
        registration: Registration,
    ) -> Result<Self, NotAttached> {
        let mut client = connect(options).await.map_err(|error| NotAttached {
            error,
            may_change: true,
        })?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_CAPACITY);
        let first = FromWorker {
            generation: known,
            content: WorkerContent::Registration(registration),
        };
        // The queue is empty and its other end is in this function.
        let _ = outgoing.try_send(first);
        let mut request = Request::new(stream_of(queue));
        if let Some(secret) = &options.secret {
            let proof = MetadataValue::try_from(secret.to_authorization());
            let mut proof = proof.map_err(|_| NotAttached {
                error: LinkError::Refused {
                    reason: "the cluster secret cannot be sent in a header; choose letters and digits"
                        .to_owned(),
                },
                may_change: false,
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
            .map_err(|_| {
                NotAttached::lost(format!(
                    "it did not answer the registration within {REGISTRATION_TIMEOUT:?}"
                ))
            })?
            .map_err(NotAttached::by)?;
        match first {
            Some(ToWorker {
                generation,
                directive: WorkerDirective::Attached(Attached { worker, .. }),
            }) => Ok(Self {
                worker,
                generation,
                outgoing,
                incoming,
            }),
            _ => Err(NotAttached::lost(
                "its first message was no answer to the registration",
            )),
        }
    }

    /// Says why the worker ends, and waits, within bounds, until it is heard.
    pub(super) async fn say_farewell(self, generation: Generation, reason: String) {
        let Self {
            outgoing,
            mut incoming,
            ..
        } = self;
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

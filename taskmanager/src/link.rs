//! The stream to the job manager.

use std::time::Duration;

use futures::Stream;
use tidegate_core::Generation;
use tidegate_proto::{
    control::{MESSAGE_LIMIT_BYTES, ProtocolRange},
    taskmanager::{
        Attached, Content, Directive, FromTaskManager, Registration, TaskManagerControlClient, ToTaskManager,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use crate::{error::TaskManagerError, options::LinkOptions};

/// Messages that the connection has not taken yet.
const OUTGOING_CAPACITY: usize = 64;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a registration may take to be answered: a job manager that has only just started reads its storage first.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no stream, or none any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nobody is there, or not any more. Trying again may help.
    #[error("{0}")]
    Lost(String),
    /// It does not let this task manager in as it is.
    #[error("{0}")]
    Refused(String),
    /// Another process has taken this task manager's id.
    #[error("{0}")]
    Replaced(String),
}

/// A stream to a job manager that has let this task manager in.
pub(crate) struct Link {
    /// What the job manager says first.
    pub(crate) attached: Attached,
    /// The generation of the cluster, which rises.
    pub(crate) generation: Generation,
    outgoing: mpsc::Sender<FromTaskManager>,
    incoming: Streaming<ToTaskManager>,
    /// After which a message that nobody takes means that the stream is broken.
    patience: Duration,
}

/// Where to connect.
pub(crate) fn endpoint(options: &LinkOptions) -> Result<Endpoint, TaskManagerError> {
    let unusable = |reason: String| TaskManagerError::JobManagerAddress {
        address: options.job_manager.clone(),
        reason,
    };
    let endpoint =
        Endpoint::from_shared(options.job_manager.clone()).map_err(|error| unusable(with_causes(&error)))?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
        return Err(unusable("it is no http URL with a host".to_owned()));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(options.heartbeat_interval)
        .keep_alive_timeout(options.heartbeat_timeout))
}

impl Link {
    /// Connects and registers, as one who knows of `generation`.
    pub(crate) async fn attach(
        endpoint: &Endpoint,
        options: &LinkOptions,
        generation: Generation,
        registration: Registration,
    ) -> Result<Self, LinkError> {
        let mut client = connect(endpoint).await?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_CAPACITY);
        let first = FromTaskManager {
            generation,
            content: Content::Registration(registration),
        };
        // The queue is empty and its other end is in this function.
        let _ = outgoing.try_send(first);
        let request = authorized(Request::new(stream_of(queue)), options)?;
        let registered = async {
            let mut incoming = client.attach(request).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, Status>((incoming, first))
        };
        let (incoming, first) = timeout(REGISTRATION_TIMEOUT, registered)
            .await
            .map_err(|_| {
                LinkError::Lost(format!(
                    "it did not answer the registration within {REGISTRATION_TIMEOUT:?}"
                ))
            })?
            .map_err(|status| failed(&status))?;
        match first {
            Some(ToTaskManager {
                generation: leads,
                directive: Directive::Attached(attached),
            }) if leads >= generation => Ok(Self {
                attached: understood(attached)?,
                generation: leads,
                outgoing,
                incoming,
                patience: options.heartbeat_timeout,
            }),
            Some(ToTaskManager {
                generation: leads, ..
            }) if leads < generation => Err(outdated(leads, generation)),
            _ => Err(LinkError::Lost(
                "its first message was no answer to the registration".to_owned(),
            )),
        }
    }

    /// Says something. What the connection does not take within the timeout is the end of the stream.
    pub(crate) async fn say(&self, content: Content) -> Result<(), LinkError> {
        let message = FromTaskManager {
            generation: self.generation,
            content,
        };
        self.outgoing
            .send_timeout(message, self.patience)
            .await
            .map_err(|_| LinkError::Lost(format!("it has taken no message for {:?}", self.patience)))
    }

    /// What the job manager says next. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn hear(&mut self) -> Result<Directive, LinkError> {
        let message = self.incoming.message().await.map_err(|status| failed(&status))?;
        let Some(message) = message else {
            return Err(LinkError::Lost("it has ended the stream".to_owned()));
        };
        if message.generation < self.generation {
            return Err(outdated(message.generation, self.generation));
        }
        self.generation = message.generation;
        Ok(message.directive)
    }

    /// Says why this task manager goes, and waits, within bounds, until it is heard.
    pub(crate) async fn say_farewell(mut self, reason: String) {
        let heard = async {
            if self.say(Content::Leaving { reason }).await.is_ok() {
                drop(self.outgoing);
                while let Ok(Some(_)) = self.incoming.message().await {}
            }
        };
        // A job manager that does not hear it notices the end of the stream.
        let _ = timeout(FAREWELL, heard).await;
    }
}

/// How long the last words may take to be heard.
const FAREWELL: Duration = Duration::from_secs(1);

/// The two agree on a version, and this side must speak it.
fn understood(attached: Attached) -> Result<Attached, LinkError> {
    let own = ProtocolRange::task_manager_control();
    let chosen = attached.protocol_version;
    if (own.oldest..=own.newest).contains(&chosen) {
        return Ok(attached);
    }
    Err(LinkError::Refused(format!(
        "it wants to speak version {chosen} of {}, and this task manager speaks {own}; install releases of tidegate that \
         share a version on both machines",
        own.name
    )))
}

async fn connect(endpoint: &Endpoint) -> Result<TaskManagerControlClient<Channel>, LinkError> {
    let connected = endpoint.connect().await;
    let channel = connected.map_err(|error| LinkError::Lost(with_causes(&error)))?;
    Ok(TaskManagerControlClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES))
}

fn authorized<T>(mut request: Request<T>, options: &LinkOptions) -> Result<Request<T>, LinkError> {
    if let Some(secret) = &options.secret {
        let proof = MetadataValue::try_from(secret.to_authorization());
        let mut proof = proof.map_err(|_| {
            LinkError::Refused(
                "the cluster secret cannot be sent in a header; choose letters and digits".to_owned(),
            )
        })?;
        proof.set_sensitive(true);
        request.metadata_mut().insert("authorization", proof);
    }
    Ok(request)
}

fn stream_of<T>(mut queue: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    futures::stream::poll_fn(move |context| queue.poll_recv(context))
}

fn failed(status: &Status) -> LinkError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument => {
            LinkError::Refused(reason)
        }
        Code::Unimplemented => LinkError::Refused(format!(
            "it takes no task managers: {reason}; check the address, and that it is a job manager of this release"
        )),
        Code::AlreadyExists => LinkError::Replaced(reason),
        _ => LinkError::Lost(reason),
    }
}

fn outdated(leads: Generation, known: Generation) -> LinkError {
    LinkError::Lost(format!(
        "it leads generation {leads} of the cluster where generation {known} is known, so that its time is over"
    ))
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

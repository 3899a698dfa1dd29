//! A job manager that says what a test wants it to.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures::{FutureExt, Stream};
use tidegate_core::Generation;
use tidegate_proto::taskmanager::{
    Attached, Content, Directive, FromTaskManager, Order, Registration, Report, ResourceUse,
    TaskManagerControl, TaskManagerControlServer, ToTaskManager,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

/// After which a test has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the job manager does with whoever comes.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// Lets it in, as this generation.
    Accept(u64),
    /// Lets it in and speaks this version from then on.
    AcceptAt(u32),
    Refuse(Status),
}

/// A job manager on a port of its own.
pub(crate) struct JobManager {
    pub(crate) address: SocketAddr,
    pub(crate) policy: watch::Sender<Policy>,
    /// What those that came had for `authorization`.
    sessions: mpsc::Receiver<Session>,
    serving: JoinHandle<()>,
}

/// The stream of a task manager that was let in.
pub(crate) struct Session {
    pub(crate) registration: Registration,
    /// The generation that it knew of.
    pub(crate) seen: Generation,
    pub(crate) authorization: Option<String>,
    generation: Generation,
    outgoing: mpsc::Sender<Result<ToTaskManager, Status>>,
    incoming: Streaming<FromTaskManager>,
}

struct Service {
    storage: String,
    policy: watch::Receiver<Policy>,
    sessions: mpsc::Sender<Session>,
}

impl JobManager {
    /// Serves a storage, at an address that may have been another's before.
    pub(crate) async fn start(address: SocketAddr, storage: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (policy, policy_seen) = watch::channel(Policy::Accept(1));
        let (sender, sessions) = mpsc::channel(16);
        let service = TaskManagerControlServer::new(Service {
            storage: storage.to_owned(),
            policy: policy_seen,
            sessions: sender,
        });
        let serving = Server::builder().serve_with_incoming(service, TcpIncoming::from(listener));
        Self {
            address,
            policy,
            sessions,
            serving: tokio::spawn(serving.map(|served| served.unwrap())),
        }
    }

    pub(crate) async fn session(&mut self) -> Session {
        let session = timeout(PATIENCE, self.sessions.recv()).await;
        session
            .expect("a task manager comes in time")
            .expect("the server lives")
    }

    /// Ends it as the death of its process would.
    pub(crate) async fn die(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.address
    }
}

#[tonic::async_trait]
impl TaskManagerControl for Service {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ToTaskManager, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromTaskManager>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let authorization = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let (generation, protocol_version) = match self.policy.borrow().clone() {
            Policy::Accept(generation) => (Generation(generation), 1),
            Policy::AcceptAt(version) => (Generation(1), version),
            Policy::Refuse(status) => return Err(status),
        };
        let mut incoming = request.into_inner();
        let Some(FromTaskManager {
            generation: seen,
            content: Content::Registration(registration),
        }) = incoming.message().await?
        else {
            return Err(Status::invalid_argument("the registration comes first"));
        };
        let (outgoing, mut queue) = mpsc::channel(16);
        let attached = Directive::Attached(Attached {
            protocol_version,
            storage: self.storage.clone(),
        });
        let session = Session {
            registration,
            seen,
            authorization,
            generation,
            outgoing,
            incoming,
        };
        session.say(attached).await;
        self.sessions.send(session).await.unwrap();
        Ok(Response::new(Box::pin(futures::stream::poll_fn(
            move |context| queue.poll_recv(context),
        ))))
    }
}

impl Session {
    pub(crate) async fn say(&self, directive: Directive) {
        let message = ToTaskManager {
            generation: self.generation,
            directive,
        };
        self.outgoing.send(Ok(message)).await.unwrap();
    }

    pub(crate) async fn say_as(&self, generation: u64, directive: Directive) {
        let message = ToTaskManager {
            generation: Generation(generation),
            directive,
        };
        self.outgoing.send(Ok(message)).await.unwrap();
    }

    pub(crate) async fn order(&self, order: Order) {
        self.say(Directive::Order(order)).await;
    }

    /// Ends the stream with a status.
    pub(crate) async fn end(self, status: Status) {
        self.outgoing.send(Err(status)).await.unwrap();
    }

    /// What comes next; beats are sent meanwhile. `None` at the end of the stream.
    pub(crate) async fn hear(&mut self) -> Option<Content> {
        let heard = async {
            loop {
                tokio::select! {
                    message = self.incoming.message() => return message.ok().flatten(),
                    () = tokio::time::sleep(Duration::from_millis(100)) => {
                        let beat = ToTaskManager { generation: self.generation, directive: Directive::Heartbeat };
                        let _ = self.outgoing.try_send(Ok(beat));
                    }
                }
            }
        };
        let message = timeout(PATIENCE, heard).await.expect("something is said in time");
        message.map(|message| {
            assert_eq!(
                message.generation, self.generation,
                "every message has the generation"
            );
            message.content
        })
    }

    /// Whether the task manager ends the stream, whatever it says before.
    pub(crate) async fn hear_end(&mut self) -> bool {
        while self.hear().await.is_some() {}
        true
    }

    pub(crate) fn is_generation(&self, generation: u64) -> bool {
        self.generation == Generation(generation)
    }

    pub(crate) async fn report(&mut self) -> Report {
        loop {
            match self.hear().await.expect("the stream goes on") {
                Content::Report(report) => return report,
                Content::Heartbeat(_) => {}
                other => panic!("a report was expected, not {other:?}"),
            }
        }
    }

    /// A sign of life for which something holds.
    pub(crate) async fn heartbeat(&mut self, holds: impl Fn(&ResourceUse) -> bool) -> ResourceUse {
        loop {
            match self.hear().await.expect("the stream goes on") {
                Content::Heartbeat(resources) if holds(&resources) => return resources,
                _ => {}
            }
        }
    }

    /// Why the task manager leaves.
    pub(crate) async fn farewell(&mut self) -> String {
        loop {
            let said = self.hear().await.expect("it says why it leaves");
            if let Content::Leaving { reason } = said {
                return reason;
            }
        }
    }
}

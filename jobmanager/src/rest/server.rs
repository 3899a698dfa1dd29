//! The HTTP server under the interface: its options, its service and its handle.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use super::{
    connections::{Connection, Connections},
    gate::Gate,
    router,
    token::BearerToken,
};
use crate::cluster::ClusterHandle;

/// How many headers a request may have.
const MAX_HEADERS: usize = 64;
/// How long a request's line and headers may be together.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long a connection that has to go may still take to hand out its last answer.
const CLOSING_GRACE: Duration = Duration::from_secs(1);
/// The pause after a connection could not be taken: there may be no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may reach a server that asks for no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Exposure {
    /// Whoever is on this machine: other addresses are refused when the server is bound.
    #[default]
    LoopbackOnly,
    /// Everybody who reaches the address. Whoever does can run code in the cluster.
    Insecure,
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Where it listens; port 0 lets the system choose. Loopback only, unless there is a token.
    pub listen: SocketAddr,
    /// What requests must carry.
    pub token: Option<BearerToken>,
    /// Who may reach it without a token.
    pub exposure: Exposure,
    /// How many clients may be connected. For one more, the one that has been idle for the longest is disconnected.
    pub max_connections: usize,
    /// How long a client may take to say what it wants, and how long it may be connected without saying it.
    pub idle_timeout: Duration,
    /// What `GET /v1/config` shows: the effective settings, secrets redacted.
    pub shown_settings: serde_json::Value,
}

impl Default for RestOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            token: None,
            exposure: Exposure::default(),
            max_connections: 512,
            idle_timeout: Duration::from_secs(30),
            shown_settings: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// Why a server could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// It would be open to everybody.
    #[error(
        "refusing to serve REST on {address} without a bearer token: whoever reaches it could run code; configure a token, \
         listen on 127.0.0.1, or say --insecure"
    )]
    Open {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot serve REST on {address}: {cause}; choose another address or port 0")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
}

/// Serves the interface. Made by [`bind`](Self::bind), consumed by [`run`](Self::run).
pub struct RestServer {
    listener: TcpListener,
    gate: Gate,
    shown_settings: serde_json::Value,
    connections: Connections,
    idle_timeout: Duration,
    closing: watch::Receiver<bool>,
}

/// Reaches a server; cheap to clone.
#[derive(Clone, Debug)]
pub struct RestHandle {
    address: SocketAddr,
    closing: watch::Sender<bool>,
}

impl RestServer {
    /// Opens the server. Clients that come before [`run`](Self::run) wait.
    ///
    /// # Errors
    /// If the address is not loopback and there is neither a token nor [`Exposure::Insecure`], or cannot be had.
    pub async fn bind(options: RestOptions) -> Result<(Self, RestHandle), RestError> {
        let address = options.listen;
        let gate = match (options.token, options.exposure) {
            (Some(token), _) => Gate::Token(token),
            (None, Exposure::Insecure) => Gate::Insecure,
            (None, Exposure::LoopbackOnly) if address.ip().is_loopback() => Gate::Loopback,
            (None, Exposure::LoopbackOnly) => return Err(RestError::Open { address }),
        };
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, bound) = bound.await.map_err(|cause| RestError::Bind { address, cause })?;
        let (closing, closes) = watch::channel(false);
        let server = Self {
            listener,
            gate,
            shown_settings: options.shown_settings,
            connections: Connections::new(options.max_connections),
            idle_timeout: options.idle_timeout,
            closing: closes,
        };
        let handle = RestHandle {
            address: bound,
            closing,
        };
        Ok((server, handle))
    }

    /// Serves a cluster until [`RestHandle::shut_down`], or until all handles are gone; then answers what has been asked.
    pub async fn run(self, cluster: ClusterHandle) {
        let service = Service {
            router: router::router(cluster, self.gate, self.shown_settings),
            idle_timeout: self.idle_timeout,
            closing: self.closing.clone(),
        };
        let mut closing = self.closing;
        let mut conversations = JoinSet::new();
        let taken = async |listener: &TcpListener| match listener.accept().await {
            Ok((stream, _)) => Some((self.connections.enter().await, stream)),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        };
        loop {
            tokio::select! {
                biased;
                () = closes(&mut closing) => break,
                taken = taken(&self.listener) => if let Some((connection, stream)) = taken {
                    conversations.spawn(service.clone().converse(connection, stream));
                    // Those that have ended are forgotten; there are never more than there is room for.
                    while conversations.try_join_next().is_some() {}
                },
            }
        }
        drop(self.listener);
        while conversations.join_next().await.is_some() {}
    }
}

/// What every connection is served with.
#[derive(Clone)]
struct Service {
    router: Router,
    idle_timeout: Duration,
    closing: watch::Receiver<bool>,
}

impl Service {
    async fn converse(mut self, connection: Connection, stream: TcpStream) {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let router = self.router.clone();
            let work = connection.work();
            async move {
                let response: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
                drop(work);
                response
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.idle_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            () = either(connection.closes(), closes(&mut self.closing)) => {
                served.as_mut().graceful_shutdown();
                let grace = connection.grace(CLOSING_GRACE);
                tokio::time::timeout(grace, served).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

impl RestHandle {
    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server, at once for clients that have asked nothing.
    pub fn shut_down(&self) {
        // Without a receiver the server has ended.
        let _ = self.closing.send(true);
    }
}

async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = other => {}
    }
}

/// Ends when the server is to end.
async fn closes(closing: &mut watch::Receiver<bool>) {
    // An error says that all handles are gone.
    let _ = closing.wait_for(|closing| *closing).await;
}

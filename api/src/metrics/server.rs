//! Serves a job's metrics over HTTP.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::Semaphore};

use super::exposition::{self, Scrape};
use crate::{Error, JobControl, Result, clock};

/// How many clients are answered at a time; others wait.
const MAX_CONNECTIONS: usize = 16;
/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take for everything.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a connection could not be taken: there may be no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address at which a job's metrics are to be served: see [`JobControl::serve_metrics`].
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsServer {
    /// Takes an address; port 0 is any that is free. What is served says much about a job and asks for no password: an
    /// address other than a loopback one is for networks that are trusted.
    ///
    /// # Errors
    /// [`Error::MetricsAddress`] if it cannot be had.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().map_err(|source| Error::MetricsAddress { address, source })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl JobControl {
    /// Serves the job's [metrics](crate::metrics) at `/metrics` until the job ends.
    pub fn serve_metrics(&self, server: MetricsServer) {
        self.spawn(serve(self.clone(), server));
    }

    fn scrape(&self) -> Scrape {
        Scrape {
            job: self.job().to_string(),
            status: self.status(),
            tasks: self.metrics(),
            now: clock::now(),
        }
    }
}

async fn serve(control: JobControl, server: MetricsServer) {
    let listener = match tokio::net::TcpListener::from_std(server.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, address = %server.address, "metrics cannot be served");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let conversation = converse(control.clone(), stream);
                tokio::spawn(async move {
                    // A client that goes away, or takes too long, is its own affair.
                    let _ = tokio::time::timeout(ANSWER_TIMEOUT, conversation).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(control: JobControl, stream: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), || control.scrape());
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a request for metrics was not answered");
    }
}

fn answer(method: &Method, path: &str, scrape: impl FnOnce() -> Scrape) -> Response<Full<Bytes>> {
    if path != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics can be read only\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match scrape().text() {
        Ok(text) => {
            let mut response = Response::new(Full::from(text));
            let kind = HeaderValue::from_static(exposition::CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::warn!(%error, "metrics could not be written down");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics could not be written down\n",
            )
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

//! Where the task manager is watched: `/metrics`, `/healthz` and `/readyz` over HTTP.

use std::net::{SocketAddr, TcpListener};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::watch;

use crate::{
    metrics,
    service::{Attachment, TaskManagerHandle},
};

/// An address at which a task manager is watched.
#[derive(Debug)]
pub struct MetricsEndpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsEndpoint {
    /// Takes an address; port 0 is any that is free. What is served asks for no password: an address other than a loopback
    /// one is for networks that are trusted.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves a task manager's `/metrics` in the OpenMetrics format, `/healthz`, which says that the process lives, and
    /// `/readyz`, which says whether it is attached to a job manager. Returns when it is dropped or the listener fails.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, task_manager: TaskManagerHandle) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthy))
            .route("/readyz", get(ready))
            .with_state(task_manager);
        axum::serve(listener, router).await
    }
}

async fn metrics(State(task_manager): State<TaskManagerHandle>) -> Response {
    match task_manager.node.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "metrics could not be written down");
            let text = "metrics could not be written down\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

async fn healthy() -> &'static str {
    "alive\n"
}

async fn ready(State(task_manager): State<TaskManagerHandle>) -> Response {
    let attachment: watch::Receiver<Attachment> = task_manager.attachment();
    let attachment = attachment.borrow().clone();
    match attachment {
        Attachment::Attached { generation } => {
            format!("attached to generation {generation}\n").into_response()
        }
        Attachment::Detached { reason } => {
            let reason = reason.unwrap_or_else(|| "it is being looked for".to_owned());
            let text = format!("not attached to a job manager: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

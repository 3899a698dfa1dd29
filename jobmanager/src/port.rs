//! The port where workers attach: its options, its service and its handle.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tidegate_core::{JobId, WorkerName};
use tidegate_proto::{
    control::{ClusterSecret, MESSAGE_LIMIT_BYTES, WorkerControlServer},
    taskmanager::TaskManagerControlServer,
};
use tokio::sync::watch;
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    cluster::TaskManagerService,
    roster::{AlreadyHosted, HostedJob, Roster, WorkerWatcher},
    service::ControlService,
    services::Services,
    session::Pulse,
};

/// How a port is set up.
#[derive(Clone, Debug)]
pub struct WorkerPortOptions {
    /// Where it listens; port 0 lets the system choose. Loopback only, unless there is a secret.
    pub listen: SocketAddr,
    /// What workers must know; without it, whoever reaches the port may attach.
    pub secret: Option<ClusterSecret>,
    /// From one sign of life to the next.
    pub heartbeat_interval: Duration,
    /// A worker that has not been heard of for so long is lost.
    pub heartbeat_timeout: Duration,
}

impl Default for WorkerPortOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            secret: None,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
        }
    }
}

/// Why a port could not be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It would be open to everybody.
    #[error(
        "refusing to listen for workers on {address} without a cluster secret: whoever reaches it could run code; set \
         TIDEGATE_CLUSTER_SECRET or listen on 127.0.0.1"
    )]
    Open {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen for workers on {address}: {cause}; choose another address or port 0")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// A worker would be taken for dead between two of its beats.
    #[error(
        "the heartbeat timeout {timeout:?} is not longer than the interval {interval:?}; make it several times as long"
    )]
    Heartbeat {
        /// The interval.
        interval: Duration,
        /// The timeout.
        timeout: Duration,
    },
    /// It stopped serving.
    #[error("the port for workers failed: {0}; start the job manager again")]
    Serve(tonic::transport::Error),
}

/// The port where workers attach. Made by [`bind`](Self::bind), consumed by [`run`](Self::run).
pub struct WorkerPort {
    options: WorkerPortOptions,
    listener: tokio::net::TcpListener,
    roster: Arc<Roster>,
    closing: watch::Receiver<bool>,
}

/// Reaches a port; cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerPortHandle {
    address: SocketAddr,
    roster: Arc<Roster>,
    closing: watch::Sender<bool>,
}

impl WorkerPort {
    /// Opens the port. Workers that come before [`run`](Self::run) wait.
    ///
    /// # Errors
    /// If the address is not loopback and there is no secret, the address cannot be had, or the timeout is not longer than
    /// the interval.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(options: WorkerPortOptions) -> Result<(Self, WorkerPortHandle), PortError> {
        let address = options.listen;
        if options.secret.is_none() && !address.ip().is_loopback() {
            return Err(PortError::Open { address });
        }
        let (interval, timeout) = (options.heartbeat_interval, options.heartbeat_timeout);
        if interval.is_zero() || timeout <= interval {
            return Err(PortError::Heartbeat { interval, timeout });
        }
        let (listener, bound) = listen(address).map_err(|cause| PortError::Bind { address, cause })?;
        let roster = Arc::new(Roster::default());
        let (closing, closes) = watch::channel(false);
        let handle = WorkerPortHandle {
            address: bound,
            roster: Arc::clone(&roster),
            closing,
        };
        let port = Self {
            options,
            listener,
            roster,
            closing: closes,
        };
        Ok((port, handle))
    }

    /// Serves until [`WorkerPortHandle::shut_down`], or until all handles are gone. Workers that are still attached then
    /// are lost to their jobs.
    ///
    /// # Errors
    /// If connections can no longer be accepted.
    pub async fn run(self) -> Result<(), PortError> {
        self.serve(None).await
    }

    /// As [`run`](Self::run), and task managers attach at the same port.
    pub(crate) async fn serve(self, task_managers: Option<TaskManagerService>) -> Result<(), PortError> {
        let pulse = Pulse {
            interval: self.options.heartbeat_interval,
            timeout: self.options.heartbeat_timeout,
        };
        let roster = Arc::clone(&self.roster);
        let workers = WorkerControlServer::new(ControlService {
            roster: self.roster,
            secret: self.options.secret,
            pulse,
        })
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
        let task_managers = task_managers.map(|service| {
            TaskManagerControlServer::new(service)
                .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
                .max_encoding_message_size(MESSAGE_LIMIT_BYTES)
        });
        let service = Services {
            workers,
            task_managers,
        };
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let mut closing = self.closing;
        let closed = async move {
            // Handles that are all gone close it too.
            let _ = closing.wait_for(|closing| *closing).await;
            roster.withdraw_all();
        };
        Server::builder()
            // Finds out about connections that have not registered yet and whose other end is gone.
            .http2_keepalive_interval(Some(pulse.interval))
            .http2_keepalive_timeout(Some(pulse.timeout))
            .serve_with_incoming_shutdown(service, incoming, closed)
            .await
            .map_err(PortError::Serve)
    }
}

impl WorkerPortHandle {
    /// Where workers attach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the workers of a job attach.
    ///
    /// # Errors
    /// If a job of this name is hosted already.
    pub fn host(&self, job: HostedJob) -> Result<(), AlreadyHosted> {
        self.roster.host(job, None)
    }

    /// As [`host`](Self::host), and somebody is told of the workers.
    pub(crate) fn host_watched(
        &self,
        job: HostedJob,
        watcher: Arc<dyn WorkerWatcher>,
    ) -> Result<(), AlreadyHosted> {
        self.roster.host(job, Some(watcher))
    }

    /// A worker is known to be gone, and its driver has been told: its session ends.
    pub(crate) fn dismiss(&self, job: &JobId, worker: &WorkerName) {
        self.roster.dismiss(job, worker);
    }

    /// Lets no more workers of a job attach. Those that are attached are lost to it. Whether the job was hosted.
    pub fn withdraw(&self, job: &JobId) -> bool {
        self.roster.withdraw(job).is_some()
    }

    /// Closes the port.
    pub fn shut_down(&self) {
        self.closing.send_replace(true);
    }
}

fn listen(address: SocketAddr) -> std::io::Result<(tokio::net::TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((tokio::net::TcpListener::from_std(listener)?, bound))
}

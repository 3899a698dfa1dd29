//! A worker: its options, its way into a job, and its data port.

mod service;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use object_store::{ObjectStore, path::Path};
use tidegate_core::{
    Faults, OperatorUid, TaskId, WorkerId,
    control::{WorkerOrder, WorkerReport},
};
use tidegate_exchange::{Network, NetworkOptions, PeerFailure, PeerSecret};
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{self, UnboundedReceiver},
        watch,
    },
};

use self::service::Service;
use crate::{
    clock::Clock, local_segments::LocalSegments, metrics::WorkerMetrics, program::JobProgram,
    standing::Standing,
};

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// How many executor threads it runs.
    pub slots: u32,
    /// Where the job's objects are in the store.
    pub job_root: Path,
    /// Where other workers may connect; `None` for a job with one worker.
    pub data_bind: Option<SocketAddr>,
    /// Where the worker keeps copies of the segments that it writes, to restore from them; it owns the folder. `None`
    /// keeps none.
    pub local_directory: Option<PathBuf>,
    /// What the job's workers must know to exchange records; `None` where only this machine reaches the data port.
    pub data_secret: Option<PeerSecret>,
    /// How long an executor turns before it parks. Zero where threads outnumber cores.
    pub spin: Duration,
    /// How long tasks may take to end when they are told to.
    pub cancel_timeout: Duration,
    /// Where tests make it die.
    pub faults: Faults,
}

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The data port could not be opened.
    #[error("cannot listen for data connections on {address}: {cause}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The folder for copies of segments could not be made or emptied.
    #[error("the local folder {folder:?} cannot be used: {cause}; choose another one")]
    LocalFolder {
        /// Which.
        folder: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The coordinator is gone.
    #[error("the coordinator has gone away")]
    CoordinatorGone,
    /// A task did not end when it was told to. Its thread cannot be ended but with its process.
    #[error(
        "task {task} ({name}){} did not end within {within:?} of being told to; its thread ends with the process, so end that",
        in_operator(operator)
    )]
    IgnoresCancellation {
        /// The task.
        task: TaskId,
        /// The name of its chain.
        name: String,
        /// The operator that it was last seen in.
        operator: Option<OperatorUid>,
        /// How long it had.
        within: Duration,
    },
    /// A test has made the worker die.
    #[error("a fault has struck")]
    Died,
}

fn in_operator(operator: &Option<OperatorUid>) -> String {
    let operator = operator.as_ref();
    operator.map_or_else(String::new, |operator| {
        format!(" in operator {:?}", operator.as_str())
    })
}

/// A worker that is ready to be attached to a coordinator.
pub struct Worker {
    options: WorkerOptions,
    program: Arc<JobProgram>,
    store: Arc<dyn ObjectStore>,
    network: Option<Arc<Network>>,
    /// Connections that have broken, as the network says it.
    lost_peers: UnboundedReceiver<PeerFailure>,
    local: Option<Arc<LocalSegments>>,
    standing: Standing,
    metrics: WorkerMetrics,
    clock: Clock,
}

impl Worker {
    /// Opens the data port and the folder for copies, if there are to be any.
    ///
    /// # Errors
    /// [`WorkerError::Bind`], [`WorkerError::LocalFolder`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(
        options: WorkerOptions,
        program: Arc<JobProgram>,
        store: Arc<dyn ObjectStore>,
    ) -> Result<Self, WorkerError> {
        let (lost, lost_peers) = mpsc::unbounded_channel();
        let network = match options.data_bind {
            None => None,
            Some(address) => {
                let listen = NetworkOptions {
                    listen: address,
                    secret: options.data_secret.clone(),
                    ..NetworkOptions::default()
                };
                let bound = Network::bind(listen, &Handle::current(), move |failure| {
                    let _ = lost.send(failure);
                });
                let (network, _) = bound.map_err(|cause| WorkerError::Bind { address, cause })?;
                Some(Arc::new(network))
            }
        };
        let local = match &options.local_directory {
            None => None,
            Some(folder) => {
                let local = LocalSegments::open(folder).map_err(|cause| WorkerError::LocalFolder {
                    folder: folder.clone(),
                    cause,
                })?;
                Some(Arc::new(local))
            }
        };
        let (metrics, clock) = (WorkerMetrics::of(network.as_ref()), Clock::start());
        Ok(Self {
            options,
            program,
            store,
            network,
            lost_peers,
            local,
            standing: Standing::default(),
            metrics,
            clock,
        })
    }

    /// Where other workers connect.
    pub fn data_address(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|network| network.address())
    }

    /// The counters of its tasks.
    pub fn metrics(&self) -> WorkerMetrics {
        self.metrics.clone()
    }

    /// What it runs, as it changes.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Serves the coordinator, which knows it as `id` from the next deployment on, until it closes `orders`. Tasks that still run then are stopped.
    ///
    /// # Errors
    /// When the coordinator does not take reports any more, a fault has struck, or a task does not end when it is told to.
    pub async fn run(
        self,
        id: watch::Receiver<WorkerId>,
        mut orders: mpsc::Receiver<WorkerOrder>,
        reports: mpsc::Sender<WorkerReport>,
    ) -> Result<(), WorkerError> {
        let (mut service, mut inbox) = Service::new(id, self, reports);
        let outcome = service.serve(&mut orders, &mut inbox).await;
        let left = service.leave(&mut inbox).await;
        outcome.and(left)
    }
}

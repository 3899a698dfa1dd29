//! What goes wrong when a job is built or run, and what its process says about it when it ends.

use std::net::{IpAddr, SocketAddr};

use tidegate_core::{BoxError, Epoch, TaskError};
use tidegate_driver::{DriverError, SavepointError, StoreError};
use tidegate_proto::control::SecretError;
use tidegate_worker::{LinkError, WorkerError};

use crate::{BuildError, StateReadError};

/// A result of building or running a job.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a job was not built or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be built.
    #[error("the job cannot be built")]
    Build(#[source] BuildError),
    /// The code that builds it failed.
    #[error("{0}")]
    Other(BoxError),
    /// It ran and failed for good.
    #[error("the job has failed: {cause}")]
    Failed {
        /// Why.
        cause: String,
        /// The task that failed, if one did.
        task: Option<Box<TaskError>>,
        /// The last epoch, if sinks may not have published it; resuming the job will.
        uncommitted: Option<Epoch>,
    },
    /// What it was to start from was refused: of another graph or type, unreadable, or not there.
    #[error("the job cannot start from what is there: {cause}")]
    StateRefused {
        /// What, and why.
        cause: String,
    },
    /// Its checkpoints cannot be written or read.
    #[error("the job's checkpoints cannot be used")]
    Storage(#[source] StoreError),
    /// It could not be carried on.
    #[error(transparent)]
    Driver(DriverError),
    /// A savepoint was not taken.
    #[error(transparent)]
    Savepoint(SavepointError),
    /// A running job did not do what it was asked for.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// State could not be read out of a snapshot.
    #[error(transparent)]
    StateRead(#[from] StateReadError),
    /// A worker could not be started.
    #[error("a worker could not be started")]
    Worker(#[source] WorkerError),
    /// The job has ended, but for a task that did not: a user's function does not return. Its thread runs on until the
    /// process ends.
    #[error("{cause}, and {source}")]
    IgnoresCancellation {
        /// How the job ended.
        cause: String,
        /// Which task.
        source: WorkerError,
    },
    /// Metrics cannot be served where they were to be.
    #[error("metrics cannot be served at {address}; choose another address, or port 0 for any that is free")]
    MetricsAddress {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A worker is not, or no longer, attached to its job manager.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Whoever started the worker and was to watch over it is gone.
    #[error("standard input has ended, so whoever supervised this worker is gone; its job goes on elsewhere")]
    Orphaned,
    /// Other machines are to reach the worker's data port, and anybody could.
    #[error(
        "refusing to take data connections on {address} without a cluster secret: whoever reaches it could send records; set \
         TIDEGATE_CLUSTER_SECRET or use 127.0.0.1"
    )]
    OpenDataPort {
        /// Where.
        address: IpAddr,
    },
    /// No other machine can reach the worker's data port by its address.
    #[error(
        "a worker cannot be reached at {address}; give the address by which other machines know this one"
    )]
    DataAddress {
        /// Which.
        address: IpAddr,
    },
    /// The environment's cluster secret is none.
    #[error("TIDEGATE_CLUSTER_SECRET cannot be used")]
    Secret(#[source] SecretError),
    /// Threads could not be had.
    #[error("threads for the job could not be started")]
    Threads(#[source] std::io::Error),
    /// It has ended already.
    #[error("the job has ended")]
    Ended,
    /// A fault of a test has struck: whoever sees this behaves as if the process had been killed.
    #[error("the job died at a fault that a test asked for")]
    Died,
    /// The engine itself panicked.
    #[error("the engine panicked, which is a bug; its message is above")]
    Panicked,
}

/// What the process of a job ends with; see [`main`](fn@crate::main).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// The job has finished, or has been suspended as asked.
    Success = 0,
    /// The job has failed.
    JobFailed = 1,
    /// The command line or the job itself makes no sense.
    Usage = 2,
    /// State or a savepoint was refused: of another graph or type, or unreadable.
    StateRefused = 3,
    /// The place for checkpoints cannot be used.
    Storage = 4,
    /// A worker was refused by its job manager, or has lost it for longer than it waits.
    Coordinator = 5,
    /// A supervised worker has lost whoever started it.
    Orphaned = 6,
    /// It was stopped at once.
    Interrupted = 130,
}

impl Error {
    /// Wraps whatever went wrong in the code that builds a job.
    pub fn other(cause: impl Into<BoxError>) -> Self {
        Self::Other(cause.into())
    }

    /// What the process of the job ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Build(_) | Self::Other(_) | Self::MetricsAddress { .. } => ExitCode::Usage,
            Self::Secret(_) | Self::OpenDataPort { .. } | Self::DataAddress { .. } => ExitCode::Usage,
            Self::Orphaned => ExitCode::Orphaned,
            Self::Link(LinkError::Worker(_)) => ExitCode::JobFailed,
            Self::Link(_) => ExitCode::Coordinator,
            Self::StateRefused { .. } | Self::StateRead(_) => ExitCode::StateRefused,
            Self::Storage(error) => match error {
                StoreError::Corrupt(_)
                | StoreError::Mismatch { .. }
                | StoreError::Missing { .. }
                | StoreError::BrokenChain { .. }
                | StoreError::SavepointExists { .. }
                | StoreError::SavepointName { .. }
                | StoreError::NoSavepoint { .. } => ExitCode::StateRefused,
                StoreError::Location(_)
                | StoreError::Refused { .. }
                | StoreError::NoConditionalWrites { .. }
                | StoreError::Object { .. }
                | StoreError::Unresolved { .. } => ExitCode::Storage,
            },
            Self::Failed { .. }
            | Self::Driver(_)
            | Self::Savepoint(_)
            | Self::Refused { .. }
            | Self::Worker(_)
            | Self::IgnoresCancellation { .. }
            | Self::Threads(_)
            | Self::Ended
            | Self::Died
            | Self::Panicked => ExitCode::JobFailed,
        }
    }

    /// The message with all its causes, as one line.
    pub fn with_causes(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat what they wrap.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        message
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<BoxError> for Error {
    fn from(cause: BoxError) -> Self {
        Self::Other(cause)
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Self {
        Self::Other(cause.into())
    }
}

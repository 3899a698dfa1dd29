//! A cluster: task managers, executables, and jobs that outlive any process.
//!
//! [`JobManager::start`] takes the lead of a cluster; a [`ClusterHandle`] reaches it. Everything that must outlive the
//! process is in the cluster's storage: the decisions of who runs where are made by the pure
//! [`Cluster`](tidegate_coordinator::cluster::Cluster), those of one job by its coordinator.

mod artifact;
mod clock;
mod description;
mod dispatcher;
mod error;
mod handle;
mod job;
mod manager;
mod metrics;
mod options;
mod request;
mod runtime;
mod store;
mod task_manager;
pub mod view;

pub use error::{ClusterError, ErrorKind};
pub use handle::ClusterHandle;
pub use manager::{JobManager, JobManagerError};
pub use options::ClusterOptions;
pub use request::{
    JobSettings, MAX_IDEMPOTENCY_KEY, MAX_PROGRAM_ARGUMENT_BYTES, MAX_PROGRAM_ARGUMENTS, RunRequest,
    SavepointRequest,
};
pub(crate) use task_manager::TaskManagerService;

//! A cluster: task managers, executables, and jobs that outlive any process.

mod error;
mod handle;
mod options;
mod request;
pub mod view;

pub use error::{ClusterError, ErrorKind};
pub use handle::ClusterHandle;
pub use options::ClusterOptions;
pub use request::{
    JobSettings, MAX_IDEMPOTENCY_KEY, MAX_PROGRAM_ARGUMENT_BYTES, MAX_PROGRAM_ARGUMENTS, RunRequest,
    SavepointRequest,
};

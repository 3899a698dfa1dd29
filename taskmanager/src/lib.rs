//! The task manager: a daemon that runs the workers of jobs on its machine, for a job manager.
//!
//! ```text
//!   job manager  <──── one gRPC stream ────>  TaskManager (service)
//!                                                │ StartWorker, StopWorker, Describe, logs
//!                        ArtifactCache <─────────┤
//!                     (fetch once, verify)       ▼
//!                                        a supervisor per worker ──> the job's executable, a process
//!                                                │                        stdin: held, so that it ends with us
//!                                                └─ log, last words <──── stdout, stderr
//! ```
//!
//! Promises:
//! * a worker's executable is what its id says: it is verified, synced and renamed before it is run;
//! * whatever becomes of a worker, exactly one end is reported for each that was ordered, with the cause and the last
//!   lines that it wrote;
//! * a worker that takes more memory than it may is killed, and nothing else is;
//! * the loss of the job manager ends no worker: the task manager attaches again, for as long as it takes, and says what it
//!   runs;
//! * the loss of the task manager leaves no orphans: the pipe that workers hold on to ends;
//! * disk is bounded: artifacts that nothing uses, logs and working directories are removed.
//!
//! There is no code of a job in this process, and no operator: workers are processes of the job's own executable.

mod artifact;
mod backoff;
mod child;
mod control_group;
mod describe;
mod directories;
mod disk;
mod endpoint;
mod error;
mod fleet;
mod link;
mod log;
mod memory;
mod metrics;
mod node;
mod options;
mod resources;
mod service;
mod settings;
mod worker;

pub use endpoint::MetricsEndpoint;
pub use error::TaskManagerError;
pub use options::{
    ArtifactOptions, DescribeOptions, LinkOptions, LogOptions, MemoryControl, TaskManagerOptions,
    WorkerOptions,
};
pub use service::{Attachment, TaskManager, TaskManagerHandle};
pub use settings::TaskManagerSettings;

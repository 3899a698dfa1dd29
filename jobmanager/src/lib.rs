//! The job manager of Tidegate, as a library: a port where the worker processes of jobs attach to the jobs' drivers.
//!
//! A [`Driver`](tidegate_driver::Driver) runs a job; this crate brings it workers that live in other processes. They
//! speak gRPC as documented in `proto/tidegate/v1/control.proto`; a job's driver does not notice the difference from
//! workers in its own process.
//!
//! The port is closed by default: without a cluster secret it can only be on loopback.
//!
//! ```no_run
//! # async fn example(
//! #     description: tidegate_driver::JobDescription, store: tidegate_driver::JobStore,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use tidegate_driver::{Driver, DriverOptions};
//! use tidegate_jobmanager::{HostedJob, WorkerPort, WorkerPortOptions};
//!
//! let (port, workers) = WorkerPort::bind(WorkerPortOptions::default())?;
//! let serving = tokio::spawn(port.run());
//! let job = description.job.clone();
//! let graph_fingerprint = description.graph.fingerprint();
//! let (driver, handle) = Driver::new(DriverOptions::default(), description, store);
//! workers.host(HostedJob { job, graph_fingerprint, target: None, driver: handle })?;
//! println!("start workers with --coordinator http://{}", workers.address());
//! let outcome = driver.run().await?;
//! workers.shut_down();
//! serving.await??;
//! # Ok(()) }
//! ```

mod admission;
pub mod cluster;
mod port;
pub mod rest;
mod roster;
mod service;
mod services;
mod session;
mod settings;

pub use admission::Refusal;
pub use port::{PortError, WorkerPort, WorkerPortHandle, WorkerPortOptions};
pub use roster::{AlreadyHosted, HostedJob};
pub use settings::{
    ArtifactSection, CheckpointSection, ClusterSection, JobManagerSettings, JobSection, RestSection,
    RestartSection, RestartWord, options_of,
};

//! Real processes of Tidegate on loopback, among stores and networks that misbehave on command.
//!
//! [`ClusterSandbox`] is a whole cluster: a job manager, task managers and their workers, started and killed by a test.
//! [`S3Server`](s3::S3Server) is an object store with a script of faults, [`ChaosProxy`] stands between any two and cuts,
//! delays or swallows what they say to each other. Everything ends when it is dropped, also when a test panics.

mod background;
mod binaries;
mod cluster;
mod hygiene;
mod job;
mod process;
mod proxy;
mod rest;
pub mod s3;
mod wait;
mod worker;

pub use binaries::Binaries;
pub use cluster::{BUCKET, ClusterOptions, ClusterSandbox, StorageKind};
pub use hygiene::Expectation;
pub use job::{Job, JobRequest};
pub use process::Process;
pub use proxy::{ChaosProxy, Direction, Link};
pub use rest::{Rest, RestError};
pub use rustix::process::Signal;
pub use wait::{PATIENCE, eventually, within};
pub use worker::WorkerProcess;

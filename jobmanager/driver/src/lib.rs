//! Runs the coordinator of Tidegate: the loop, its timers, publication and garbage collection on an object store.
//!
//! The [`Driver`] is a loop around the pure [`Coordinator`](tidegate_coordinator::Coordinator): it hands in facts, carries
//! out commands, and starts whatever takes time as a task that comes back as a fact. Workers and people reach it through
//! its [`DriverHandle`]. There is no server inside.
//!
//! ```no_run
//! # async fn example(job: tidegate_driver::JobDescription) -> Result<(), Box<dyn std::error::Error>> {
//! use tidegate_core::WorkerName;
//! use tidegate_driver::{Driver, DriverOptions, JobStore, Newcomer, ORDER_CAPACITY};
//!
//! let store = JobStore::open("checkpoints")?;
//! let (driver, handle) = Driver::new(DriverOptions::default(), job, store);
//! let running = tokio::spawn(driver.run());
//! let (orders, mut order_queue) = tokio::sync::mpsc::channel(ORDER_CAPACITY);
//! let newcomer = Newcomer { name: WorkerName::parse("here-1")?, slots: 4, data: None, running: None };
//! let (worker, reports) = handle.attach_worker(newcomer, orders).await?;
//! // The worker takes orders from `order_queue` and answers through `reports`.
//! let outcome = running.await??;
//! # Ok(()) }
//! ```

mod abandoned;
mod background;
mod chain;
mod collection;
mod driver;
mod effect;
mod error;
mod handle;
mod inspect;
mod options;
pub mod publish;
mod savepoint;
mod store;

pub use driver::Driver;
pub use error::{DriverError, StoreError};
pub use handle::{
    AttachError, CheckpointRequestError, DriverGone, DriverHandle, ORDER_CAPACITY, ReportSender,
    SavepointRequestError,
};
pub use inspect::{
    CheckpointSummary, Snapshot, list_checkpoints, list_savepoints, list_unreferenced, read_snapshot,
};
pub use options::{CheckpointSettings, DriverOptions, RequirementSetting, RestartSettings, StartSetting};
pub use savepoint::check_name as check_savepoint_name;
pub use store::JobStore;
pub use tidegate_coordinator::{
    CheckpointFailure, CheckpointStatistics, ExceptionRecord, JobDescription, JobState, JobStatus, Newcomer,
    NewcomerError, Outcome, SavepointError, SavepointInfo, Seat,
};

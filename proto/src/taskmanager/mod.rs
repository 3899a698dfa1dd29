//! What task managers and a job manager say to each other, as domain types with their conversions, and the gRPC service
//! that carries them.
//!
//! The service is documented in `tidegate/v1/taskmanager.proto`. Its client and server take and give [`FromTaskManager`]
//! and [`ToTaskManager`]; what arrives malformed ends the stream with a status that says which field of which message it
//! is. Ids are checked as they arrive: whoever has one may make a path of it.

mod describe;
mod logs;
mod message;
mod order;
mod registration;
mod report;

pub use describe::{DescribeProblem, DescribeProblemKind};
pub use logs::{LOG_CHUNK_LIMIT_BYTES, LogChunk, LogFile, LogProblem};
pub use message::{Attached, Content, Directive, FromTaskManager, ToTaskManager};
pub use order::{Order, StartWorker};
pub use registration::{Registration, ResourceUse, RunningWorker, WorkerUse};
pub use report::{LAST_WORDS_LIMIT_BYTES, Report, WorkerEnd};

pub use crate::generated::{
    task_manager_control_client::TaskManagerControlClient,
    task_manager_control_server::{TaskManagerControl, TaskManagerControlServer},
};

//! The pure coordinator of Tidegate: checkpoints, the epoch chain and failover of one job as a state machine, and the slots of
//! a cluster as another ([`cluster`]).
//!
//! [`Coordinator::handle`] takes the time and a fact ([`Event`]) and answers with intentions ([`Command`]). There is no
//! clock, no randomness, no task and no store inside, so that a table can assert exact commands and a simulation can run
//! a thousand clusters in a unit test.
//!
//! ```text
//! Created ──▶ Deploying ──▶ Running ──▶ Finished
//!    ▲            ▲            │ ├────▶ Suspended
//!    │            │            │ ├────▶ Cancelling ──▶ Canceled
//!    │            └─ Restarting ◀┤
//!    └── (a claim was lost to an older leader)  └────▶ Failing ──▶ Failed
//! ```
//!
//! A coordinator that replaces another may find tasks that outlived it. It goes on with them, from `Created` to `Running`
//! without a deployment, if nothing about them is in doubt: [`Newcomer::running`], and the module `adoption` for the rules.
//! Otherwise, and after every failure, tasks are deployed from the tail of the chain; workers that are still there keep their
//! seats, so that a restart moves no task but those of workers that are lost.

mod adoption;
mod aftermath;
mod assembly;
mod checkpoint;
mod claim;
pub mod cluster;
mod command;
mod coordinator;
mod event;
mod newcomer;
mod opening;
mod options;
mod overdue;
mod restart;
mod retention;
mod running;
mod seating;
mod status;
mod stopping;

pub use assembly::AssemblyError;
pub use command::{CollectionPlan, Command, Notice, SavepointError, SavepointInfo};
pub use coordinator::Coordinator;
pub use event::{Chain, Event, RequestId, StoreStep, Tail};
pub use newcomer::{Newcomer, NewcomerError, Seat};
pub use options::{
    CheckpointOptions, CoordinatorOptions, JobDescription, Requirement, RestartStrategy, StartMode,
};
pub use status::{CheckpointFailure, CheckpointStatistics, ExceptionRecord, JobState, JobStatus, Outcome};

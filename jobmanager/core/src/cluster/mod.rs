//! The cluster's slots: which task manager starts which worker for which job, and who waits for what.
//!
//! [`Cluster::handle`] takes the time and a fact ([`ClusterEvent`]) and answers with intentions ([`ClusterCommand`]). Like
//! the coordinator of a job it has no clock, no randomness, no task and no store inside.
//!
//! **Order.** A job gets all of its slots at once or none. Jobs that have lost slots come before jobs that have never run;
//! among each, who was submitted first comes first, and nobody overtakes a job that waits for the same kind of slots, so
//! that a large job is not starved by small ones. Only a job that the whole cluster is too small for lets others by, until
//! the cluster has grown. Jobs that have lost slots and stand still cannot block each other: the one submitted later gives
//! its slots up to the earlier one.
//!
//! **Spread.** Slot by slot to the task manager whose share of used slots is smallest, so that load is even; a task manager
//! gets one worker per job for all of these. A task manager where workers of the job have failed repeatedly comes last.
//!
//! **Memory.** There is none but that of the process: after a restart of the job manager, task managers attach with the
//! workers that they still run, and those are counted again as slots of jobs that were admitted as recovered.

mod command;
mod event;
mod job;
mod placing;
mod shortage;
mod spread;
mod state;
mod task_manager;

pub use command::ClusterCommand;
pub use event::{Admission, ClusterEvent, HostedWorker};
pub use shortage::Shortage;
pub use state::{Cluster, ClusterOptions};
pub use task_manager::SlotUse;

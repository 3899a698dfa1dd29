//! Jobs: what is known of them, how they are submitted, and who runs them.

mod checkpoints;
mod entry;
mod master;
mod measurements;
mod submission;
mod table;
mod triggers;
mod views;

pub(crate) use entry::JobEntry;
pub(crate) use master::JobMaster;
pub(crate) use submission::{check_savepoint_name, describe, submit};
pub(crate) use table::Jobs;

//! Why a task manager cannot work, or ends.

use std::{io, path::PathBuf};

/// Why a task manager cannot work, or ends otherwise than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum TaskManagerError {
    /// Its directory cannot be used.
    #[error("the task manager's directory {} cannot be used: {source}; check the path, its permissions and the disk", path.display())]
    Directory {
        /// The directory, or what is in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another task manager uses it.
    #[error("the directory {} is in use by another task manager; give each its own", path.display())]
    DirectoryInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The options contradict each other or make no sense.
    #[error("{option} cannot be {value}: {reason}")]
    Option {
        /// Which.
        option: &'static str,
        /// As given.
        value: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The address of the job manager is none.
    #[error("the job manager's address {address:?} cannot be used: {reason}; give http://host:port")]
    JobManagerAddress {
        /// As given.
        address: String,
        /// Why.
        reason: String,
    },
    /// The job manager has never let it in, and will not.
    #[error("the job manager at {job_manager} refuses this task manager: {reason}")]
    Refused {
        /// Where.
        job_manager: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Another process has registered under its id.
    #[error(
        "another process has registered with the job manager under this task manager's id: {reason}; give each its own id"
    )]
    Replaced {
        /// What the job manager says.
        reason: String,
    },
}

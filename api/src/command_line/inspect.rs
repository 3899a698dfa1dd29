//! Looking at what a job has left, and asking one that runs.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use tidegate_driver::{JobStore, StoreError, list_checkpoints, list_savepoints};

use crate::{
    Error, Result,
    command_line::{
        control::{self, ControlAnswer, ControlRequest},
        progress::Bytes,
    },
    error::ExitCode,
};

/// Prints to standard output. A reader that has seen enough is no error.
pub(super) fn print(text: &str) -> Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::Success),
    }
}

/// Lists the savepoints at a location.
pub(super) fn savepoints(location: &str) -> Result<ExitCode> {
    let savepoints = blocking(location, async |store| list_savepoints(&store).await)?;
    let mut text = format!(
        "{:<24} {:>8} {:>12}  {:<20} location\n",
        "name", "epoch", "size", "taken"
    );
    for savepoint in &savepoints {
        let _ = writeln!(
            text,
            "{:<24} {:>8} {:>12}  {:<20} {}",
            savepoint.name,
            savepoint.epoch,
            Bytes(savepoint.size).to_string(),
            when(savepoint.written_at_ms),
            savepoint.location,
        );
    }
    print(if savepoints.is_empty() {
        "there are no savepoints\n"
    } else {
        &text
    })
}

/// Lists the checkpoints at a location.
pub(super) fn checkpoints(location: &str) -> Result<ExitCode> {
    let checkpoints = blocking(location, async |store| list_checkpoints(&store).await)?;
    let mut text = format!(
        "{:>8} {:>10} {:<14} {:>12} {:>8}  {:<20} {:<16} notes\n",
        "epoch", "checkpoint", "kind", "size", "tasks", "claimed", "lineage"
    );
    for checkpoint in &checkpoints {
        let notes = match (checkpoint.finished, checkpoint.committed) {
            (true, true) => "the end, committed",
            (true, false) => "the end",
            (false, true) => "committed",
            (false, false) => "",
        };
        let _ = writeln!(
            text,
            "{:>8} {:>10} {:<14} {:>12} {:>8}  {:<20} {:<16} {notes}",
            checkpoint.epoch,
            checkpoint
                .checkpoint
                .map_or_else(String::new, |id| id.to_string()),
            format!("{:?}", checkpoint.kind).to_lowercase(),
            Bytes(checkpoint.size).to_string(),
            checkpoint.tasks,
            when(checkpoint.written_at_ms),
            checkpoint.lineage,
        );
    }
    print(if checkpoints.is_empty() {
        "there are no checkpoints\n"
    } else {
        &text
    })
}

/// Asks the process that runs the job for a savepoint.
pub(super) fn take_savepoint(location: &str, name: String, suspend: bool) -> Result<ExitCode> {
    let directory = local_directory(location).ok_or_else(|| {
        Error::other(format!(
            "checkpoints are at {location}; a running job is found by a local checkpoint directory only"
        ))
    })?;
    match control::ask(&directory, ControlRequest::Savepoint { name, suspend }).map_err(Error::other)? {
        ControlAnswer::Savepoint { description } => print(&format!("{description}\n")),
        ControlAnswer::Refused { reason } => Err(Error::Refused { reason }),
    }
}

/// The directory behind a location, if it is one on this machine.
pub(super) fn local_directory(location: &str) -> Option<PathBuf> {
    match location.split_once("://") {
        None => Some(location.into()),
        Some(("file", path)) => Some(path.into()),
        Some(_) => None,
    }
}

fn blocking<T>(location: &str, look: impl AsyncFnOnce(JobStore) -> Result<T, StoreError>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let store = JobStore::open_existing(location).map_err(Error::Storage)?;
    runtime.block_on(look(store)).map_err(Error::Storage)
}

fn when(at_ms: i64) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string()
}

//! Looking at what a job has left, and asking one that runs.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tidegate_core::{BarrierKind, epoch::EpochKind};
use tidegate_driver::{CheckpointSummary, JobStore, StoreError, list_checkpoints, list_savepoints};

use crate::{
    Error, Result,
    command_line::{
        control::{self, ControlAnswer, ControlRequest},
        units::Bytes,
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    print(&if checkpoints.is_empty() {
        "there are no checkpoints\n".to_owned()
    } else {
        checkpoint_table(&checkpoints, now)
    })
}

fn checkpoint_table(checkpoints: &[CheckpointSummary], now: Duration) -> String {
    let mut text = format!(
        "{:>8} {:>10} {:<20} {:>12} {:>8}  {:<20} {:>14} {:<16} state\n",
        "epoch", "checkpoint", "kind", "size", "tasks", "claimed", "age", "lineage"
    );
    for checkpoint in checkpoints {
        let state = match (checkpoint.finished, checkpoint.committed) {
            (true, true) => "the end, committed",
            (true, false) => "the end",
            (false, true) => "committed",
            (false, false) => "claimed",
        };
        let _ = writeln!(
            text,
            "{:>8} {:>10} {:<20} {:>12} {:>8}  {:<20} {:>14} {:<16} {state}",
            checkpoint.epoch,
            checkpoint
                .checkpoint
                .map_or_else(String::new, |id| id.to_string()),
            kind(checkpoint),
            Bytes(checkpoint.size).to_string(),
            checkpoint.tasks,
            when(checkpoint.written_at_ms),
            age(checkpoint.written_at_ms, now),
            checkpoint.lineage,
        );
    }
    text
}

/// What an epoch is to people. A seal says which kind of snapshot it repeats.
fn kind(checkpoint: &CheckpointSummary) -> &'static str {
    let is_savepoint = checkpoint.taken_as.is_some_and(BarrierKind::is_full);
    match (checkpoint.kind, checkpoint.taken_as) {
        (EpochKind::Start, _) => "start",
        (EpochKind::Seal, _) if is_savepoint => "seal of savepoint",
        (EpochKind::Seal, _) => "seal",
        (EpochKind::Checkpoint, Some(BarrierKind::Savepoint)) => "savepoint",
        (EpochKind::Checkpoint, Some(BarrierKind::SuspendWithSavepoint)) => "suspend, savepoint",
        (EpochKind::Checkpoint, Some(BarrierKind::Suspend)) => "suspend",
        (EpochKind::Checkpoint, Some(BarrierKind::Checkpoint) | None) => "checkpoint",
    }
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

/// How long ago something was; the clock of who wrote it may be ahead.
fn age(at_ms: i64, now: Duration) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    let age = now.saturating_sub(since_epoch).as_secs();
    humantime::format_duration(Duration::from_secs(age)).to_string()
}

fn when(at_ms: i64) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string()
}

#[cfg(test)]
mod tests {
    use tidegate_core::{CheckpointId, Epoch, Generation};

    use super::*;

    #[test]
    fn a_list_tells_savepoints_from_checkpoints_and_says_how_old_they_are() {
        use BarrierKind::{Checkpoint, Savepoint, Suspend, SuspendWithSavepoint};
        let cases = [
            (EpochKind::Start, None, "start"),
            (EpochKind::Checkpoint, Some(Checkpoint), "checkpoint"),
            (EpochKind::Checkpoint, Some(Savepoint), "savepoint"),
            (EpochKind::Checkpoint, Some(Suspend), "suspend"),
            (
                EpochKind::Checkpoint,
                Some(SuspendWithSavepoint),
                "suspend, savepoint",
            ),
            (EpochKind::Seal, Some(Checkpoint), "seal"),
            (EpochKind::Seal, Some(SuspendWithSavepoint), "seal of savepoint"),
        ];
        for (kind, taken_as, word) in cases {
            let summary = CheckpointSummary {
                epoch: Epoch(12),
                kind,
                taken_as,
                generation: Generation(1),
                lineage: "abc".into(),
                checkpoint: taken_as.map(|_| CheckpointId(34)),
                tasks: 4,
                segments: 1,
                size: 2048,
                finished: false,
                committed: taken_as.is_some(),
                written_at_ms: 1_000,
            };
            let table = checkpoint_table(&[summary], Duration::from_secs(3661));
            let row = table.lines().nth(1).unwrap();
            let state = if taken_as.is_some() {
                "committed"
            } else {
                "claimed"
            };
            for words in [word, "12", "2.0 KiB", "1h 1m", "1970-01-01T00:00:01Z", state] {
                assert!(row.contains(words), "{row:?} does not say {words:?}");
            }
        }
        assert_eq!(age(5_000, Duration::from_secs(1)), "0s", "a clock that is ahead");
    }
}

//! Which log files go when there is too much of them.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::reader::{is_log, modified_ms};

/// A log file that may go.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Candidate {
    modified_ms: u64,
    path: PathBuf,
    size_bytes: u64,
}

/// Removes the oldest log files, below `folder`, of workers that do not run, so that all of those have at most
/// `total_bytes`; then the folders of jobs that have none left. `running` holds the current files of those that run.
pub(crate) fn remove_oldest(folder: &Path, running: &HashSet<PathBuf>, total_bytes: u64) {
    let jobs: Vec<_> = folders_in(folder).collect();
    let candidates = jobs.iter().flat_map(|job| logs_in(job)).filter(|log| {
        // The earlier files of a worker that runs are bounded by their number.
        let current = log.path.with_extension("");
        !running.contains(&log.path) && !running.contains(&current)
    });
    for victim in excess(candidates.collect(), total_bytes) {
        match fs::remove_file(&victim.path) {
            Ok(()) => tracing::debug!(file = %victim.path.display(), "an old log was removed"),
            Err(error) => {
                tracing::warn!(%error, file = %victim.path.display(), "an old log could not be removed")
            }
        }
    }
    for job in jobs {
        // Fails where there is something left, as it should.
        let _ = fs::remove_dir(job);
    }
}

fn folders_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn logs_in(job: &Path) -> impl Iterator<Item = Candidate> + use<> {
    let entries = fs::read_dir(job).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let log = metadata.is_file() && entry.file_name().to_str().is_some_and(is_log);
        log.then(|| Candidate {
            modified_ms: modified_ms(&metadata),
            path: entry.path(),
            size_bytes: metadata.len(),
        })
    })
}

/// The oldest of them, so that the others have at most `total_bytes`.
fn excess(mut candidates: Vec<Candidate>, total_bytes: u64) -> Vec<Candidate> {
    candidates.sort();
    let mut bytes: u64 = candidates.iter().map(|log| log.size_bytes).sum();
    let keep_from = candidates.iter().position(|log| {
        let fits = bytes <= total_bytes;
        bytes -= log.size_bytes;
        fits
    });
    candidates.truncate(keep_from.unwrap_or(candidates.len()));
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(modified_ms: u64, size_bytes: u64) -> Candidate {
        Candidate {
            modified_ms,
            path: PathBuf::from(format!("{modified_ms}")),
            size_bytes,
        }
    }

    #[test]
    fn the_oldest_go_first_and_no_more_than_must() {
        let logs = [candidate(3, 10), candidate(1, 10), candidate(2, 10)];
        for (bound, gone) in [
            (30, vec![]),
            (29, vec![1]),
            (20, vec![1]),
            (10, vec![1, 2]),
            (9, vec![1, 2, 3]),
            (0, vec![1, 2, 3]),
        ] {
            let victims = excess(logs.to_vec(), bound);
            let times: Vec<_> = victims.iter().map(|log| log.modified_ms).collect();
            assert_eq!(times, gone, "{bound}");
        }
    }

    #[test]
    fn those_of_running_workers_stay() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["old/a-1.log", "now/a-2.log", "now/a-2.log.1", "now/a-3.log"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let running = HashSet::from([folder.path().join("now/a-2.log")]);
        remove_oldest(folder.path(), &running, 0);
        assert!(!folder.path().join("old").exists());
        assert!(!folder.path().join("now/a-3.log").exists());
        assert!(folder.path().join("now/a-2.log").exists());
        assert!(folder.path().join("now/a-2.log.1").exists());
    }
}

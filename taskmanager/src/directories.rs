//! The folders of a task manager.
//!
//! ```text
//! <directory>/lock                    held for as long as the process lives
//!             id                      the name that was drawn, if none was given
//!             artifacts/<sha256>      executables, complete and verified; *.partial are on their way
//!             work/<job>/<worker>/    what a worker keeps while it runs
//!             logs/<job>/<worker>.log what workers write
//! ```
//!
//! Ids are checked before they come here, so that no name leads anywhere else.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use tidegate_core::{ArtifactId, JobId, TaskManagerId, WorkerName};

use crate::error::TaskManagerError;

/// How the names of files that are on their way end.
pub(crate) const PARTIAL: &str = ".partial";

/// The folders of a task manager, which are its own while this lives.
#[derive(Debug)]
pub(crate) struct Directories {
    root: PathBuf,
    /// The lock goes with the process, however it ends: the file is not handed on to workers.
    _lock: File,
}

impl Directories {
    /// Takes a directory, makes what is missing, and removes what an earlier process has left unfinished.
    pub(crate) fn take(root: &Path) -> Result<Self, TaskManagerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TaskManagerError::Directory { path, source }
        };
        // Workers are told paths and may be elsewhere.
        let root = std::path::absolute(root).map_err(failed(root))?;
        // What is in there is executed and may be confidential: it is nobody else's.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(failed(&root))?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(TaskManagerError::DirectoryInUse { path: root });
            }
            Err(error) => return Err(failed(&lock_path)(error.into())),
        }
        let directories = Self { root, _lock: lock };
        for folder in [directories.artifacts(), directories.work(), directories.logs()] {
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        directories.clear_stale().map_err(failed(&directories.root))?;
        Ok(directories)
    }

    fn clear_stale(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.work())? {
            remove_all(&entry?.path())?;
        }
        for entry in fs::read_dir(self.artifacts())? {
            let entry = entry?;
            let name = entry.file_name();
            let complete = name.to_str().is_some_and(|name| ArtifactId::parse(name).is_ok());
            if !complete {
                remove_all(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The name that was drawn for the task manager of this directory; `random` makes one if none was.
    pub(crate) fn own_id(&self, random: u32) -> Result<TaskManagerId, TaskManagerError> {
        let path = self.root.join("id");
        let failed = |source| TaskManagerError::Directory {
            path: path.clone(),
            source,
        };
        match fs::read_to_string(&path) {
            Ok(text) => TaskManagerId::parse(text.trim())
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("taskmanager-{random:08x}");
                fs::write(&path, &text).map_err(failed)?;
                TaskManagerId::parse(&text)
                    .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn job_logs(&self, job: &JobId) -> PathBuf {
        self.logs().join(job.as_str())
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub(crate) fn worker(&self, job: &JobId, worker: &WorkerName) -> PathBuf {
        self.work().join(job.as_str()).join(worker.as_str())
    }

    /// Removes what a worker kept, and its job's folder if that was the last.
    pub(crate) fn remove_worker(&self, job: &JobId, worker: &WorkerName) {
        let folder = self.worker(job, worker);
        if let Err(error) = remove_all(&folder) {
            tracing::warn!(%error, folder = %folder.display(), "a working directory could not be removed");
        }
        // Another worker of the job may have its own in there.
        let _ = fs::remove_dir(self.work().join(job.as_str()));
    }

    /// What is in all of them, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        size_of(&self.root)
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What is in a folder, in bytes; what vanishes meanwhile is not counted, and links are not followed.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unfinished_goes_and_what_is_complete_stays() {
        let folder = tempfile::tempdir().unwrap();
        let complete = "0f".repeat(32);
        let (job, worker) = (
            JobId::parse(&"a".repeat(32)).unwrap(),
            WorkerName::parse("a-1").unwrap(),
        );
        {
            let first = Directories::take(folder.path()).unwrap();
            fs::write(first.artifacts().join(&complete), "x").unwrap();
            fs::write(first.artifacts().join(format!("{complete}{PARTIAL}")), "x").unwrap();
            fs::create_dir_all(first.worker(&job, &worker)).unwrap();
            fs::create_dir_all(first.job_logs(&job)).unwrap();
        }
        let second = Directories::take(folder.path()).unwrap();
        let names: Vec<_> = fs::read_dir(second.artifacts())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, [complete]);
        assert!(!second.worker(&job, &worker).exists());
        assert!(second.job_logs(&job).exists(), "logs outlive the process");
        assert_eq!(second.used_bytes(), 1);
    }

    #[test]
    fn two_task_managers_do_not_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directories::take(folder.path()).unwrap();
        let second = Directories::take(folder.path()).unwrap_err();
        assert!(
            matches!(second, TaskManagerError::DirectoryInUse { .. }),
            "{second}"
        );
        drop(first);
        Directories::take(folder.path()).unwrap();
    }

    #[test]
    fn it_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        let _directories = Directories::take(&own).unwrap();
        let mode = fs::metadata(own).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_name_is_drawn_once() {
        let folder = tempfile::tempdir().unwrap();
        let directories = Directories::take(folder.path()).unwrap();
        let first = directories.own_id(7).unwrap();
        assert_eq!(directories.own_id(8).unwrap(), first);
        fs::write(folder.path().join("id"), "../x").unwrap();
        assert!(directories.own_id(9).is_err());
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = Directories::take(&file.join("below")).unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}

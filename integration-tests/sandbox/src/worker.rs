//! The worker processes of a cluster, which task managers start and tests find by what they were started with.

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::process::send;

/// A worker process.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WorkerProcess {
    /// Its process id.
    pub process: u32,
    /// What it is called: its task manager and a number.
    pub name: String,
    /// The job that it works for.
    pub job: String,
}

impl WorkerProcess {
    /// The worker processes that were started with a folder of the cluster among their arguments. No two clusters share one.
    pub(crate) fn find(folder: &Path) -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut workers: Vec<Self> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|process| Self::read(process, folder))
            .collect();
        workers.sort();
        workers
    }

    fn read(process: u32, folder: &Path) -> Option<Self> {
        let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.split('\0').collect();
        let folder = folder.to_str()?;
        if words.get(1) != Some(&"worker") || !words.iter().any(|word| word.starts_with(folder)) {
            return None;
        }
        let value = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).map(|word| (*word).to_owned())
        };
        Some(Self {
            process,
            name: value("--worker")?,
            job: value("--job")?,
        })
    }

    /// Whether a task manager started it.
    pub fn is_of(&self, task_manager: &str) -> bool {
        self.name
            .strip_prefix(task_manager)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// Kills it, as by SIGKILL.
    pub fn kill(&self) {
        send(self.process, Signal::KILL);
    }

    /// Stops it where it stands, as by SIGSTOP.
    pub fn pause(&self) {
        send(self.process, Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        send(self.process, Signal::CONT);
    }
}

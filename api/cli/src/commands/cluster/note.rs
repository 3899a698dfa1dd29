//! The note of what was started.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::error::{Error, Result};

/// The note's name in the cluster's directory.
const FILE: &str = "cluster.json";

/// What was started.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Note {
    /// Where people reach the cluster.
    pub(super) address: String,
    /// Where it keeps everything.
    pub(super) storage: String,
    /// Its processes; the job manager first.
    pub(super) members: Vec<Member>,
}

/// One process of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Member {
    /// `jobmanager`, or the id of a task manager.
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) process: Process,
    /// Where its log is.
    pub(super) log: PathBuf,
    /// How it is started again.
    #[serde(flatten)]
    pub(super) launch: Launch,
}

/// How a process is started. Its environment is not noted, as there are secrets in it.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl Note {
    /// The note in a cluster's directory, if there is one.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(path, "read")(error)),
        };
        let note = serde_json::from_str(&text).map_err(|error| {
            Error::Process(format!(
                "{} cannot be understood: {error}; if nothing of the cluster runs any more, remove it",
                path.display()
            ))
        })?;
        Ok(Some(note))
    }

    /// Writes it, in one piece.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let staged = directory.join(format!("{FILE}.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Process(error.to_string()))?;
        fs::write(&staged, text + "\n")
            .and_then(|()| fs::rename(&staged, &path))
            .map_err(Error::file(path, "written"))
    }

    /// Removes the note of a directory, if there is one.
    pub(super) fn remove(directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(path, "removed")(error)),
            _ => Ok(()),
        }
    }
}

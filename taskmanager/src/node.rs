//! What all work on this machine shares.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use tidegate_core::{ArtifactId, TaskManagerId};
use tidegate_proto::{
    EXECUTABLE_HEADER_BYTES,
    control::Registration,
    executable_target,
    taskmanager::{DescribeProblem, DescribeProblemKind},
};
use tidegate_storage::Storage;
use tokio::sync::Semaphore;

use crate::{
    artifact::{Artifact, ArtifactCache},
    control_group::ControlGroups,
    directories::Directories,
    metrics::Metrics,
    options::TaskManagerOptions,
};

/// What all work on this machine shares.
pub(crate) struct Node {
    pub(crate) id: TaskManagerId,
    pub(crate) options: TaskManagerOptions,
    pub(crate) directories: Directories,
    pub(crate) artifacts: ArtifactCache,
    /// `None` where memory is only watched.
    pub(crate) control_groups: Option<ControlGroups>,
    /// Who may ask an executable what it is.
    pub(crate) describing: Semaphore,
    pub(crate) metrics: Metrics,
}

/// The cluster's storage, as the job manager named it: open, or why it is not.
#[derive(Clone, Debug)]
pub(crate) struct OpenStorage {
    location: Arc<str>,
    opened: Result<Storage, Arc<str>>,
}

impl OpenStorage {
    /// Opens a location. That it cannot be is told to whoever wants something from it.
    pub(crate) fn at(location: &str) -> Self {
        let opened = Storage::open(location).map_err(|error| {
            tracing::error!(%error, "the cluster's storage cannot be opened from here");
            error.to_string().into()
        });
        Self {
            location: location.into(),
            opened,
        }
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }
}

impl Node {
    /// An executable that is on this machine and can be run on it.
    pub(crate) async fn executable(
        &self,
        storage: &OpenStorage,
        artifact: &ArtifactId,
        size_bytes: u64,
    ) -> Result<Artifact, DescribeProblem> {
        let problem = |kind, message| DescribeProblem { kind, message };
        let storage = storage.opened.as_ref().map_err(|reason| {
            let message = format!("artifact {artifact} cannot be fetched: {reason}");
            problem(DescribeProblemKind::Unavailable, message)
        })?;
        let got = self.artifacts.get(storage, artifact, size_bytes).await;
        let executable = got.map_err(|error| {
            let kind = match error.is_damage() {
                true => DescribeProblemKind::Damaged,
                false => DescribeProblemKind::Unavailable,
            };
            problem(kind, error.to_string())
        })?;
        let header = header_of(executable.path()).map_err(|error| {
            let message = format!("artifact {artifact} cannot be read: {error}");
            problem(DescribeProblemKind::Unavailable, message)
        })?;
        let unfit = |reason: String| {
            let message = format!("artifact {artifact} cannot be run: {reason}");
            problem(DescribeProblemKind::NotExecutable, message)
        };
        let target = executable_target(&header).map_err(|error| unfit(error.to_string()))?;
        let own = Registration::own_target();
        if target != own {
            return Err(unfit(format!(
                "it was compiled for {target} and this machine is {own}; build the job for the cluster's machines"
            )));
        }
        Ok(executable)
    }
}

fn header_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut header = Vec::new();
    File::open(path)?
        .take(EXECUTABLE_HEADER_BYTES as u64)
        .read_to_end(&mut header)?;
    Ok(header)
}

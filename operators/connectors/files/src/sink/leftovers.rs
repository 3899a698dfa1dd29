//! What earlier attempts have staged and will never publish.

use std::{fs, io};

use futures::TryStreamExt;

use super::{output::StagingArea, paths::PartId};
use crate::{FileError, location::Reach};

/// What a task of this attempt may remove.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftovers {
    pub(super) attempt: u32,
    pub(super) task: u32,
    pub(super) parallelism: u32,
}

impl Leftovers {
    /// Whether a staged file is left over. Only what is of earlier attempts can be, and each of those is looked after by
    /// one task: its own, or the first one where there are fewer tasks now.
    fn include(self, id: PartId) -> bool {
        let keeper = if id.task < self.parallelism { id.task } else { 0 };
        id.attempt < self.attempt && keeper == self.task
    }

    /// Removes what is left over.
    pub(super) async fn collect(self, area: &StagingArea) -> Result<(), FileError> {
        let folder = &area.0;
        let failed = |error| FileError::storing(&folder.name, error);
        let listed: Vec<_> = folder
            .store
            .list(Some(&folder.key))
            .try_collect()
            .await
            .map_err(failed)?;
        for meta in listed {
            let name = meta.location.filename().unwrap_or_default();
            if PartId::parse(name).is_some_and(|id| self.include(id)) {
                folder.remove(name).await?;
            }
        }
        self.collect_unfinished(area)
    }

    /// Removes local files that were being written: the store hides them, as `<name>#<number>`.
    fn collect_unfinished(self, area: &StagingArea) -> Result<(), FileError> {
        let Reach::Local(path) = &area.0.reach else {
            return Ok(());
        };
        let failed = |error| FileError::writing(&area.0.name, error);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let part = name.to_str().and_then(|name| name.split_once('#'));
            if !part.is_some_and(|(name, _)| PartId::parse(name).is_some_and(|id| self.include(id))) {
                continue;
            }
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

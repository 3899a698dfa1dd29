//! Publishes staged files.
//!
//! A staged file gets its final name by a link or a copy that is made only where nothing is, and then the staged one is
//! removed. So a commit that was interrupted anywhere can be repeated:
//!
//! | staged | final | |
//! |---|---|---|
//! | there | not there | copy, remove |
//! | there | there, as staged | remove |
//! | not there | there, as staged | done before |
//! | not there | not there | error: somebody removed it |
//! | any | there, otherwise | error: somebody changed it |

use std::io;

use futures::TryStreamExt;
use object_store::{
    CopyMode, CopyOptions, Error as StoreError, ObjectStore, ObjectStoreExt, path::Path as Key,
};
use serde::{Deserialize, Serialize};
use tidegate_core::{
    BoxFuture, FaultPoint, Faults, OperatorError,
    sink::{CommitRequest, Committable, Committer},
};

use super::{
    output::{Folder, Output, StagingArea},
    paths::{PartId, published},
};
use crate::FileError;

/// A staged file that is complete and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) id: PartId,
    pub(super) size: u64,
    /// CRC32C of its bytes.
    pub(super) checksum: u32,
}

impl Staged {
    pub(super) fn encode(&self) -> Result<Committable, OperatorError> {
        postcard::to_stdvec(self)
            .map(Committable)
            .map_err(OperatorError::other)
    }

    fn decode(committable: &Committable) -> Result<Self, FileError> {
        postcard::from_bytes(&committable.0).map_err(|error| FileError::Committable {
            reason: error.to_string(),
        })
    }
}

/// Publishes what writers of the same output staged.
#[derive(Clone)]
pub(super) struct FileCommitter {
    output: Output,
    faults: Faults,
}

impl FileCommitter {
    pub(super) fn new(output: Output, faults: Faults) -> Self {
        Self { output, faults }
    }

    async fn publish_all(&self, request: &CommitRequest) -> Result<(), FileError> {
        let folder = self.output.folder()?;
        let area = self.output.area(&request.lineage, &request.sink)?;
        let extension = self.output.extension();
        let mut done = Vec::new();
        for (n, committable) in request.committables.iter().enumerate() {
            if self.faults.is_dead() {
                return Err(FileError::Died);
            }
            let staged = Staged::decode(committable)?;
            let name = published(
                &request.lineage,
                &request.sink,
                request.epoch,
                request.task,
                n,
                &extension,
            );
            let publication = Publication {
                area: &area,
                staged,
                target: folder.key_of(&name),
                target_name: folder.name_of(&name),
            };
            if publication.publish(&folder).await? == Leaves::Staged {
                done.push(staged.id);
            }
            if self.faults.strikes(FaultPoint::MidCommit) {
                return Err(FileError::Died);
            }
        }
        for id in done {
            area.0.remove(&id.name()).await?;
        }
        Ok(())
    }
}

impl Committer for FileCommitter {
    fn commit(&self, request: CommitRequest) -> BoxFuture<Result<(), OperatorError>> {
        let committer = self.clone();
        Box::pin(async move {
            if !request.committables.is_empty() {
                committer.publish_all(&request).await?;
            }
            Ok(())
        })
    }
}

/// What a publication leaves under the staged name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// The staged file, which is to be removed.
    Staged,
    /// Nothing, or a file of another run that has the name by now.
    NothingOfOurs,
}

/// What is found under a final name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    AsStaged,
}

/// A staged file on its way to its final name.
struct Publication<'a> {
    area: &'a StagingArea,
    staged: Staged,
    target: Key,
    target_name: String,
}

impl Publication<'_> {
    /// Gives the staged file its final name, or sees that it has it.
    async fn publish(&self, folder: &Folder) -> Result<Leaves, FileError> {
        let store = folder.store.as_ref();
        let (staged, expected) = (self.area.key_of(self.staged.id), self.staged.size);
        let found = match store.head(&staged).await {
            Ok(meta) => Some(meta.size),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(FileError::storing(self.area.name_of(self.staged.id), error)),
        };
        if found != Some(expected) {
            // It must have been published before.
            return match (self.check(store).await?, found) {
                (Found::AsStaged, _) => Ok(Leaves::NothingOfOurs),
                (Found::Nothing, None) => Err(FileError::Missing {
                    target: self.target_name.clone(),
                    staged: self.area.name_of(self.staged.id),
                }),
                (Found::Nothing, Some(found)) => Err(FileError::Differs {
                    path: self.area.name_of(self.staged.id),
                    expected,
                    found,
                }),
            };
        }
        let create = CopyOptions::new().with_mode(CopyMode::Create);
        match store.copy_opts(&staged, &self.target, create).await {
            Ok(()) => Ok(Leaves::Staged),
            Err(error) if has_no_links(&error) => self.rename(store, &staged).await,
            // Whatever the store says, the place is taken or the staged file is gone; or it did not say that it had
            // worked, and a copy that another commit of the same epoch made is as good.
            Err(error) => match (self.check(store).await?, error) {
                (Found::AsStaged, StoreError::NotFound { .. }) => Ok(Leaves::NothingOfOurs),
                (Found::AsStaged, _) => Ok(Leaves::Staged),
                (Found::Nothing, error) => Err(self.failed(error)),
            },
        }
    }

    /// Publishes by renaming. Without links this is not create-only, but only the committer of a claimed epoch uses the
    /// name, and whatever another one may put there is the same file.
    async fn rename(&self, store: &dyn ObjectStore, staged: &Key) -> Result<Leaves, FileError> {
        match self.check(store).await? {
            Found::AsStaged => Ok(Leaves::Staged),
            Found::Nothing => match store.rename(staged, &self.target).await {
                Ok(()) => Ok(Leaves::NothingOfOurs),
                Err(error) => Err(self.failed(error)),
            },
        }
    }

    /// Compares the published file with what was staged.
    async fn check(&self, store: &dyn ObjectStore) -> Result<Found, FileError> {
        let answer = match store.get(&self.target).await {
            Err(StoreError::NotFound { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(FileError::fetching(&self.target_name, 0, error)),
            Ok(answer) => answer,
        };
        let found = answer.meta.size;
        let mut bytes = answer.into_stream();
        let mut checksum = 0;
        // What differs in size need not be read.
        if found == self.staged.size {
            while let Some(run) = bytes
                .try_next()
                .await
                .map_err(|error| FileError::fetching(&self.target_name, 0, error))?
            {
                checksum = crc32c::crc32c_append(checksum, &run);
            }
        }
        if (found, checksum) == (self.staged.size, self.staged.checksum) {
            return Ok(Found::AsStaged);
        }
        Err(FileError::Differs {
            path: self.target_name.clone(),
            expected: self.staged.size,
            found,
        })
    }

    fn failed(&self, error: StoreError) -> FileError {
        match error {
            StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
                FileError::NoConditionalWrites {
                    path: self.target_name.clone(),
                    reason: error.to_string(),
                }
            }
            error => FileError::storing(&self.target_name, error),
        }
    }
}

/// Whether the file system has no hard links, as some network and user-space ones.
fn has_no_links(error: &StoreError) -> bool {
    /// What Linux says for a link that the file system does not permit (EPERM).
    const NOT_PERMITTED: i32 = 1;
    tidegate_storage::os_error(error).is_some_and(|error| {
        error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(NOT_PERMITTED)
    })
}

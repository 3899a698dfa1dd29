//! Publishes staged files.
//!
//! A staged file and its final name are two names of one file for a moment: the final one is linked, which fails if it
//! exists, and then the staged one is removed. So a commit that was interrupted anywhere can be repeated:
//!
//! | staged | final | |
//! |---|---|---|
//! | there | not there | link, remove |
//! | there | there, as staged | remove |
//! | not there | there, as staged | done before |
//! | not there | not there | error: somebody removed it |
//! | any | there, otherwise | error: somebody changed it |

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    BoxFuture, FaultPoint, Faults, OperatorError,
    sink::{CommitRequest, Committable, Committer},
};

use super::{
    appender::sync_directory,
    encoder::Format,
    paths::{PartId, StagingArea, published},
};
use crate::{FileError, completion::on_thread};

/// How much of a file is read at once to check it.
const CHECK_BYTES: usize = 256 * 1024;

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

#[derive(Clone)]
pub(super) struct FileCommitter {
    directory: PathBuf,
    format: Format,
    faults: Faults,
}

impl FileCommitter {
    pub(super) fn new(directory: PathBuf, format: Format, faults: Faults) -> Self {
        Self {
            directory,
            format,
            faults,
        }
    }

    fn publish_all(&self, request: &CommitRequest) -> Result<(), FileError> {
        let area = StagingArea::new(&self.directory, &request.lineage, &request.sink);
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
                self.format.extension(),
            );
            let staged_path = area.part(staged.id);
            if publish(&staged_path, &self.directory.join(name), staged)? == Leaves::Staged {
                done.push(staged_path);
            }
            if self.faults.strikes(FaultPoint::MidCommit) {
                return Err(FileError::Died);
            }
        }
        if done.is_empty() {
            return Ok(());
        }
        // The final names must be durable before the staged ones go.
        sync_directory(&self.directory).map_err(|error| FileError::writing(&self.directory, error))?;
        done.iter().try_for_each(|staged| remove_staged(staged))
    }
}

impl Committer for FileCommitter {
    fn commit(&self, request: CommitRequest) -> BoxFuture<Result<(), OperatorError>> {
        let committer = self.clone();
        Box::pin(async move {
            if request.committables.is_empty() {
                return Ok(());
            }
            let directory = committer.directory.clone();
            // Away from the threads that carry the network: checking and syncing may take long.
            match on_thread(move || committer.publish_all(&request)).await {
                Some(published) => Ok(published?),
                None => Err(FileError::Abandoned { path: directory }.into()),
            }
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

/// Gives a staged file its final name, or sees that it has it.
fn publish(staged_path: &Path, target: &Path, staged: Staged) -> Result<Leaves, FileError> {
    let found = match fs::metadata(staged_path) {
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(FileError::writing(staged_path, error)),
    };
    if found != Some(staged.size) {
        // It must have been published before.
        return match (check(target, staged)?, found) {
            (Found::AsStaged, _) => Ok(Leaves::NothingOfOurs),
            (Found::Nothing, None) => Err(FileError::Missing {
                target: target.to_path_buf(),
                staged: staged_path.to_path_buf(),
            }),
            (Found::Nothing, Some(found)) => Err(FileError::Differs {
                path: staged_path.to_path_buf(),
                expected: staged.size,
                found,
            }),
        };
    }
    match fs::hard_link(staged_path, target) {
        Ok(()) => Ok(Leaves::Staged),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            check(target, staged).map(|_| Leaves::Staged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match check(target, staged)? {
            // Another commit of the same epoch was faster.
            Found::AsStaged => Ok(Leaves::NothingOfOurs),
            Found::Nothing => Err(FileError::writing(target, error)),
        },
        Err(error) if has_no_links(&error) => rename(staged_path, target, staged),
        Err(error) => Err(FileError::writing(target, error)),
    }
}

/// Whether the file system has no hard links, as some network and user-space ones.
fn has_no_links(error: &io::Error) -> bool {
    /// What Linux says for a link that the file system does not permit (EPERM).
    const NOT_PERMITTED: i32 = 1;
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(NOT_PERMITTED)
}

/// Publishes by renaming. Without links this is not create-only, but only the committer of a claimed epoch uses the
/// name, and whatever another one may put there is the same file.
fn rename(staged_path: &Path, target: &Path, staged: Staged) -> Result<Leaves, FileError> {
    match check(target, staged)? {
        Found::AsStaged => Ok(Leaves::Staged),
        Found::Nothing => match fs::rename(staged_path, target) {
            Ok(()) => Ok(Leaves::NothingOfOurs),
            Err(error) => Err(FileError::writing(target, error)),
        },
    }
}

/// What is found under a final name.
enum Found {
    Nothing,
    AsStaged,
}

/// Compares a published file with what was staged.
fn check(path: &Path, staged: Staged) -> Result<Found, FileError> {
    let reading = |offset, source| FileError::Read {
        path: path.to_path_buf(),
        offset,
        source,
    };
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        file => file.map_err(|error| reading(0, error))?,
    };
    let (mut size, mut checksum) = (0, 0);
    let mut buffer = vec![0; CHECK_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                size += read as u64;
                checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(size, error)),
        }
    }
    if (size, checksum) == (staged.size, staged.checksum) {
        return Ok(Found::AsStaged);
    }
    Err(FileError::Differs {
        path: path.to_path_buf(),
        expected: staged.size,
        found: size,
    })
}

fn remove_staged(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::writing(path, error)),
        _ => Ok(()),
    }
}

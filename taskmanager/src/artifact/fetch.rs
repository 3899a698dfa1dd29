//! One executable from the storage to the disk.
//!
//! It comes under a name of its own, is hashed on the way, synced, closed and made executable, and only then gets the name
//! that says what it is: whatever has that name is complete.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use futures::StreamExt;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use tidegate_core::ArtifactId;
use tidegate_storage::{Storage, reasons};
use tokio::io::AsyncWriteExt;

use super::ArtifactError;
use crate::directories::PARTIAL;

/// How much is read at a time when a file is verified.
const READ_BYTES: usize = 256 * 1024;

/// An executable that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) artifact: ArtifactId,
    pub(super) size_bytes: u64,
    /// Where it is to be.
    pub(super) path: PathBuf,
}

/// Whether the file is there already, and what it should be.
pub(super) async fn is_there(wanted: &Wanted) -> bool {
    let (path, size) = (wanted.path.clone(), wanted.size_bytes);
    let found = tokio::task::spawn_blocking(move || digest_of(&path, size)).await;
    matches!(found, Ok(Ok(digest)) if digest == wanted.artifact.as_str())
}

/// The digest of a file of this size; something else for one of another size.
fn digest_of(path: &Path, size: u64) -> io::Result<String> {
    if fs::metadata(path)?.len() != size {
        return Ok(String::new());
    }
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Fetches an executable.
pub(super) async fn fetch(storage: &Storage, wanted: &Wanted) -> Result<(), ArtifactError> {
    let folder = wanted.path.parent().unwrap_or(Path::new("/"));
    let partial = folder.join(format!(
        "{}-{:016x}{PARTIAL}",
        wanted.artifact,
        rand::random::<u64>()
    ));
    let removed = RemoveOnDrop(&partial);
    let result = download(storage, wanted, &partial).await;
    if result.is_ok() {
        let (from, to) = (partial.clone(), wanted.path.clone());
        let renamed = tokio::task::spawn_blocking(move || put_in_place(&from, &to)).await;
        renamed
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(disk(wanted, &wanted.path))?;
    }
    drop(removed);
    result
}

async fn download(storage: &Storage, wanted: &Wanted, partial: &Path) -> Result<(), ArtifactError> {
    let failed = |error: object_store::Error| fetch_error(storage, wanted, &error);
    let object = storage.path(&format!("artifacts/{}", wanted.artifact));
    let found = storage.store().get(&object).await.map_err(failed)?;
    let size_error = |actual| ArtifactError::Size {
        artifact: wanted.artifact.clone(),
        actual,
        expected: wanted.size_bytes,
    };
    if found.meta.size != wanted.size_bytes {
        return Err(size_error(found.meta.size));
    }
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)
        .await
        .map_err(disk(wanted, partial))?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut chunks = found.into_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        size += chunk.len() as u64;
        if size > wanted.size_bytes {
            return Err(size_error(size));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(disk(wanted, partial))?;
    }
    if size != wanted.size_bytes {
        return Err(size_error(size));
    }
    let actual = hexadecimal(&hash.finalize());
    if actual != wanted.artifact.as_str() {
        return Err(ArtifactError::Digest {
            artifact: wanted.artifact.clone(),
            actual,
        });
    }
    let finished = async {
        file.flush().await?;
        file.set_permissions(Permissions::from_mode(0o500)).await?;
        file.sync_all().await
    };
    finished.await.map_err(disk(wanted, partial))?;
    // A file that is open for writing cannot be executed: its last handle goes here, and not on some other thread.
    drop(file.into_std().await);
    Ok(())
}

fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn fetch_error(storage: &Storage, wanted: &Wanted, error: &object_store::Error) -> ArtifactError {
    let artifact = wanted.artifact.clone();
    let location = storage.location().to_owned();
    match error {
        object_store::Error::NotFound { .. } => ArtifactError::Missing { artifact, location },
        error => ArtifactError::Fetch {
            artifact,
            location,
            reason: reasons(error),
        },
    }
}

fn disk(wanted: &Wanted, path: &Path) -> impl FnOnce(io::Error) -> ArtifactError + use<> {
    let (artifact, path) = (wanted.artifact.clone(), path.to_owned());
    move |source| ArtifactError::Disk {
        artifact,
        path,
        source,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is not complete does not stay, also when nobody waits for it any more.
struct RemoveOnDrop<'a>(&'a Path);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        // After a success it has another name.
        let _ = fs::remove_file(self.0);
    }
}

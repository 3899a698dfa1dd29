//! Executables in the store, each under the SHA-256 of its bytes.

use std::{fmt::Display, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use tidegate_core::ArtifactId;
use tidegate_driver::{JobStore, StoreError};
use tidegate_proto::{EXECUTABLE_HEADER_BYTES, executable_target};

use super::error::ClusterError;

const ARTIFACTS: &str = "artifacts";
const UPLOADS: &str = "uploads";
/// How many parts of an upload may be on their way to the store.
const PARTS_IN_FLIGHT: usize = 4;
/// How old what is left of an upload must be before it is deleted.
const UPLOAD_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// The executables of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    root: JobStore,
    limit_bytes: u64,
}

/// One executable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Artifact {
    pub(crate) id: ArtifactId,
    pub(crate) size: u64,
    pub(crate) uploaded_ms: i64,
}

/// What came of an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Uploaded {
    pub(crate) artifact: Artifact,
    pub(crate) target: String,
    /// Whether it was not there before.
    pub(crate) is_new: bool,
}

impl Artifacts {
    pub(crate) fn new(root: JobStore, limit_bytes: u64) -> Self {
        Self { root, limit_bytes }
    }

    /// Streams an executable into the store. It is visible as a whole or not at all.
    pub(crate) async fn upload<E: Display>(
        &self,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        expected: Option<&ArtifactId>,
    ) -> Result<Uploaded, ClusterError> {
        let staged = format!("{UPLOADS}/{:032x}", rand::random::<u128>());
        let result = self.stage(&staged, bytes, expected).await;
        // Left behind, it would be collected.
        let _ = self.root.delete(&staged).await;
        result
    }

    async fn stage<E: Display>(
        &self,
        staged: &str,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        expected: Option<&ArtifactId>,
    ) -> Result<Uploaded, ClusterError> {
        let place = self.root.path(staged);
        let upload = self.root.store().put_multipart(&place).await;
        let mut parts = WriteMultipart::new(upload.map_err(|error| storage(&error))?);
        let taken = self.take(bytes, &mut parts).await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Left behind, it would be collected.
                let _ = parts.abort().await;
                return Err(error);
            }
        };
        parts.finish().await.map_err(|error| storage(&error))?;
        if let Some(expected) = expected.filter(|expected| **expected != taken.id) {
            return Err(ClusterError::DigestDiffers {
                expected: expected.clone(),
                actual: taken.id,
            });
        }
        let is_new = match self.find(&taken.id).await {
            Ok(_) => false,
            Err(ClusterError::NoArtifact { .. }) => {
                let to = self.path(&taken.id);
                let copied = self.root.store().copy(&place, &to).await;
                copied.map_err(|error| storage(&error))?;
                true
            }
            Err(error) => return Err(error),
        };
        Ok(Uploaded {
            artifact: self.find(&taken.id).await?,
            target: taken.target,
            is_new,
        })
    }

    /// Takes the bytes as they come: digest, size and kind are known when they have all come.
    async fn take<E: Display>(
        &self,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        parts: &mut WriteMultipart,
    ) -> Result<Taken, ClusterError> {
        let mut bytes = pin!(bytes);
        let (mut digest, mut size) = (Sha256::new(), 0);
        let mut header = BytesMut::with_capacity(EXECUTABLE_HEADER_BYTES);
        let mut target = None;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| ClusterError::UploadBroken {
                received: size,
                reason: error.to_string(),
            })?;
            size += chunk.len() as u64;
            if size > self.limit_bytes {
                return Err(ClusterError::ArtifactTooLarge {
                    limit: self.limit_bytes,
                });
            }
            if target.is_none() {
                let missing = EXECUTABLE_HEADER_BYTES - header.len();
                header.extend_from_slice(&chunk[..missing.min(chunk.len())]);
                if header.len() == EXECUTABLE_HEADER_BYTES {
                    target = Some(target_of(&header)?);
                }
            }
            digest.update(&chunk);
            let room = parts.wait_for_capacity(PARTS_IN_FLIGHT).await;
            room.map_err(|error| storage(&error))?;
            parts.put(chunk);
        }
        let target = match target {
            Some(target) => target,
            None => target_of(&header)?,
        };
        let id = ArtifactId::parse(&hexadecimal(&digest.finalize()))?;
        Ok(Taken { id, target })
    }

    /// An executable that is there.
    pub(crate) async fn find(&self, id: &ArtifactId) -> Result<Artifact, ClusterError> {
        match self.root.store().head(&self.path(id)).await {
            Ok(meta) => Ok(Artifact {
                id: id.clone(),
                size: meta.size,
                uploaded_ms: meta.last_modified.timestamp_millis(),
            }),
            Err(object_store::Error::NotFound { .. }) => {
                Err(ClusterError::NoArtifact { artifact: id.clone() })
            }
            Err(error) => Err(storage(&error)),
        }
    }

    /// What an executable that is there was compiled for.
    pub(crate) async fn target(&self, artifact: &Artifact) -> Result<String, ClusterError> {
        let end = artifact.size.min(EXECUTABLE_HEADER_BYTES as u64);
        let header = self
            .root
            .store()
            .get_range(&self.path(&artifact.id), 0..end)
            .await;
        let header = header.map_err(|error| storage(&error))?;
        target_of(&header)
    }

    /// All that are there, in the order of their digests.
    pub(crate) async fn list(&self) -> Result<Vec<Artifact>, ClusterError> {
        let listed = self.root.store().list(Some(&self.root.path(ARTIFACTS)));
        let mut artifacts: Vec<Artifact> = listed
            .try_filter_map(|meta| async move {
                let id = meta
                    .location
                    .filename()
                    .and_then(|name| ArtifactId::parse(name).ok());
                Ok(id.map(|id| Artifact {
                    id,
                    size: meta.size,
                    uploaded_ms: meta.last_modified.timestamp_millis(),
                }))
            })
            .try_collect()
            .await
            .map_err(|error| storage(&error))?;
        artifacts.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(artifacts)
    }

    /// Deletes one; that it is gone already is success.
    pub(crate) async fn delete(&self, id: &ArtifactId) -> Result<(), ClusterError> {
        Ok(self.root.delete(&format!("{ARTIFACTS}/{id}")).await?)
    }

    /// Deletes what is left of uploads that broke off long ago.
    pub(crate) async fn collect_uploads(&self, now_ms: i64) -> Result<usize, ClusterError> {
        let oldest = now_ms - i64::try_from(UPLOAD_RETENTION.as_millis()).unwrap_or(i64::MAX);
        let listed = self.root.store().list(Some(&self.root.path(UPLOADS)));
        let stale: Vec<_> = listed
            .try_filter(|meta| std::future::ready(meta.last_modified.timestamp_millis() < oldest))
            .try_collect()
            .await
            .map_err(|error| storage(&error))?;
        for meta in &stale {
            match self.root.store().delete(&meta.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(storage(&error)),
            }
        }
        Ok(stale.len())
    }

    fn path(&self, id: &ArtifactId) -> object_store::path::Path {
        self.root.path(&format!("{ARTIFACTS}/{id}"))
    }
}

/// What the bytes of an upload turned out to be.
struct Taken {
    id: ArtifactId,
    target: String,
}

fn target_of(header: &[u8]) -> Result<String, ClusterError> {
    executable_target(header).map_err(|error| ClusterError::NotExecutable(error.to_string()))
}

fn storage(error: &object_store::Error) -> ClusterError {
    ClusterError::Storage(error.to_string())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<StoreError> for ClusterError {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

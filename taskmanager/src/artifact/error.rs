//! Why an executable cannot be had.

use std::{io, path::PathBuf, time::Duration};

use tidegate_core::ArtifactId;

/// Why an executable cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// It is not there.
    #[error("artifact {artifact} is not in the cluster's storage at {location}; upload it again")]
    Missing { artifact: ArtifactId, location: String },
    /// The storage does not give it.
    #[error("artifact {artifact} cannot be read from the cluster's storage at {location}: {reason}")]
    Fetch {
        artifact: ArtifactId,
        location: String,
        reason: String,
    },
    /// It takes too long.
    #[error("artifact {artifact} could not be fetched from {location} within {limit:?}")]
    Slow {
        artifact: ArtifactId,
        location: String,
        limit: Duration,
    },
    /// What the storage has is another size.
    #[error(
        "artifact {artifact} has {actual} bytes or more in the storage where {expected} are expected; upload it again"
    )]
    Size {
        artifact: ArtifactId,
        actual: u64,
        expected: u64,
    },
    /// What the storage has is something else.
    #[error(
        "artifact {artifact} has the digest {actual} in the storage, so that its bytes have been changed; upload it again"
    )]
    Digest { artifact: ArtifactId, actual: String },
    /// The disk does not take it.
    #[error("artifact {artifact} cannot be written to {}: {source}; check the disk of the task manager", path.display())]
    Disk {
        artifact: ArtifactId,
        path: PathBuf,
        source: io::Error,
    },
}

impl ArtifactError {
    /// Whether its bytes are at fault, so that no other try helps.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Size { .. } | Self::Digest { .. })
    }
}

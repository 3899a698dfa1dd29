//! The chain of decisions that a job leaves in the store: one record per epoch, created only if absent.

use serde::{Deserialize, Serialize};

use crate::id::{CheckpointId, Epoch, Generation, Lineage};

/// Names one immutable manifest and says what its bytes must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestReference {
    /// The object, named relative to the job's root.
    pub object: String,
    /// The checkpoint it describes.
    pub checkpoint: CheckpointId,
    /// The object's size in bytes.
    pub size: u64,
    /// CRC32C over the object's bytes.
    pub checksum: u32,
}

/// Why an epoch was claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EpochKind {
    /// A checkpoint has become the job's state.
    Checkpoint,
    /// A new generation repeats its parent's manifest, so that whatever its predecessor has in flight comes too late.
    Seal,
    /// The user began anew: a new lineage, with the state of a savepoint or with none.
    Start,
}

/// A link of the chain: `epochs/<k>`. Whoever creates it has decided what epoch *k* is, for good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its place in the chain, from 1, without gaps.
    pub epoch: Epoch,
    /// The record before it; `None` for the first.
    pub parent: Option<Epoch>,
    /// The oldest epoch whose record is kept as of this one: from there on the chain has no gaps, and whatever lies
    /// below is waiting to be collected.
    pub floor: Epoch,
    /// Why it was claimed.
    pub kind: EpochKind,
    /// Who claimed it.
    pub generation: Generation,
    /// The identity of the claimer, unique to its process: it tells a leader's own record from another's.
    pub leader: String,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The job's state as of this epoch; `None` for a fresh start.
    pub manifest: Option<ManifestReference>,
    /// When it was written, in milliseconds since the Unix epoch.
    pub written_at_ms: i64,
}

//! Small records that only the store knows.

use tidegate_core::{Epoch, Generation};

/// `generations/<g>`: who leads a job since when. Created only if absent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenerationRecord {
    /// The term.
    pub generation: Generation,
    /// The identity of the leader, unique to its process.
    pub leader: String,
    /// When, in milliseconds since the Unix epoch.
    pub written_at_ms: i64,
}

/// `committed`: how far sinks have committed. Advisory, and overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommittedRecord {
    /// How far.
    pub epoch: Epoch,
    /// Who says so.
    pub generation: Generation,
}

//! What state looks like to whoever takes and restores snapshots of it.

use serde::{Deserialize, Serialize};

use crate::{
    id::CheckpointId,
    key::{KeyGroup, KeyGroupRange},
    operator::Progress,
    time::ProcessingTime,
};

/// Why state could not be restored, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A snapshot's bytes are not what they should be.
    #[error("state {state:?} is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// The state.
        state: String,
        /// Where in its block.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot holds another type than the job now has.
    #[error(
        "state {state:?} was written as {stored} and is now {wanted}; give the changed state a new name, or restore with the old type"
    )]
    SchemaMismatch {
        /// The state.
        state: String,
        /// The schema in the snapshot.
        stored: String,
        /// The schema of the running job.
        wanted: String,
    },
    /// A value could not be serialised.
    #[error("state {state:?} cannot be serialised: {reason}")]
    Unserialisable {
        /// The state.
        state: String,
        /// What the serialiser said.
        reason: String,
    },
}

/// The type of a state, as traced from its `Deserialize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The state's name within its operator.
    pub state: String,
    /// A readable description, stable across builds.
    pub description: String,
    /// A hash of the description: equal fingerprints mean equal encodings.
    pub fingerprint: u64,
}

/// Whether a block stands on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BlockKind {
    /// Everything the key group holds.
    Base,
    /// What changed since the last claimed checkpoint.
    Delta,
}

/// What a table is asked to freeze.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freeze {
    /// The checkpoint: entries written before this call belong to it, later ones do not.
    pub checkpoint: CheckpointId,
    /// Changes are measured from here; `None` writes everything as base.
    pub since: Option<CheckpointId>,
}

/// Receives the blocks of a scan: at most one block per key group and freeze.
pub trait SnapshotSink {
    /// Takes one block.
    fn block(&mut self, state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>);

    /// An empty buffer for a block of about `capacity` bytes. A receiver that gets buffers back hands them out again, for
    /// memory that is fresh from the system is slow to touch for the first time.
    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        Vec::with_capacity(capacity)
    }
}

/// A keyed state table, whatever its types, to the snapshot machinery.
///
/// A table counts *checkpoint intervals*: every entry is stamped with the last frozen checkpoint at the time of its
/// last write. [`freeze`](Self::freeze) opens a new interval in constant time; [`scan`](Self::scan) then serialises,
/// step by step between batches, what had been written between `since` and the freeze, while writes go on. Tombstones
/// are kept until a checkpoint that holds them is [claimed](Self::claimed).
pub trait KeyedState: Send {
    /// The state's name within its operator.
    fn name(&self) -> &str;
    /// The type of its keys and values.
    fn schema(&self) -> Schema;
    /// Says which key groups the table is to hold. Called once, before anything else.
    fn assign(&mut self, groups: KeyGroupRange);
    /// Says which checkpoint the loaded state is: writes from now on come after it. Called after the last
    /// [`load`](Self::load), or not at all on a fresh start.
    fn restored(&mut self, checkpoint: CheckpointId);
    /// Moves the clock that expiry goes by.
    fn set_now(&mut self, now: ProcessingTime);
    /// Opens a new interval. A scan that is still pending is discarded.
    fn freeze(&mut self, freeze: Freeze);
    /// Serialises some of what is frozen: about `budget` entries are looked at.
    fn scan(&mut self, budget: usize, out: &mut dyn SnapshotSink) -> Result<Progress, StateError>;
    /// Forgets a pending scan.
    fn discard(&mut self);
    /// A checkpoint has been claimed: tombstones it holds may go.
    fn claimed(&mut self, checkpoint: CheckpointId);
    /// Applies one block. Blocks of a key group come oldest first, starting with a base.
    fn load(&mut self, group: KeyGroup, kind: BlockKind, bytes: &[u8]) -> Result<(), StateError>;
    /// An estimate of the memory held.
    fn memory_bytes(&self) -> u64;
    /// The number of live entries.
    fn entries(&self) -> u64;
    /// A digest of the live contents that depends neither on their order nor on the number of tasks: digests of
    /// disjoint key groups add up (wrapping).
    fn digest(&self) -> u64;
}

/// State of an operator that is not keyed, as one task wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    /// The state's name within its operator.
    pub name: String,
    /// Its schema, where it has one.
    pub schema: Option<Schema>,
    /// Its encoding.
    pub bytes: Vec<u8>,
}

/// The state that is not keyed of all tasks of an operator as of the restored checkpoint.
#[derive(Clone, Debug, Default)]
pub struct RestoredState {
    /// One entry per former task that wrote state, with its index.
    pub tasks: Vec<(u32, Vec<OperatorState>)>,
}

impl RestoredState {
    /// All pieces with the given name, in the order of the former tasks.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OperatorState> {
        self.tasks
            .iter()
            .flat_map(|(_, states)| states)
            .filter(move |state| state.name == name)
    }
}

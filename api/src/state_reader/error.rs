//! Why state could not be read.

use tidegate_core::CheckpointId;
use tidegate_driver::{Snapshot, StoreError};
use tidegate_worker::SegmentError;

/// Why state could not be read out of a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateReadError {
    /// The job's objects cannot be read.
    #[error("snapshots at {location:?} cannot be read: {cause}")]
    Store {
        /// Where they are.
        location: String,
        /// What is wrong.
        cause: Box<StoreError>,
    },
    /// There is no such snapshot.
    #[error(
        "{location:?} does not hold {snapshot}; list what is there with `checkpoints ls` and `savepoint ls`"
    )]
    NoSnapshot {
        /// The location.
        location: String,
        /// What was looked for.
        snapshot: Snapshot,
    },
    /// No operator of that name has a part in the snapshot.
    #[error(
        "checkpoint {checkpoint} has no operator {operator:?}; it has {}",
        list(known)
    )]
    NoSuchOperator {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was looked for.
        operator: String,
        /// The operators there are.
        known: Vec<String>,
    },
    /// The operator has no keyed state of that name.
    #[error(
        "operator {operator:?} has no keyed state {state:?} in checkpoint {checkpoint}; it has {}",
        list(known)
    )]
    NoSuchState {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The operator.
        operator: String,
        /// What was looked for.
        state: String,
        /// The keyed states there are.
        known: Vec<String>,
    },
    /// The state is of another kind or of other types than were asked for.
    #[error(
        "state {state:?} of operator {operator:?} was written as {stored}, not as {wanted}; read it as what it is"
    )]
    Schema {
        /// The operator.
        operator: String,
        /// The state.
        state: String,
        /// What it is.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
    /// An object of the snapshot is missing or damaged.
    #[error("state {state:?} of operator {operator:?} cannot be read: {cause}")]
    Damaged {
        /// The operator.
        operator: String,
        /// The state.
        state: String,
        /// Which object, and what is wrong with it.
        cause: Box<SegmentError>,
    },
    /// Something in the snapshot is missing or damaged.
    #[error("checkpoint {checkpoint} is damaged: {cause}")]
    DamagedSnapshot {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which object, and what is wrong with it.
        cause: Box<SegmentError>,
    },
    /// Threads for reading could not be had.
    #[error("threads for reading could not be started: {0}")]
    Threads(std::io::Error),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

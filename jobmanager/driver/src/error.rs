//! What ends a driver, and what a store can refuse.

use tidegate_core::{Epoch, Generation};
use tidegate_proto::DecodeError;
use tidegate_storage::{OpenError, Refusal};

/// Why a driver ended without an outcome for the job.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A seeded fault has struck; the caller behaves as if the process were gone.
    #[error("the process died at a seeded fault")]
    Died,
    /// The store cannot carry the job.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another leader has taken over. Nothing was committed that it does not know of.
    #[error(
        "another run of the job, generation {generation}, has taken over at epoch {epoch}; this one has stopped, let one run at a time"
    )]
    Fenced {
        /// The epoch at which that showed.
        epoch: Epoch,
        /// The leader's generation.
        generation: Generation,
    },
}

/// What a store could not do, or must not be used for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The location leads nowhere.
    #[error(transparent)]
    Location(#[from] OpenError),
    /// The store does not let the job in, and will not until somebody puts it right.
    #[error("object {object:?} could not be {operation}: {refusal}")]
    Refused {
        /// The object.
        object: String,
        /// What was to be done: read, written, listed.
        operation: &'static str,
        /// Why not.
        refusal: Refusal,
    },
    /// Two writers could both win: exactly once is impossible.
    #[error(
        "store {store} does not enforce conditional writes ({reason}); exactly once needs them, use a store that has put-if-absent"
    )]
    NoConditionalWrites {
        /// The store.
        store: String,
        /// What it did instead.
        reason: String,
    },
    /// An operation on an object failed.
    #[error("object {object:?} could not be {operation}: {source}")]
    Object {
        /// The object.
        object: String,
        /// What was to be done: read, written, listed.
        operation: &'static str,
        /// What the store said.
        source: object_store::Error,
    },
    /// It could not be found out whether a conditional write won.
    #[error("object {object:?}: it is not known who wrote it after {attempts} attempts: {reason}")]
    Unresolved {
        /// The object.
        object: String,
        /// How many attempts.
        attempts: u32,
        /// What happened last.
        reason: String,
    },
    /// An object's bytes are not what they should be.
    #[error(transparent)]
    Corrupt(#[from] DecodeError),
    /// An object is not the one that another object names.
    #[error(
        "object {object:?} has {actual_size} bytes and checksum {actual:#010x}, and {named_by:?} says {expected_size} and {expected:#010x}; restore the object from a copy, or start from a savepoint or with --fresh"
    )]
    Mismatch {
        /// The object.
        object: String,
        /// Who says what it should be.
        named_by: String,
        /// Its size.
        actual_size: u64,
        /// Its checksum.
        actual: u32,
        /// The size it should have.
        expected_size: u64,
        /// The checksum it should have.
        expected: u32,
    },
    /// Something that must be there is not.
    #[error(
        "object {object:?} is missing, and {named_by:?} needs it; restore the object from a copy, or start from a savepoint or with --fresh"
    )]
    Missing {
        /// The object.
        object: String,
        /// Who needs it.
        named_by: String,
    },
    /// The chain contradicts itself.
    #[error(
        "the chain of epochs is broken at {object:?}: {reason}; restore the object from a copy, or start from a savepoint"
    )]
    BrokenChain {
        /// The object.
        object: String,
        /// How.
        reason: String,
    },
    /// There is a savepoint of that name.
    #[error("a savepoint named {name:?} exists already; choose another name")]
    SavepointExists {
        /// The name.
        name: String,
    },
    /// There is no such savepoint.
    #[error("there is no savepoint at {location:?}; list them, or give the location of another job's")]
    NoSavepoint {
        /// The location.
        location: String,
    },
    /// The name cannot be one.
    #[error(
        "{name:?} cannot name a savepoint; use letters, digits, '-', '_' and '.', not at the start, at most 100"
    )]
    SavepointName {
        /// The name.
        name: String,
    },
}

impl StoreError {
    /// Wraps what the store said about an object.
    pub(crate) fn object(object: &str, operation: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        let object = object.to_owned();
        move |source| match Refusal::of(&source) {
            Some(refusal) => Self::Refused {
                object,
                operation,
                refusal,
            },
            None => Self::Object {
                object,
                operation,
                source,
            },
        }
    }
}

//! Facts that a coordinator is told.

use std::sync::Arc;

use tidegate_core::{
    CheckpointId, Epoch, Generation, Severity, WorkerId, WorkerName,
    control::{Manifest, WorkerReport},
    epoch::{EpochRecord, ManifestReference},
};

use crate::{
    command::{SavepointError, SavepointInfo},
    newcomer::Newcomer,
};

/// Ties an answer to the request it is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// The end of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// Its record.
    pub record: EpochRecord,
    /// The manifest that the record names, if it names one.
    pub manifest: Option<Arc<Manifest>>,
}

/// What the store held when it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// The records from the tail's floor up to, but without, the tail.
    pub links: Vec<EpochRecord>,
    /// The tail, if an epoch has ever been claimed.
    pub tail: Option<Tail>,
    /// The largest checkpoint id that is in use anywhere, candidates and unreferenced segments included.
    pub largest_checkpoint: CheckpointId,
    /// How far sinks are known to have committed.
    pub committed: Option<Epoch>,
}

/// A step of work on the store that the job cannot go on without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreStep {
    /// Reading the chain.
    ReadChain,
    /// Creating a generation record.
    CreateGeneration,
    /// Copying a savepoint into the job.
    ImportSavepoint,
    /// Claiming an epoch: its record is there, is not this coordinator's, and cannot be read.
    ClaimEpoch,
}

/// A fact.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The coordinator is to begin.
    Started,
    /// The time that [`Coordinator::next_wakeup`](crate::Coordinator::next_wakeup) named has come.
    Wakeup,
    /// A worker has come; answered by [`Command::Seat`](crate::Command::Seat) or [`Command::Refuse`](crate::Command::Refuse).
    WorkerAttached {
        /// For the answer.
        request: RequestId,
        /// Who.
        newcomer: Box<Newcomer>,
    },
    /// A worker is gone and all its tasks with it.
    WorkerLost {
        /// Which.
        worker: WorkerId,
        /// How it is known.
        reason: String,
    },
    /// A worker's process has ended, as whoever watches it says: before its connection is known to be broken, or after, or
    /// without that it ever attached.
    WorkerGone {
        /// Which.
        name: WorkerName,
        /// How: exit status and last words.
        reason: String,
        /// Whether the job may go on with another.
        severity: Severity,
    },
    /// A worker has said something.
    Reported {
        /// Which.
        worker: WorkerId,
        /// What.
        report: WorkerReport,
    },

    /// The chain has been read.
    ChainRead(Box<Chain>),
    /// A generation record has been created; it is larger than any other.
    GenerationCreated(Generation),
    /// A savepoint has been copied into the job and described by a manifest of the job's own.
    SavepointImported {
        /// The manifest as written.
        manifest: Arc<Manifest>,
        /// Where it is.
        reference: ManifestReference,
    },
    /// A step without which the job cannot go on has failed for good.
    StoreFailed {
        /// Which.
        step: StoreStep,
        /// Why, naming the object and what to do.
        reason: String,
    },
    /// A candidate manifest is durable.
    ManifestWritten {
        /// Where it is.
        reference: ManifestReference,
    },
    /// A candidate manifest could not be written.
    ManifestFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        reason: String,
    },
    /// An epoch is this coordinator's.
    EpochClaimed(Epoch),
    /// An epoch is somebody else's.
    EpochLost {
        /// Which.
        epoch: Epoch,
        /// The record that is there instead.
        winner: Box<EpochRecord>,
    },
    /// It could not be found out whose an epoch is.
    EpochUnresolved {
        /// Which.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// A savepoint has been exported, or has not.
    SavepointExported {
        /// The request that it was for.
        request: RequestId,
        /// Where it lies.
        result: Result<SavepointInfo, SavepointError>,
    },

    /// Somebody asks for a savepoint.
    SavepointRequested {
        /// For the answer.
        request: RequestId,
        /// What to call it.
        name: String,
    },
    /// Somebody asks to suspend the job.
    SuspendRequested {
        /// For the answer, if a savepoint is wanted.
        request: RequestId,
        /// What to call the savepoint, if one is wanted.
        savepoint: Option<String>,
    },
    /// Somebody asks for a checkpoint before its time; the status tells when it is claimed.
    CheckpointRequested,
    /// Somebody asks to cancel the job.
    CancelRequested,
}

//! Intentions that a coordinator has.

use std::sync::Arc;

use tidegate_core::{
    Attempt, CheckpointId, Epoch, Generation, Lineage, WorkerId,
    control::{Manifest, WorkerOrder},
    epoch::{EpochRecord, ManifestReference},
};

use crate::{event::RequestId, newcomer::NewcomerError, status::Outcome};

/// A savepoint, as whoever asked for it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavepointInfo {
    /// Its name.
    pub name: String,
    /// Where it lies; a job can be started from there.
    pub location: String,
    /// The checkpoint that it is a copy of.
    pub checkpoint: CheckpointId,
    /// The epoch that the checkpoint became.
    pub epoch: Epoch,
    /// Its size in bytes, segments and manifest.
    pub size: u64,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub written_at_ms: i64,
}

/// Why there is no savepoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SavepointError {
    /// The job ended before it could be taken.
    #[error("savepoint {name:?} was not taken: the job is {state}; start the job and ask again")]
    NotRunning {
        /// Its name.
        name: String,
        /// What the job is instead of running.
        state: String,
    },
    /// Too many are waiting.
    #[error("savepoint {name:?} was not taken: {waiting} others are waiting; ask again when they are done")]
    Busy {
        /// Its name.
        name: String,
        /// How many.
        waiting: usize,
    },
    /// Its checkpoint did not come to be.
    #[error("savepoint {name:?} was not taken: {reason}")]
    Checkpoint {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// It was claimed, but could not be copied.
    #[error("savepoint {name:?} could not be copied: {reason}")]
    Export {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// What may be deleted, as of a claimed epoch. Whoever carries it out lists first, leaves alone whatever is newer than
/// `claimed`, and does nothing at all if the chain has grown beyond `tail`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectionPlan {
    /// The term of leadership that collects.
    pub generation: Generation,
    /// The newest epoch.
    pub tail: Epoch,
    /// The oldest epoch whose record is kept.
    pub floor: Epoch,
    /// The newest checkpoint that has been claimed: what was written for a later one may be in flight.
    pub claimed: CheckpointId,
    /// The manifests that are kept, oldest first; the last one is the tail's.
    pub retained: Vec<ManifestReference>,
    /// The savepoints that are being copied, by name.
    pub exporting: Vec<String>,
}

/// Something people should know; it changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The job resumes under other arguments than it ran with.
    ArgumentsChanged {
        /// Those of the checkpoint.
        before: Vec<String>,
        /// Those of this run.
        now: Vec<String>,
    },
    /// The job resumes with another graph than it ran with.
    GraphChanged {
        /// The fingerprint in the checkpoint.
        before: u64,
        /// The fingerprint of this run.
        now: u64,
    },
    /// A checkpoint has become an epoch.
    CheckpointCompleted {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A checkpoint did not come to be.
    CheckpointFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        reason: String,
        /// How many have failed in a row.
        consecutive: u32,
    },
    /// A worker could not commit yet and goes on trying.
    CommitRetrying {
        /// The worker.
        worker: WorkerId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        reason: String,
    },
    /// It is not known whose an epoch is; the claim is tried again.
    ClaimUnresolved {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// The job is being restarted.
    Restarting {
        /// Why.
        cause: String,
        /// After how long, in milliseconds.
        delay_ms: u64,
    },
    /// Tasks that outlived the former coordinator are gone on with.
    Adopted {
        /// Their attempt.
        attempt: Attempt,
        /// How many workers have them.
        workers: usize,
    },
    /// Tasks that outlived the former coordinator are stopped, and deployed anew.
    NotAdopted {
        /// Why.
        reason: String,
    },
    /// An older leader's checkpoint came first; the job begins again from it.
    Overtaken {
        /// The epoch that it took.
        epoch: Epoch,
        /// Its generation.
        generation: Generation,
    },
}

/// An intention.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Read the chain and answer [`ChainRead`](crate::Event::ChainRead).
    ReadChain,
    /// Create the record of a generation above all others and above `above`, and answer
    /// [`GenerationCreated`](crate::Event::GenerationCreated).
    CreateGeneration {
        /// The largest generation that is known.
        above: Generation,
    },
    /// Copy a savepoint's segments into the job, describe them by a manifest of the job's own, without what its sinks
    /// had staged, and answer [`SavepointImported`](crate::Event::SavepointImported).
    ImportSavepoint {
        /// Where it lies.
        location: String,
        /// The id of the manifest, at least; a savepoint with a larger one of its own gets the next larger.
        checkpoint: CheckpointId,
        /// The epoch that it is to become.
        epoch: Epoch,
        /// The new lineage.
        lineage: Lineage,
        /// Who imports.
        generation: Generation,
    },
    /// Make a candidate manifest durable and answer [`ManifestWritten`](crate::Event::ManifestWritten).
    WriteManifest(Arc<Manifest>),
    /// Create an epoch record if it is absent and answer with what is there.
    ClaimEpoch(Box<EpochRecord>),
    /// Write down how far sinks have committed. Advisory: no answer, failure is no harm.
    WriteCommitted {
        /// How far.
        epoch: Epoch,
    },
    /// Delete what nothing needs any more. In the background: no answer, failure is no harm.
    Collect(CollectionPlan),
    /// Copy a claimed and committed savepoint's segments and manifest away, and answer
    /// [`SavepointExported`](crate::Event::SavepointExported).
    ExportSavepoint {
        /// For the answer.
        request: RequestId,
        /// What to call it.
        name: String,
        /// The epoch it has become.
        epoch: Epoch,
        /// What to copy.
        manifest: Arc<Manifest>,
    },
    /// A worker is one of the job's from now on.
    Seat {
        /// The request that it came with.
        request: RequestId,
        /// Its number.
        worker: WorkerId,
    },
    /// A worker is not let in.
    Refuse {
        /// The request that it came with.
        request: RequestId,
        /// Why.
        reason: NewcomerError,
    },
    /// Give a worker an order.
    Send {
        /// The worker.
        worker: WorkerId,
        /// The order.
        order: WorkerOrder,
    },
    /// Tell whoever asked for a savepoint.
    Answer {
        /// The request.
        request: RequestId,
        /// What became of it.
        result: Result<SavepointInfo, SavepointError>,
    },
    /// Tell people.
    Notify(Notice),
    /// It is over: nothing follows.
    Terminate(Outcome),
}

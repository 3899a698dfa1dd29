//! What a worker still runs when it attaches again: enough for a coordinator that has no memory of it to go on with it.

use serde::{Deserialize, Serialize};

use crate::id::{Attempt, CheckpointId, Generation, Lineage, WorkerId};

/// How far a worker has come with an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AttemptPhase {
    /// Its tasks are being put in place, or restored, or what the restored checkpoint staged is being published.
    Deploying,
    /// All of that is done; sources stand still.
    Deployed,
    /// Sources have been told to read, and all that the worker has know their splits.
    Running,
    /// All of its tasks have come to the end of their input.
    Ended,
    /// A task has failed, tasks have been told to stop, or sources stand still since a barrier that suspends: there is
    /// nothing to go on with.
    Broken,
}

/// An attempt as one of its workers knows it. Besides what is the worker's own it repeats what all workers of the attempt
/// were told alike, so that a coordinator can tell whether those that have come are all there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunningAttempt {
    /// The generation that led it last: the one that deployed it, or one that took it over.
    pub generation: Generation,
    /// The attempt.
    pub attempt: Attempt,
    /// The worker's number in it.
    pub worker: WorkerId,
    /// How far the worker has come.
    pub phase: AttemptPhase,
    /// The last checkpoint that the worker knows to be claimed: the restored one, or one that it was told to commit.
    pub claimed: Option<CheckpointId>,
    /// The checkpoints after that one that the worker has acknowledged and was not told to abort: one of them may have
    /// been claimed without the worker being told.
    pub acknowledged: Vec<CheckpointId>,
    /// The largest checkpoint id that the worker has met in an order or a barrier, whatever became of it.
    pub newest: Option<CheckpointId>,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The parallelism of operators that do not say otherwise.
    pub default_parallelism: u32,
    /// The seats of all workers of the attempt, as they were deployed.
    pub seats: Vec<WorkerId>,
}

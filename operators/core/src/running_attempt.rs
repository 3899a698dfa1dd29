//! What a worker still runs when it attaches again: enough for a coordinator that has no memory of it to go on with it.

use serde::{Deserialize, Serialize};

use crate::{
    control::WorkerAddress,
    id::{Attempt, CheckpointId, Generation, Lineage, WorkerId},
};

/// How far a worker has come with an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AttemptPhase {
    /// Its tasks are being put in place, or restored, or what the restored checkpoint staged is being published.
    Deploying,
    /// All of that is done; sources stand still.
    Deployed,
    /// Sources have been told to read.
    Running,
    /// All of its tasks have come to the end of their input.
    Ended,
    /// A task has failed, or tasks have been told to stop: there is nothing to go on with.
    Broken,
}

/// An attempt as one of its workers knows it. Besides what is the worker's own it repeats what all workers of the attempt
/// were told alike, so that a coordinator can tell whether those that have come are all there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunningAttempt {
    /// The generation that deployed it.
    pub generation: Generation,
    /// The attempt.
    pub attempt: Attempt,
    /// The worker's number in it.
    pub worker: WorkerId,
    /// How far the worker has come.
    pub phase: AttemptPhase,
    /// The last checkpoint that the worker was told to be claimed: the restored one, or one of the attempt.
    pub claimed: Option<CheckpointId>,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The parallelism of operators that do not say otherwise.
    pub default_parallelism: u32,
    /// All workers of the attempt, in the order in which they were deployed.
    pub workers: Vec<WorkerAddress>,
}

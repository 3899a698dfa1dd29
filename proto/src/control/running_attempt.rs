//! What a worker still runs, to and from its message.

use tidegate_core::{Attempt, AttemptPhase, CheckpointId, Generation, Lineage, RunningAttempt, WorkerId};

use crate::{convert::bad, generated as wire, object::DecodeReason};

impl From<&RunningAttempt> for wire::RunningAttempt {
    fn from(running: &RunningAttempt) -> Self {
        let phase = match running.phase {
            AttemptPhase::Deploying => wire::AttemptPhase::Deploying,
            AttemptPhase::Deployed => wire::AttemptPhase::Deployed,
            AttemptPhase::Running => wire::AttemptPhase::Running,
            AttemptPhase::Ended => wire::AttemptPhase::Ended,
            AttemptPhase::Broken => wire::AttemptPhase::Broken,
        };
        Self {
            generation: running.generation.0,
            attempt: running.attempt.0,
            worker: running.worker.0,
            phase: phase.into(),
            claimed: running.claimed.map(|checkpoint| checkpoint.0),
            lineage: running.lineage.as_str().to_owned(),
            default_parallelism: running.default_parallelism,
            acknowledged: running
                .acknowledged
                .iter()
                .map(|checkpoint| checkpoint.0)
                .collect(),
            newest: running.newest.map(|checkpoint| checkpoint.0),
            seats: running.seats.iter().map(|worker| worker.0).collect(),
        }
    }
}

impl TryFrom<wire::RunningAttempt> for RunningAttempt {
    type Error = DecodeReason;

    fn try_from(running: wire::RunningAttempt) -> Result<Self, DecodeReason> {
        let phase = match wire::AttemptPhase::try_from(running.phase) {
            Ok(wire::AttemptPhase::Deploying) => AttemptPhase::Deploying,
            Ok(wire::AttemptPhase::Deployed) => AttemptPhase::Deployed,
            Ok(wire::AttemptPhase::Running) => AttemptPhase::Running,
            Ok(wire::AttemptPhase::Ended) => AttemptPhase::Ended,
            Ok(wire::AttemptPhase::Broken) => AttemptPhase::Broken,
            Ok(wire::AttemptPhase::Unspecified) | Err(_) => return Err(bad("running.phase", running.phase)),
        };
        Ok(Self {
            generation: Generation(running.generation),
            attempt: Attempt(running.attempt),
            worker: WorkerId(running.worker),
            phase,
            claimed: running.claimed.map(CheckpointId),
            lineage: Lineage::new(running.lineage),
            default_parallelism: running.default_parallelism,
            acknowledged: running.acknowledged.into_iter().map(CheckpointId).collect(),
            newest: running.newest.map(CheckpointId),
            seats: running.seats.into_iter().map(WorkerId).collect(),
        })
    }
}

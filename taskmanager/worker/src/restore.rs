//! From a manifest back to running tasks: what fits where, and what does not fit at all.
//!
//! State is found by operator uid and state name, and cut to the key groups of each task, so that a job may come back
//! with another parallelism.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::{
    EventTime, NodeId, OperatorUid, TaskId, VisitOperators,
    bug::{Bug, is_seeded},
    chain::ChainError,
    control::{Manifest, OperatorSnapshot, TaskSnapshot},
    sink::CommitRequest,
    snapshot::{RestoredState, Schema, StateError},
    source::Split,
};

use crate::{
    program::JobProgram,
    segments::{SegmentError, Segments},
};

/// Why a checkpoint cannot be restored into this job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(
        "checkpoint {checkpoint} was taken with max_parallelism {stored}, the job now says {wanted}; it cannot change in the life of a job: set it back to {stored}"
    )]
    KeySpace {
        checkpoint: u64,
        stored: u16,
        wanted: u16,
    },
    #[error(
        "checkpoint {checkpoint} holds state of operator {operator:?}, which the job no longer has; bring the operator back under this name, or drop its state with --allow-non-restored-state"
    )]
    Unclaimed { checkpoint: u64, operator: String },
    #[error(
        "checkpoint {checkpoint} holds state {state:?} of operator {operator:?}, which the operator no longer declares; declare it again, or drop it with --allow-non-restored-state"
    )]
    UnclaimedState {
        checkpoint: u64,
        operator: String,
        state: String,
    },
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

fn holds_state(snapshot: &OperatorSnapshot) -> bool {
    !(snapshot.states.is_empty()
        && snapshot.keyed_schemas.is_empty()
        && snapshot.committables.is_empty()
        && snapshot.splits.is_empty())
}

/// Checks what can be checked before any task is built.
pub(crate) fn check(
    program: &JobProgram,
    manifest: &Manifest,
    allow_non_restored_state: bool,
) -> Result<(), RestoreError> {
    let (stored, wanted) = (
        manifest.space.max_parallelism(),
        program.graph().space.max_parallelism(),
    );
    if stored != wanted {
        return Err(RestoreError::KeySpace {
            checkpoint: manifest.checkpoint.0,
            stored,
            wanted,
        });
    }
    let known: BTreeSet<&OperatorUid> = program.graph().nodes.iter().map(|node| &node.uid).collect();
    let unclaimed = manifest
        .tasks
        .iter()
        .flat_map(|task| &task.operators)
        .find(|(uid, snapshot)| holds_state(snapshot) && !known.contains(uid));
    match unclaimed {
        Some((uid, _)) if !allow_non_restored_state => Err(RestoreError::Unclaimed {
            checkpoint: manifest.checkpoint.0,
            operator: uid.to_string(),
        }),
        _ => Ok(()),
    }
}

/// What the checkpoint had staged and may not be published yet: the part of former tasks that `mine` picks.
pub(crate) fn commits(manifest: &Manifest, mine: impl Fn(TaskId) -> bool) -> Vec<CommitRequest> {
    let tasks = manifest.tasks.iter().filter(|task| mine(task.task));
    tasks
        .flat_map(|task| {
            task.operators
                .iter()
                .map(move |(uid, snapshot)| (task.task, uid, snapshot))
        })
        .filter(|(_, _, snapshot)| !snapshot.committables.is_empty())
        .map(|(task, uid, snapshot)| CommitRequest {
            lineage: manifest.lineage.clone(),
            sink: uid.clone(),
            epoch: manifest.epoch,
            task: task.index,
            committables: snapshot.committables.clone(),
        })
        .collect()
}

/// The splits of every source, with their positions.
pub(crate) fn splits(manifest: &Manifest, program: &JobProgram) -> Vec<(NodeId, Vec<Split>)> {
    let mut by_uid: BTreeMap<&OperatorUid, Vec<Split>> = BTreeMap::new();
    for (uid, snapshot) in manifest.tasks.iter().flat_map(|task| &task.operators) {
        by_uid
            .entry(uid)
            .or_default()
            .extend(snapshot.splits.iter().cloned());
    }
    let nodes = program.graph().nodes.iter();
    nodes
        .filter_map(|node| {
            let mut splits = by_uid.remove(&node.uid).filter(|splits| !splits.is_empty())?;
            splits.sort_by_key(|split| split.index);
            Some((node.id, splits))
        })
        .collect()
}

/// Whom the tasks of a vertex hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hearing {
    /// All tasks of each producer, as behind an edge that deals by key or to all: their watermarks are the same, but for
    /// the order in which idle channels were heard of.
    AllProducers,
    /// One each, or nobody.
    OneProducer,
}

/// The watermark that task `index` of `parallelism` many goes on with, so that what was late stays late.
///
/// With as many tasks as before it is the task's own. With another number, tasks that had heard the same go on with the
/// highest that one of them had come to, since state may have been let go on its account; those that had not, with the
/// lowest, since each may get records from the one furthest behind. Tasks whose input had ended have no say, unless all had.
pub(crate) fn watermark(
    manifest: &Manifest,
    head: &OperatorUid,
    (index, parallelism): (u32, u32),
    hearing: Hearing,
) -> EventTime {
    if is_seeded(Bug::WatermarkRegresses) {
        return EventTime::MIN;
    }
    let former: Vec<&TaskSnapshot> = manifest
        .tasks
        .iter()
        .filter(|task| task.operators.iter().any(|(uid, _)| uid == head))
        .collect();
    let own = former.iter().find(|task| task.task.index == index);
    if let Some(own) = own.filter(|_| former.len() == parallelism as usize) {
        return if own.ended { EventTime::MAX } else { own.watermark };
    }
    let running = former
        .iter()
        .filter(|task| !task.ended)
        .map(|task| task.watermark);
    let merged = match hearing {
        Hearing::AllProducers => running.max(),
        Hearing::OneProducer => running.min(),
    };
    merged.unwrap_or(if former.is_empty() {
        EventTime::MIN
    } else {
        EventTime::MAX
    })
}

/// Fills the operators of a freshly built and opened chain.
pub(crate) fn load<C: VisitOperators + ?Sized>(
    chain: &mut C,
    manifest: &Manifest,
    segments: &Segments,
    allow_non_restored_state: bool,
) -> Result<(), RestoreError> {
    let mut failure = None;
    chain.visit(&mut |operator| {
        if failure.is_some() {
            return Ok(());
        }
        let uid = operator.context().uid.clone();
        let groups = operator.context().key_groups;
        let former: Vec<(u32, &OperatorSnapshot)> = manifest
            .tasks
            .iter()
            .flat_map(|task| {
                task.operators
                    .iter()
                    .map(move |(uid, snapshot)| (task.task.index, uid, snapshot))
            })
            .filter(|(_, former, _)| **former == uid)
            .map(|(index, _, snapshot)| (index, snapshot))
            .collect();
        let tasks = former
            .iter()
            .map(|(index, snapshot)| (*index, snapshot.states.clone()))
            .collect();
        operator
            .restore(&RestoredState { tasks })
            .map_err(|error| ChainError {
                operator: uid.clone(),
                error,
            })?;
        let mut stored: BTreeMap<&str, &Schema> = BTreeMap::new();
        for schema in former.iter().flat_map(|(_, snapshot)| &snapshot.keyed_schemas) {
            stored.insert(&schema.state, schema);
        }
        for table in operator.keyed_states() {
            let wanted = table.schema();
            let result = match stored.remove(table.name()) {
                None => Ok(()),
                Some(schema) => tidegate_state::schema::check(schema, &wanted)
                    .map_err(RestoreError::from)
                    .and_then(|()| segments.load(&uid, table, groups).map_err(RestoreError::from)),
            };
            if let Err(error) = result {
                failure = Some(error);
                return Ok(());
            }
            table.restored(manifest.checkpoint);
        }
        if let Some((state, _)) = stored.first_key_value()
            && !allow_non_restored_state
        {
            failure = Some(RestoreError::UnclaimedState {
                checkpoint: manifest.checkpoint.0,
                operator: uid.to_string(),
                state: (*state).to_owned(),
            });
        }
        Ok(())
    })?;
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use tidegate_core::{
        BarrierKind, CheckpointId, Epoch, Generation, JobId, KeySpace, Lineage, VertexId,
        control::SnapshotTimings,
    };

    use super::*;

    /// A manifest of one vertex, given the watermarks of its tasks and whether they had ended.
    fn manifest(tasks: &[(i64, bool)]) -> Manifest {
        let snapshot = |(index, (watermark, ended)): (u32, &(i64, bool))| TaskSnapshot {
            task: TaskId {
                vertex: VertexId(3),
                index,
            },
            watermark: EventTime(*watermark),
            ended: *ended,
            operators: vec![("head".into(), OperatorSnapshot::default())],
            timings: SnapshotTimings::default(),
        };
        Manifest {
            job: JobId::from("job"),
            generation: Generation(1),
            lineage: Lineage::from("lineage"),
            epoch: Epoch(1),
            checkpoint: CheckpointId(1),
            kind: BarrierKind::Checkpoint,
            finished: false,
            space: KeySpace::DEFAULT,
            graph_fingerprint: 0,
            arguments: Vec::new(),
            written_at_ms: 0,
            segments: Vec::new(),
            tasks: (0..).zip(tasks).map(snapshot).collect(),
        }
    }

    #[test]
    fn a_task_goes_on_where_its_event_time_was() {
        use Hearing::{AllProducers, OneProducer};
        const MAX: i64 = i64::MAX;
        let two = &[(20, false), (12, false)][..];
        let one_ended = &[(20, false), (5, true), (12, false)][..];
        for (former, task, hearing, expected) in [
            (two, (0, 2), AllProducers, 20),
            (two, (1, 2), AllProducers, 12),
            (two, (1, 2), OneProducer, 12),
            (two, (0, 1), AllProducers, 20),
            (two, (2, 3), AllProducers, 20),
            (two, (2, 3), OneProducer, 12),
            (one_ended, (1, 3), AllProducers, MAX),
            (one_ended, (1, 2), AllProducers, 20),
            (one_ended, (1, 2), OneProducer, 12),
            (&[(7, true)], (0, 2), AllProducers, MAX),
            (&[], (0, 2), AllProducers, i64::MIN),
        ] {
            let restored = watermark(&manifest(former), &"head".into(), task, hearing);
            assert_eq!(restored, EventTime(expected), "{former:?} {task:?} {hearing:?}");
        }
    }
}

//! Making a manifest of what workers acknowledged: whose snapshot is complete, and which older segments still count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidegate_core::{
    OperatorUid, TaskId, WorkerId,
    control::{GroupSet, Segment, TaskSnapshot, WorkerSnapshot},
};

/// Why acknowledgements do not make a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssemblyError {
    /// A task that the plan has is in nobody's acknowledgement.
    #[error("no worker acknowledged task {task}; it would be lost from the checkpoint")]
    Missing {
        /// The task.
        task: TaskId,
    },
    /// A task is in two acknowledgements, or is not in the plan.
    #[error("task {task} was acknowledged by a worker that should not have it, or twice")]
    Unexpected {
        /// The task.
        task: TaskId,
    },
}

/// The tasks' snapshots in the order of their ids, if they are exactly those of the plan.
pub(crate) fn collect_tasks(
    expected: &BTreeSet<TaskId>,
    acknowledged: &mut BTreeMap<WorkerId, WorkerSnapshot>,
) -> Result<Vec<TaskSnapshot>, AssemblyError> {
    let mut tasks: Vec<TaskSnapshot> = acknowledged
        .values_mut()
        .flat_map(|snapshot| std::mem::take(&mut snapshot.tasks))
        .collect();
    tasks.sort_by_key(|task| task.task);
    for (i, task) in tasks.iter().enumerate() {
        let task = task.task;
        if !expected.contains(&task) || (i > 0 && tasks[i - 1].task == task) {
            return Err(AssemblyError::Unexpected { task });
        }
    }
    if tasks.len() < expected.len() {
        let missing = expected.iter().find(|task| {
            tasks
                .binary_search_by_key(task, |snapshot| &snapshot.task)
                .is_err()
        });
        if let Some(task) = missing {
            return Err(AssemblyError::Missing { task: *task });
        }
    }
    Ok(tasks)
}

/// The segments that a restore must replay, oldest checkpoint first.
///
/// A segment is live while some key group of some state that is still `known` has a block in it at or after that
/// group's latest base. Segments of one checkpoint never hold two blocks of one key group, so they are judged together,
/// newest checkpoint first, against the bases of all newer ones.
pub fn live_segments(
    previous: &[Segment],
    new: impl IntoIterator<Item = Segment>,
    known: impl Fn(&OperatorUid) -> bool,
) -> Vec<Segment> {
    let mut all: Vec<Segment> = previous.iter().cloned().chain(new).collect();
    all.sort_by_key(|segment| segment.checkpoint);
    let mut keep = vec![false; all.len()];
    let mut based: HashMap<(&OperatorUid, &str), GroupSet> = HashMap::new();
    let nothing = GroupSet::default();
    let mut end = all.len();
    while end > 0 {
        let checkpoint = all[end - 1].checkpoint;
        let start = all[..end].partition_point(|segment| segment.checkpoint < checkpoint);
        for (segment, keep) in all[start..end].iter().zip(&mut keep[start..end]) {
            *keep = segment
                .contents
                .iter()
                .filter(|content| known(&content.operator))
                .any(|content| {
                    let newer = based
                        .get(&(&content.operator, content.state.as_str()))
                        .unwrap_or(&nothing);
                    content.base.exceeds(newer) || content.delta.exceeds(newer)
                });
        }
        for content in all[start..end].iter().flat_map(|segment| &segment.contents) {
            based
                .entry((&content.operator, content.state.as_str()))
                .or_default()
                .extend(&content.base);
        }
        end = start;
    }
    let mut keep = keep.into_iter();
    all.retain(|_| keep.next().unwrap_or(false));
    all
}

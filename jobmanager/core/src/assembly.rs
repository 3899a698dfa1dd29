//! Making a manifest of what workers acknowledged: whose snapshot is complete.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::{
    TaskId, WorkerId,
    control::{TaskSnapshot, WorkerSnapshot},
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

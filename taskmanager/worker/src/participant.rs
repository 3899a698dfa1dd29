//! A worker's part in checkpoints: gathers the parts of its tasks until all are there.

use std::collections::BTreeMap;

use tidegate_core::{CheckpointId, TaskId};

use crate::scan::TaskPart;

/// The checkpoints that are being taken.
#[derive(Debug)]
pub(crate) struct Participant {
    tasks: usize,
    pending: BTreeMap<CheckpointId, Vec<TaskPart>>,
    /// Checkpoints up to here are over: parts that come late are dropped.
    over: CheckpointId,
}

impl Participant {
    pub(crate) fn new(tasks: usize) -> Self {
        Self {
            tasks,
            pending: BTreeMap::new(),
            over: CheckpointId::default(),
        }
    }

    /// A checkpoint has been triggered.
    pub(crate) fn begin(&mut self, checkpoint: CheckpointId) {
        if checkpoint > self.over {
            self.pending.entry(checkpoint).or_default();
        }
    }

    /// A task has done its part; on a worker that hears of the checkpoint through a barrier first, it also begins it.
    pub(crate) fn add(&mut self, part: TaskPart) {
        if part.checkpoint > self.over {
            self.pending.entry(part.checkpoint).or_default().push(part);
        }
    }

    /// A checkpoint, and all before it, has been given up.
    pub(crate) fn abort(&mut self, checkpoint: CheckpointId) {
        self.over = self.over.max(checkpoint);
        self.pending = self.pending.split_off(&checkpoint.next());
    }

    /// All parts of a checkpoint, once they are there. It is over then.
    pub(crate) fn take_complete(&mut self, checkpoint: CheckpointId) -> Option<Vec<TaskPart>> {
        if self.pending.get(&checkpoint)?.len() < self.tasks {
            return None;
        }
        let parts = self.pending.remove(&checkpoint);
        self.abort(checkpoint);
        parts
    }

    /// Whether a checkpoint is complete or given up.
    pub(crate) fn is_over(&self, checkpoint: CheckpointId) -> bool {
        checkpoint <= self.over
    }

    /// Whether a task has done its part of a checkpoint that is not over.
    pub(crate) fn has_part(&self, checkpoint: CheckpointId, task: TaskId) -> bool {
        let parts = self.pending.get(&checkpoint);
        parts.is_some_and(|parts| parts.iter().any(|part| part.snapshot.task == task))
    }

    /// The checkpoints that are not complete.
    pub(crate) fn pending(&self) -> Vec<CheckpointId> {
        self.pending.keys().copied().collect()
    }
}

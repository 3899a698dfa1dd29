//! What has become visible, and the oracles over it.

use std::collections::BTreeMap;

use tidegate_core::{Epoch, Lineage, TaskId};

#[derive(Default)]
pub(crate) struct Ledger(BTreeMap<(Lineage, Epoch, TaskId), (u64, u64)>);

impl Ledger {
    pub(crate) fn publish(&mut self, lineage: &Lineage, epoch: Epoch, task: TaskId, range: (u64, u64)) {
        let before = self.0.insert((lineage.clone(), epoch, task), range);
        assert!(
            before.is_none_or(|before| before == range),
            "epoch {epoch} of task {task} was published as {before:?} and as {range:?}"
        );
    }

    /// Everything from 0 to `limit` is there, once, for each of `tasks` tasks, and nothing else.
    pub(crate) fn assert_complete(&self, lineage: &Lineage, tasks: u32, limit: u64) {
        let mut next: BTreeMap<TaskId, u64> = BTreeMap::new();
        for ((of, epoch, task), (start, end)) in &self.0 {
            assert_eq!(of, lineage, "another lineage than the chain's has published");
            let next = next.entry(*task).or_insert(0);
            assert_eq!(*next, *start, "task {task} at epoch {epoch}: lost or doubled");
            *next = *end;
        }
        assert_eq!(next.len(), tasks as usize);
        for (task, end) in next {
            assert_eq!(end, limit, "task {task} is not complete");
        }
    }
}

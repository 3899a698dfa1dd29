//! What sinks have staged and nobody has published yet.
//!
//! A sink's output is closed at every barrier, whether or not the checkpoint comes to be. What was staged for an
//! aborted checkpoint stays here and becomes part of the next one: a snapshot contains *all* entries up to its
//! checkpoint, and they leave the ledger only when a claimed checkpoint has published them.

use std::collections::BTreeMap;

use tidegate_core::{CheckpointId, OperatorUid, TaskId, sink::Committable};

#[derive(Debug)]
enum Staged {
    /// Being made durable.
    Pending,
    Durable(Vec<Committable>),
}

/// The staged output of a worker's sinks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<(OperatorUid, TaskId), BTreeMap<CheckpointId, Staged>>,
}

impl Ledger {
    /// A sink has closed its output at a barrier.
    pub(crate) fn stage(&mut self, sink: OperatorUid, task: TaskId, checkpoint: CheckpointId) {
        self.entries
            .entry((sink, task))
            .or_default()
            .insert(checkpoint, Staged::Pending);
    }

    /// What it had staged is durable.
    pub(crate) fn made_durable(
        &mut self,
        sink: OperatorUid,
        task: TaskId,
        checkpoint: CheckpointId,
        committables: Vec<Committable>,
    ) {
        self.entries
            .entry((sink, task))
            .or_default()
            .insert(checkpoint, Staged::Durable(committables));
    }

    /// Whether everything staged up to a checkpoint is durable.
    pub(crate) fn is_durable(&self, checkpoint: CheckpointId) -> bool {
        self.entries
            .values()
            .flat_map(|staged| staged.range(..=checkpoint))
            .all(|(_, staged)| matches!(staged, Staged::Durable(_)))
    }

    /// The sinks of which something staged up to a checkpoint is not durable yet.
    pub(crate) fn pending(&self, checkpoint: CheckpointId) -> Vec<OperatorUid> {
        let pending = self.entries.iter().filter(|(_, staged)| {
            staged
                .range(..=checkpoint)
                .any(|(_, staged)| matches!(staged, Staged::Pending))
        });
        let mut sinks: Vec<_> = pending.map(|((sink, _), _)| sink.clone()).collect();
        sinks.dedup();
        sinks
    }

    /// Everything staged up to a checkpoint, per sink and task, in order.
    pub(crate) fn up_to(
        &self,
        checkpoint: CheckpointId,
    ) -> impl Iterator<Item = (&OperatorUid, TaskId, Vec<Committable>)> {
        self.entries.iter().filter_map(move |((sink, task), staged)| {
            let all: Vec<_> = staged
                .range(..=checkpoint)
                .flat_map(|(_, staged)| match staged {
                    Staged::Durable(committables) => committables.as_slice(),
                    Staged::Pending => &[],
                })
                .cloned()
                .collect();
            (!all.is_empty()).then_some((sink, *task, all))
        })
    }

    /// Everything up to a checkpoint is published.
    pub(crate) fn published(&mut self, checkpoint: CheckpointId) {
        for staged in self.entries.values_mut() {
            *staged = staged.split_off(&checkpoint.next());
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::VertexId;

    use super::*;

    fn ids() -> (OperatorUid, TaskId) {
        (
            "sink".into(),
            TaskId {
                vertex: VertexId(0),
                index: 0,
            },
        )
    }

    fn committable(byte: u8) -> Vec<Committable> {
        vec![Committable(vec![byte])]
    }

    #[test]
    fn output_of_an_aborted_checkpoint_rolls_into_the_next() {
        let (sink, task) = ids();
        let mut ledger = Ledger::default();
        ledger.stage(sink.clone(), task, CheckpointId(1));
        assert!(!ledger.is_durable(CheckpointId(1)) && ledger.is_durable(CheckpointId(0)));
        assert_eq!(ledger.pending(CheckpointId(1)), std::slice::from_ref(&sink));
        ledger.made_durable(sink.clone(), task, CheckpointId(1), committable(1));
        assert!(ledger.pending(CheckpointId(1)).is_empty());
        // Checkpoint 1 is aborted here.
        ledger.stage(sink.clone(), task, CheckpointId(2));
        ledger.made_durable(sink.clone(), task, CheckpointId(2), committable(2));
        ledger.made_durable(sink.clone(), task, CheckpointId(3), committable(3));
        let staged: Vec<_> = ledger.up_to(CheckpointId(2)).map(|(_, _, all)| all).collect();
        assert_eq!(staged, [[committable(1), committable(2)].concat()]);
        ledger.published(CheckpointId(2));
        assert_eq!(
            ledger
                .up_to(CheckpointId(3))
                .map(|(_, _, all)| all)
                .collect::<Vec<_>>(),
            [committable(3)]
        );
    }
}

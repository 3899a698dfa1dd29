//! What a harness keeps of claimed checkpoints, and how another harness takes it back.

use tidegate_core::{
    CheckpointId, EventTime, KeyGroup, KeyGroupRange, OperatorError,
    chain::ChainedOperator,
    snapshot::{BlockKind, OperatorState, RestoredState, Schema, SnapshotSink, StateError},
};

/// Everything an operator needs to go on from a claimed checkpoint.
#[derive(Clone, Debug, Default)]
pub struct HarnessSnapshot {
    pub(super) checkpoint: Option<CheckpointId>,
    pub(super) watermark: Option<EventTime>,
    tasks: RestoredState,
    schemas: Vec<Schema>,
    /// Oldest first within a key group.
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    state: String,
    group: KeyGroup,
    kind: BlockKind,
    bytes: Vec<u8>,
}

/// The blocks of a scan.
#[derive(Default)]
pub(super) struct Blocks(Vec<Block>);

impl SnapshotSink for Blocks {
    fn block(&mut self, state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        self.0.push(Block {
            state: state.to_string(),
            group,
            kind,
            bytes,
        });
    }
}

/// A snapshot that is frozen and not claimed yet.
pub(super) struct PendingSnapshot {
    pub(super) checkpoint: CheckpointId,
    index: u32,
    watermark: EventTime,
    pub(super) states: Vec<OperatorState>,
    pub(super) schemas: Vec<Schema>,
    pub(super) blocks: Blocks,
    /// How many keyed states have been scanned to their end.
    pub(super) scanned: usize,
}

impl PendingSnapshot {
    pub(super) fn new(checkpoint: CheckpointId, index: u32, watermark: EventTime) -> Self {
        Self {
            checkpoint,
            index,
            watermark,
            states: Vec::new(),
            schemas: Vec::new(),
            blocks: Blocks::default(),
            scanned: 0,
        }
    }
}

impl HarnessSnapshot {
    /// The snapshot of an operator from those of all its tasks, taken at the same checkpoint.
    pub fn merge(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |mut merged, part| {
            merged.checkpoint = merged.checkpoint.max(part.checkpoint);
            merged.watermark = merged.watermark.max(part.watermark);
            merged.tasks.tasks.extend(part.tasks.tasks);
            merged.schemas = part.schemas;
            merged.blocks.extend(part.blocks);
            merged
        })
    }

    /// How many blocks of keyed state a restore may have to replay.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn append(&mut self, pending: PendingSnapshot) {
        self.checkpoint = Some(pending.checkpoint);
        self.watermark = Some(pending.watermark);
        self.tasks = RestoredState {
            tasks: vec![(pending.index, pending.states)],
        };
        self.schemas = pending.schemas;
        for block in pending.blocks.0 {
            if block.kind == BlockKind::Base {
                self.blocks
                    .retain(|old| (&old.state, old.group) != (&block.state, block.group));
            }
            self.blocks.push(block);
        }
    }

    /// What of it concerns a task with these key groups.
    pub(super) fn within(mut self, groups: KeyGroupRange) -> Self {
        self.blocks.retain(|block| groups.contains(block.group));
        self
    }

    /// Gives an operator its state back.
    pub(super) fn load(
        &self,
        operator: &mut dyn ChainedOperator,
        groups: KeyGroupRange,
    ) -> Result<(), OperatorError> {
        operator.restore(&self.tasks)?;
        for state in operator.keyed_states() {
            let wanted = state.schema();
            if let Some(stored) = self.schemas.iter().find(|stored| stored.state == wanted.state) {
                check(stored, &wanted)?;
            }
            let name = state.name().to_string();
            let own = self
                .blocks
                .iter()
                .filter(|block| block.state == name && groups.contains(block.group));
            for block in own {
                state.load(block.group, block.kind, &block.bytes)?;
            }
            if let Some(checkpoint) = self.checkpoint {
                state.restored(checkpoint);
            }
        }
        Ok(())
    }
}

fn check(stored: &Schema, wanted: &Schema) -> Result<(), StateError> {
    if stored.fingerprint == wanted.fingerprint {
        return Ok(());
    }
    Err(StateError::SchemaMismatch {
        state: wanted.state.clone(),
        stored: stored.description.clone(),
        wanted: wanted.description.clone(),
    })
}

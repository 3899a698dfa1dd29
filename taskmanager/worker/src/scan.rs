//! The background part of a task's snapshot: frozen tables are serialised in slices between batches.

use tidegate_core::{
    Barrier, CheckpointId, EventTime, KeyGroup, OperatorUid, Progress, TaskId, VisitOperators,
    chain::ChainError,
    control::{OperatorSnapshot, SnapshotTimings, TaskSnapshot},
    snapshot::{BlockKind, SnapshotSink},
};

use crate::{clock::Clock, spare_buffers::SpareBuffers};

/// How many entries a table looks at before the clock is read again.
const ENTRIES_PER_STEP: usize = 512;
/// How long a slice lasts.
const SLICE_NS: u64 = 100_000;

/// A serialised block of keyed state.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) operator: OperatorUid,
    pub(crate) state: String,
    pub(crate) group: KeyGroup,
    pub(crate) kind: BlockKind,
    pub(crate) bytes: Vec<u8>,
}

/// A snapshot of a task whose keyed state is being serialised.
#[derive(Debug)]
pub(crate) struct Scan {
    barrier: Barrier,
    task: TaskId,
    watermark: EventTime,
    ended: bool,
    operators: Vec<(OperatorUid, OperatorSnapshot)>,
    blocks: Vec<Block>,
    spares: SpareBuffers,
    /// The operator and the state within it that is scanned next.
    next: (usize, usize),
    frozen_at_ns: u64,
    timings: SnapshotTimings,
}

/// A task's finished part of a checkpoint.
#[derive(Debug)]
pub(crate) struct TaskPart {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) snapshot: TaskSnapshot,
    pub(crate) blocks: Vec<Block>,
    /// Where the buffers of the blocks go once they have been packed.
    pub(crate) spares: SpareBuffers,
}

/// What a task froze at a barrier.
pub(crate) struct Frozen {
    pub(crate) barrier: Barrier,
    pub(crate) task: TaskId,
    pub(crate) watermark: EventTime,
    pub(crate) ended: bool,
    pub(crate) operators: Vec<(OperatorUid, OperatorSnapshot)>,
    pub(crate) alignment_us: u64,
    pub(crate) sync_us: u64,
}

struct Collect<'a> {
    operator: &'a OperatorUid,
    blocks: &'a mut Vec<Block>,
    spares: &'a SpareBuffers,
}

impl SnapshotSink for Collect<'_> {
    fn block(&mut self, state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        let operator = self.operator.clone();
        self.blocks.push(Block {
            operator,
            state: state.to_owned(),
            group,
            kind,
            bytes,
        });
    }

    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        self.spares.take(capacity)
    }
}

impl Scan {
    pub(crate) fn new(frozen: Frozen, spares: SpareBuffers, now_ns: u64) -> Self {
        Self {
            barrier: frozen.barrier,
            task: frozen.task,
            watermark: frozen.watermark,
            ended: frozen.ended,
            operators: frozen.operators,
            blocks: Vec::new(),
            spares,
            next: (0, 0),
            frozen_at_ns: now_ns,
            timings: SnapshotTimings {
                alignment_us: frozen.alignment_us,
                sync_us: frozen.sync_us,
                scan_us: 0,
                upload_us: 0,
                written_bytes: 0,
            },
        }
    }

    pub(crate) fn checkpoint(&self) -> CheckpointId {
        self.barrier.checkpoint
    }

    /// Serialises one slice's worth.
    pub(crate) fn slice<C: VisitOperators + ?Sized>(
        &mut self,
        chain: &mut C,
        clock: &Clock,
    ) -> Result<Progress, ChainError> {
        let deadline = clock.nanos() + SLICE_NS;
        let mut index = 0;
        let mut progress = Progress::Done;
        chain.visit(&mut |operator| {
            let this = index;
            index += 1;
            if progress == Progress::More || this < self.next.0 {
                return Ok(());
            }
            let uid = operator.context().uid.clone();
            let mut tables = operator.keyed_states();
            while let Some(table) = tables.get_mut(self.next.1) {
                let mut collect = Collect {
                    operator: &uid,
                    blocks: &mut self.blocks,
                    spares: &self.spares,
                };
                let step = table
                    .scan(ENTRIES_PER_STEP, &mut collect)
                    .map_err(|error| ChainError {
                        operator: uid.clone(),
                        error: error.into(),
                    })?;
                if step == Progress::Done {
                    self.next.1 += 1;
                }
                if clock.nanos() >= deadline {
                    progress = Progress::More;
                    return Ok(());
                }
            }
            self.next = (this + 1, 0);
            Ok(())
        })?;
        Ok(progress)
    }

    /// The finished part. Call once a slice has said that it is done.
    pub(crate) fn finish(mut self, now_ns: u64) -> TaskPart {
        self.timings.scan_us = now_ns.saturating_sub(self.frozen_at_ns) / 1000;
        let keyed = self.blocks.iter().map(|block| block.bytes.len());
        let operators = self.operators.iter().flat_map(|(_, snapshot)| &snapshot.states);
        let written = keyed
            .chain(operators.map(|state| state.bytes.len()))
            .sum::<usize>();
        self.timings.written_bytes = written as u64;
        TaskPart {
            checkpoint: self.barrier.checkpoint,
            snapshot: TaskSnapshot {
                task: self.task,
                watermark: self.watermark,
                ended: self.ended,
                operators: self.operators,
                timings: self.timings,
            },
            blocks: self.blocks,
            spares: self.spares,
        }
    }
}

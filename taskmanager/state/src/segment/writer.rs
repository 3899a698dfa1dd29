//! Packing blocks.

use tidegate_core::{
    KeyGroup, OperatorUid,
    control::{GroupSet, SegmentContent},
    snapshot::BlockKind,
};

use super::{
    BLOCK_HEADER_BYTES, HEADER_BYTES, MAGIC, SegmentError, SegmentProblem, TRAILER_BYTES, VERSION,
    footer::{BlockEntry, Footer, StateIndex},
};
use crate::codec::encode;

/// Packs the blocks of many tasks into one segment.
pub struct SegmentWriter {
    bytes: Vec<u8>,
    footer: Footer,
}

impl Default for SegmentWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentWriter {
    /// An empty segment.
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        Self {
            bytes,
            footer: Footer::default(),
        }
    }

    /// Whether no block has been added.
    pub fn is_empty(&self) -> bool {
        self.footer.states.is_empty()
    }

    /// The size so far, without the index.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a block. A key group of a state can be added once.
    pub fn add(
        &mut self,
        operator: &OperatorUid,
        state: &str,
        group: KeyGroup,
        kind: BlockKind,
        bytes: &[u8],
    ) -> Result<(), SegmentError> {
        let offset = self.bytes.len() as u64;
        let fail = |problem: SegmentProblem| problem.at("being written", offset);
        let length = u32::try_from(bytes.len()).map_err(|_| {
            fail(SegmentProblem::BlockTooLarge {
                length: bytes.len() as u64,
            })
        })?;
        let index = self.index(operator, state);
        let blocks = &mut self.footer.states[index].blocks;
        let place = blocks.partition_point(|block| block.group < group);
        if blocks.get(place).is_some_and(|block| block.group == group) {
            return Err(fail(SegmentProblem::Index {
                reason: format!(
                    "key group {} of state {state:?} of operator {:?} is added twice",
                    group.0,
                    operator.as_str()
                ),
            }));
        }
        let entry = BlockEntry {
            group,
            kind,
            offset,
            length,
        };
        blocks.insert(place, entry);
        self.bytes.reserve(BLOCK_HEADER_BYTES + bytes.len());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn index(&mut self, operator: &OperatorUid, state: &str) -> usize {
        let states = &mut self.footer.states;
        let found = states
            .iter()
            .rposition(|index| index.operator == *operator && index.state == state);
        found.unwrap_or_else(|| {
            states.push(StateIndex {
                operator: operator.clone(),
                state: state.to_owned(),
                blocks: Vec::new(),
            });
            states.len() - 1
        })
    }

    /// The finished object, and what it holds.
    pub fn finish(mut self) -> Result<(Vec<u8>, Vec<SegmentContent>), SegmentError> {
        let start = self.bytes.len();
        let fail = |reason: String| SegmentProblem::Index { reason }.at("being written", start as u64);
        encode(&self.footer, &mut self.bytes).map_err(|error| fail(error.to_string()))?;
        let footer = &self.bytes[start..];
        let length = u32::try_from(footer.len())
            .map_err(|_| fail("it is larger than a segment can hold; use fewer key groups".to_owned()))?;
        let checksum = crc32c::crc32c(footer);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes.extend_from_slice(&VERSION.to_le_bytes());
        self.bytes.extend_from_slice(&MAGIC);
        debug_assert!(self.bytes.len() >= HEADER_BYTES + TRAILER_BYTES);
        let contents = self.footer.states.into_iter().map(content).collect();
        Ok((self.bytes, contents))
    }
}

fn content(index: StateIndex) -> SegmentContent {
    let groups = |kind: BlockKind| -> GroupSet {
        let of_kind = index.blocks.iter().filter(|block| block.kind == kind);
        of_kind.map(|block| block.group).collect()
    };
    SegmentContent {
        base: groups(BlockKind::Base),
        delta: groups(BlockKind::Delta),
        operator: index.operator,
        state: index.state,
    }
}

//! The index at the end of a segment, on its own: what a reader of remote objects fetches first.

use std::{collections::HashSet, ops::Range};

use serde::{Deserialize, Serialize};
use tidegate_core::{KeyGroup, KeyGroupRange, OperatorUid, snapshot::BlockKind};

use super::{BLOCK_HEADER_BYTES, HEADER_BYTES, MAGIC, SegmentError, SegmentProblem, VERSION, u32_at};

/// The size of what follows the footer.
pub const TRAILER_BYTES: usize = 20;

/// Where a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockEntry {
    /// The key group.
    pub group: KeyGroup,
    /// Whether it stands on its own.
    pub kind: BlockKind,
    /// Where its header begins in the object.
    pub offset: u64,
    /// The size of its bytes, without the header.
    pub length: u32,
}

impl BlockEntry {
    /// The part of the object that holds the block, header included.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + BLOCK_HEADER_BYTES as u64 + u64::from(self.length)
    }

    /// Checks what a read of [`range`](Self::range) brought and takes the block's bytes out.
    pub fn open<'a>(&self, object: &str, bytes: &'a [u8]) -> Result<&'a [u8], SegmentError> {
        let fail = |problem: SegmentProblem| Err(problem.at(object, self.offset));
        let range = self.range();
        let (Some(length), Some(expected), Some(body)) = (
            u32_at(bytes, 0),
            u32_at(bytes, 4),
            bytes.get(BLOCK_HEADER_BYTES..),
        ) else {
            return fail(SegmentProblem::Truncated {
                needed: range.end - range.start,
                present: bytes.len() as u64,
            });
        };
        if body.len() as u64 != u64::from(self.length) {
            return fail(SegmentProblem::Truncated {
                needed: range.end - range.start,
                present: bytes.len() as u64,
            });
        }
        if length != self.length {
            return fail(SegmentProblem::Index {
                reason: format!("it says {} bytes, the block says {length}", self.length),
            });
        }
        let found = crc32c::crc32c(body);
        if found != expected {
            return fail(SegmentProblem::Checksum { expected, found });
        }
        Ok(body)
    }
}

/// The blocks of one state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct StateIndex {
    pub(super) operator: OperatorUid,
    pub(super) state: String,
    /// In the order of their key groups.
    pub(super) blocks: Vec<BlockEntry>,
}

/// The index of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Footer {
    pub(super) states: Vec<StateIndex>,
}

impl Footer {
    /// Where the footer of an object of `size` bytes begins, from the trailer: the object's last [`TRAILER_BYTES`].
    pub fn locate(object: &str, size: u64, trailer: &[u8]) -> Result<Range<u64>, SegmentError> {
        let end = size.saturating_sub(TRAILER_BYTES as u64);
        let fail = |problem: SegmentProblem| Err(problem.at(object, end));
        let least = (HEADER_BYTES + TRAILER_BYTES) as u64;
        let (true, Some(length), Some(version), Some(magic)) = (
            size >= least && trailer.len() == TRAILER_BYTES,
            u32_at(trailer, 0),
            u32_at(trailer, 8),
            trailer.get(12..),
        ) else {
            return fail(SegmentProblem::Truncated {
                needed: least,
                present: size,
            });
        };
        if magic != MAGIC {
            return fail(SegmentProblem::Magic);
        }
        if version != VERSION {
            return fail(SegmentProblem::Version {
                found: version,
                known: VERSION,
            });
        }
        if u64::from(length) > size - least {
            return fail(SegmentProblem::Truncated {
                needed: u64::from(length) + least,
                present: size,
            });
        }
        Ok(end - u64::from(length)..end)
    }

    /// Reads the footer of an object of `size` bytes. `tail` is the object's end and holds at least the footer and the
    /// trailer.
    pub fn read(object: &str, size: u64, tail: &[u8]) -> Result<Self, SegmentError> {
        let trailer = tail.len().saturating_sub(TRAILER_BYTES);
        let range = Self::locate(object, size, &tail[trailer..])?;
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let fail = |problem: SegmentProblem| problem.at(object, range.start);
        let Some(start) = trailer.checked_sub(wanted) else {
            return Err(fail(SegmentProblem::Truncated {
                needed: (wanted + TRAILER_BYTES) as u64,
                present: tail.len() as u64,
            }));
        };
        let bytes = &tail[start..trailer];
        let (expected, found) = (
            u32_at(tail, trailer + 4).unwrap_or_default(),
            crc32c::crc32c(bytes),
        );
        if expected != found {
            return Err(fail(SegmentProblem::Checksum { expected, found }));
        }
        let footer = match postcard::take_from_bytes::<Self>(bytes) {
            Ok((footer, [])) => footer,
            Ok(_) => {
                return Err(fail(SegmentProblem::Index {
                    reason: "bytes are left over".to_owned(),
                }));
            }
            Err(error) => {
                return Err(fail(SegmentProblem::Index {
                    reason: error.to_string(),
                }));
            }
        };
        footer
            .check(range.start)
            .map_err(|reason| fail(SegmentProblem::Index { reason }))?;
        Ok(footer)
    }

    /// Whether all blocks lie where blocks can lie, and none is named twice.
    fn check(&self, end: u64) -> Result<(), String> {
        let mut seen = HashSet::with_capacity(self.states.len());
        for state in &self.states {
            let name = format!(
                "state {:?} of operator {:?}",
                state.state,
                state.operator.as_str()
            );
            if !seen.insert((&state.operator, &state.state)) {
                return Err(format!("{name} is named twice"));
            }
            for pair in state.blocks.windows(2) {
                if pair[0].group >= pair[1].group {
                    return Err(format!("{name} names key group {} out of order", pair[1].group.0));
                }
            }
            let is_within = |block: &BlockEntry| {
                let length = BLOCK_HEADER_BYTES as u64 + u64::from(block.length);
                block.offset >= HEADER_BYTES as u64
                    && block.offset.checked_add(length).is_some_and(|last| last <= end)
            };
            if let Some(block) = state.blocks.iter().find(|block| !is_within(block)) {
                return Err(format!(
                    "{name} has key group {} at byte {}, outside of the object's blocks",
                    block.group.0, block.offset
                ));
            }
        }
        Ok(())
    }

    /// The operators and states the segment has blocks of.
    pub fn states(&self) -> impl Iterator<Item = (&OperatorUid, &str)> {
        self.states
            .iter()
            .map(|state| (&state.operator, state.state.as_str()))
    }

    /// The blocks of one state in a range of key groups, in the order of these.
    pub fn select<'a>(
        &'a self,
        operator: &OperatorUid,
        state: &str,
        range: KeyGroupRange,
    ) -> impl Iterator<Item = &'a BlockEntry> + use<'a> {
        self.states
            .iter()
            .find(|index| index.operator == *operator && index.state == state)
            .map_or(&[][..], |index| {
                let from = |group: u16| index.blocks.partition_point(|block| block.group.0 < group);
                index
                    .blocks
                    .get(from(range.start)..from(range.end))
                    .unwrap_or_default()
            })
            .iter()
    }
}

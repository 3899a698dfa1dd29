//! Unpacking a segment that is in memory.

use tidegate_core::{KeyGroup, KeyGroupRange, OperatorUid, snapshot::BlockKind};

use super::{
    HEADER_BYTES, MAGIC, SegmentError, SegmentProblem, VERSION,
    footer::{BlockEntry, Footer},
    u32_at,
};

/// A block that has passed its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block<'a> {
    /// The key group.
    pub group: KeyGroup,
    /// Whether it stands on its own.
    pub kind: BlockKind,
    /// What the state wrote.
    pub bytes: &'a [u8],
}

/// Reads the blocks of one segment.
#[derive(Debug)]
pub struct SegmentReader<B> {
    object: String,
    bytes: B,
    footer: Footer,
}

impl<B: AsRef<[u8]>> SegmentReader<B> {
    /// Opens a segment. `object` is its name, for errors.
    ///
    /// Checks everything but the blocks, which are checked one by one as they are read.
    pub fn open(object: impl Into<String>, bytes: B) -> Result<Self, SegmentError> {
        let object = object.into();
        let all = bytes.as_ref();
        if all.get(..MAGIC.len()).is_some_and(|magic| magic != MAGIC) {
            return Err(SegmentProblem::Magic.at(&object, 0));
        }
        let version = u32_at(all, MAGIC.len());
        if let Some(found) = version.filter(|version| *version != VERSION) {
            let problem = SegmentProblem::Version {
                found,
                known: VERSION,
            };
            return Err(problem.at(&object, MAGIC.len() as u64));
        }
        debug_assert!(version.is_none() || all.len() >= HEADER_BYTES);
        let footer = Footer::read(&object, all.len() as u64, all)?;
        Ok(Self {
            object,
            bytes,
            footer,
        })
    }

    /// The index.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The blocks of one state in a range of key groups, in the order of these.
    pub fn select<'a>(
        &'a self,
        operator: &OperatorUid,
        state: &str,
        range: KeyGroupRange,
    ) -> impl Iterator<Item = Result<Block<'a>, SegmentError>> + use<'a, B> {
        self.footer
            .select(operator, state, range)
            .map(|entry| self.read(entry))
    }

    /// All blocks.
    pub fn blocks(&self) -> impl Iterator<Item = Result<(&OperatorUid, &str, Block<'_>), SegmentError>> {
        self.footer.states.iter().flat_map(move |index| {
            index.blocks.iter().map(move |entry| {
                let block = self.read(entry)?;
                Ok((&index.operator, index.state.as_str(), block))
            })
        })
    }

    /// One block.
    pub fn read(&self, entry: &BlockEntry) -> Result<Block<'_>, SegmentError> {
        let range = entry.range();
        let bytes = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(start, end)| self.bytes.as_ref().get(start..end))
            .unwrap_or_default();
        Ok(Block {
            group: entry.group,
            kind: entry.kind,
            bytes: entry.open(&self.object, bytes)?,
        })
    }
}

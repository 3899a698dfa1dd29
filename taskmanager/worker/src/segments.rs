//! Segments in the store, or in a worker's own copies, read block by block at restore.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use tidegate_core::{
    CheckpointId, KeyGroup, KeyGroupRange, OperatorUid,
    control::{GroupSet, Segment, SegmentContent, SegmentLocation},
    metrics::RestoredBytes,
    snapshot::{BlockKind, KeyedState, StateError},
};
use tidegate_state::segment::{self, BlockEntry, Footer, SegmentReader, TRAILER_BYTES};
use tokio::runtime::Handle;

use crate::local_segments::{Copy, LocalSegments};

/// Neighbouring blocks are read together up to this size.
const READ_BYTES: u64 = 8 * 1024 * 1024;
/// How many reads are under way while blocks are loaded.
const READS_AHEAD: usize = 3;
/// Whatever key groups there are.
const ALL_GROUPS: KeyGroupRange = KeyGroupRange {
    start: 0,
    end: u16::MAX,
};
/// How much of an object's end is read in the hope that it holds the whole index.
const TAIL_BYTES: u64 = 256 * 1024;

/// Why a segment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The store did not give the object.
    #[error("object {object:?} cannot be read: {cause}; the checkpoint cannot be restored without it")]
    Store {
        /// The object.
        object: String,
        /// What the store said.
        cause: object_store::Error,
    },
    /// The object is damaged, or is no segment.
    #[error(transparent)]
    Format(#[from] segment::SegmentError),
    /// A block passed its checksum and makes no sense to its state.
    #[error("object {object:?}: {cause}")]
    State {
        /// The object.
        object: String,
        /// What the state said.
        cause: StateError,
    },
    /// The object has not what its manifest says.
    #[error(
        "object {object:?} lacks key groups of state {state:?} of operator {operator:?} that its manifest names; restore the object from a copy"
    )]
    Lacking {
        /// The object.
        object: String,
        /// The operator.
        operator: String,
        /// The state within it.
        state: String,
    },
}

/// Where an object is in the store.
pub(crate) fn object_path(root: &Path, object: &str) -> Path {
    object.split('/').fold(root.clone(), |path, part| path.join(part))
}

/// The segments of a manifest, to be read by executor threads while they restore, or by whoever looks into a checkpoint.
///
/// All calls block their thread until they are done, so it must not be one of an async runtime's.
pub struct Segments {
    store: Arc<dyn ObjectStore>,
    root: Path,
    segments: Vec<Segment>,
    handle: Handle,
    local: Option<Arc<LocalSegments>>,
    /// How much was read from where.
    read: Arc<ReadBytes>,
    /// Indices that have been read. A leaf, held while nothing else is done.
    footers: Mutex<HashMap<usize, Arc<Footer>>>,
}

/// How much of segments was read from where. Written and read by any thread.
#[derive(Debug, Default)]
pub(crate) struct ReadBytes {
    local: AtomicU64,
    remote: AtomicU64,
}

impl ReadBytes {
    pub(crate) fn get(&self) -> RestoredBytes {
        RestoredBytes {
            local: self.local.load(Relaxed),
            remote: self.remote.load(Relaxed),
        }
    }
}

impl Segments {
    /// Segments in `store`, named relative to `root`. Reads run on the runtime of `handle`.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, segments: Vec<Segment>, handle: Handle) -> Self {
        Self {
            store,
            root,
            segments,
            handle,
            local: None,
            read: Arc::default(),
            footers: Mutex::default(),
        }
    }

    /// Reads copies where there are any, and counts what it reads.
    pub(crate) fn with_copies(mut self, local: Option<Arc<LocalSegments>>, read: Arc<ReadBytes>) -> Self {
        self.local = local;
        self.read = read;
        self
    }

    /// Loads a table's key groups, which it has been [assigned](KeyedState::assign), each from its latest base and all
    /// changes after it.
    ///
    /// # Errors
    /// Which object is missing, damaged or does not fit, and where; the table is then of no use.
    pub fn load(
        &self,
        operator: &OperatorUid,
        table: &mut dyn KeyedState,
        groups: KeyGroupRange,
    ) -> Result<(), SegmentError> {
        let state = table.name().to_owned();
        // For each segment the key groups it is to give; replayed in the order of checkpoints, so that every group gets
        // its base first.
        let mut wanted: BTreeMap<(CheckpointId, usize), Vec<KeyGroup>> = BTreeMap::new();
        for replay in segment::replay(&self.segments, operator, &state, groups) {
            for block in replay.blocks {
                let order = (self.segments[block.segment].checkpoint, block.segment);
                wanted.entry(order).or_default().push(replay.group);
            }
        }
        for ((_, index), wanted) in wanted {
            let segment = &self.segments[index];
            match &segment.location {
                SegmentLocation::Inline(bytes) => {
                    let object = inline_name(segment);
                    let reader = SegmentReader::open(object.as_str(), bytes)?;
                    for block in reader.select(operator, &state, groups) {
                        let block = block?;
                        if wanted.binary_search(&block.group).is_ok() {
                            apply(table, &object, block.group, block.kind, block.bytes)?;
                        }
                    }
                }
                SegmentLocation::Object(object) => {
                    let footer = self.footer(index, object, segment.size)?;
                    let mut entries: Vec<BlockEntry> = footer
                        .select(operator, &state, groups)
                        .filter(|entry| wanted.binary_search(&entry.group).is_ok())
                        .copied()
                        .collect();
                    entries.sort_by_key(|entry| entry.offset);
                    self.read_object(object, segment.size, &entries, |entry, block| {
                        apply(table, object, entry.group, entry.kind, block)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Reads everything that a restore could read: all objects are there, all blocks pass their checksums, and all that
    /// the manifest names is in them.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub fn verify(&self) -> Result<(), SegmentError> {
        for (index, segment) in self.segments.iter().enumerate() {
            match &segment.location {
                SegmentLocation::Inline(bytes) => {
                    let object = inline_name(segment);
                    let reader = SegmentReader::open(object.as_str(), bytes)?;
                    verify_contents(segment, &object, |content| {
                        reader
                            .select(&content.operator, &content.state, ALL_GROUPS)
                            .map(|block| Ok(block.map(|block| (block.group, block.kind))?))
                            .collect()
                    })?;
                }
                SegmentLocation::Object(object) => {
                    let footer = self.footer(index, object, segment.size)?;
                    let mut all = Vec::new();
                    verify_contents(segment, object, |content| {
                        let entries = footer.select(&content.operator, &content.state, ALL_GROUPS);
                        Ok(entries
                            .inspect(|entry| all.push(**entry))
                            .map(|entry| (entry.group, entry.kind))
                            .collect())
                    })?;
                    all.sort_by_key(|entry| entry.offset);
                    self.read_object(object, segment.size, &all, |_, _| Ok(()))?;
                }
            }
        }
        Ok(())
    }

    /// Reads blocks of an object, which are given in the order of their offsets, and shows them to `each`.
    fn read_object(
        &self,
        object: &str,
        size: u64,
        entries: &[BlockEntry],
        mut each: impl FnMut(&BlockEntry, &[u8]) -> Result<(), SegmentError>,
    ) -> Result<(), SegmentError> {
        let path = object_path(&self.root, object);
        let mut runs = runs(entries);
        let done = self.read_copy(object, size, entries, &runs, &mut each)?;
        let runs = runs.split_off(done);
        let mut reads = stream::iter(runs.clone())
            .map(|(_, range)| {
                let (store, path) = (Arc::clone(&self.store), path.clone());
                async move { store.get_range(&path, range).await }
            })
            .buffered(READS_AHEAD)
            .boxed();
        for (members, range) in runs {
            let bytes = match self.handle.block_on(reads.next()) {
                Some(Ok(bytes)) => {
                    self.read.remote.fetch_add(bytes.len() as u64, Relaxed);
                    bytes
                }
                Some(Err(cause)) => {
                    return Err(SegmentError::Store {
                        object: object.to_owned(),
                        cause,
                    });
                }
                None => Bytes::new(),
            };
            for entry in &entries[members] {
                each(entry, block_in(entry, &range, &bytes, object)?)?;
            }
        }
        Ok(())
    }

    /// Shows what the local copy of an object has of `runs` to `each`. Returns how many of them it was; the rest is for
    /// the store. No block of a run is shown that has a damaged one in it.
    fn read_copy(
        &self,
        object: &str,
        size: u64,
        entries: &[BlockEntry],
        runs: &[(Range<usize>, Range<u64>)],
        each: &mut impl FnMut(&BlockEntry, &[u8]) -> Result<(), SegmentError>,
    ) -> Result<usize, SegmentError> {
        let Some((local, copy)) = self.copy(object, size) else {
            return Ok(0);
        };
        for (done, (members, range)) in runs.iter().enumerate() {
            let entries = &entries[members.clone()];
            let bytes = copy.read(range).unwrap_or_default();
            let blocks: Result<Vec<&[u8]>, _> = entries
                .iter()
                .map(|entry| block_in(entry, range, &bytes, object))
                .collect();
            let Ok(blocks) = blocks else {
                local.forget(object);
                return Ok(done);
            };
            self.read.local.fetch_add(bytes.len() as u64, Relaxed);
            for (entry, block) in entries.iter().zip(blocks) {
                each(entry, block)?;
            }
        }
        Ok(runs.len())
    }

    fn copy(&self, object: &str, size: u64) -> Option<(&LocalSegments, Copy)> {
        let local = self.local.as_deref()?;
        Some((local, local.copy(object, size)?))
    }

    fn footer(&self, index: usize, object: &str, size: u64) -> Result<Arc<Footer>, SegmentError> {
        let known = self
            .footers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&index)
            .cloned();
        if let Some(footer) = known {
            return Ok(footer);
        }
        let footer = match self.copied_footer(object, size) {
            Some(footer) => footer,
            None => {
                let path = object_path(&self.root, object);
                read_footer(object, size, |range| {
                    let read = self.handle.block_on(self.store.get_range(&path, range));
                    let bytes = read.map_err(|cause| SegmentError::Store {
                        object: object.to_owned(),
                        cause,
                    })?;
                    self.read.remote.fetch_add(bytes.len() as u64, Relaxed);
                    Ok(bytes)
                })?
            }
        };
        let footer = Arc::new(footer);
        self.footers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(index, Arc::clone(&footer));
        Ok(footer)
    }

    /// The index in the local copy of an object, if there is one that is good.
    fn copied_footer(&self, object: &str, size: u64) -> Option<Footer> {
        let (local, copy) = self.copy(object, size)?;
        let read = |range: Range<u64>| {
            let bytes = copy.read(&range).unwrap_or_default();
            self.read.local.fetch_add(bytes.len() as u64, Relaxed);
            Ok(bytes)
        };
        let footer = read_footer(object, size, read);
        if footer.is_err() {
            local.forget(object);
        }
        footer.ok()
    }
}

/// Reads the index at the end of an object.
fn read_footer(
    object: &str,
    size: u64,
    read: impl Fn(Range<u64>) -> Result<Bytes, SegmentError>,
) -> Result<Footer, SegmentError> {
    let mut tail = read(size.saturating_sub(TAIL_BYTES)..size)?;
    let trailer = tail.slice(tail.len().saturating_sub(TRAILER_BYTES)..);
    let footer = Footer::locate(object, size, &trailer)?;
    if size - footer.start > tail.len() as u64 {
        tail = read(footer.start..size)?;
    }
    Ok(Footer::read(object, size, &tail)?)
}

/// The contents of a block in the bytes of `range`, if they pass its checksum.
fn block_in<'a>(
    entry: &BlockEntry,
    range: &Range<u64>,
    bytes: &'a [u8],
    object: &str,
) -> Result<&'a [u8], SegmentError> {
    let start = usize::try_from(entry.offset - range.start).unwrap_or(usize::MAX);
    let length = usize::try_from(entry.range().end - entry.offset).unwrap_or(usize::MAX);
    let read = bytes.get(start..start.saturating_add(length)).unwrap_or_default();
    Ok(entry.open(object, read)?)
}

/// What errors call a segment that is in no object of its own.
fn inline_name(segment: &Segment) -> String {
    format!("segment inside the manifest of checkpoint {}", segment.checkpoint)
}

/// Holds what a manifest says of a segment against the blocks that `blocks` finds in it.
fn verify_contents(
    segment: &Segment,
    object: &str,
    mut blocks: impl FnMut(&SegmentContent) -> Result<Vec<(KeyGroup, BlockKind)>, SegmentError>,
) -> Result<(), SegmentError> {
    for content in &segment.contents {
        let blocks = blocks(content)?;
        let groups = |wanted: BlockKind| -> GroupSet {
            let of_kind = blocks.iter().filter(|(_, kind)| *kind == wanted);
            of_kind.map(|(group, _)| *group).collect()
        };
        if content.base.exceeds(&groups(BlockKind::Base)) || content.delta.exceeds(&groups(BlockKind::Delta))
        {
            return Err(SegmentError::Lacking {
                object: object.to_owned(),
                operator: content.operator.to_string(),
                state: content.state.clone(),
            });
        }
    }
    Ok(())
}

fn apply(
    table: &mut dyn KeyedState,
    object: &str,
    group: KeyGroup,
    kind: BlockKind,
    bytes: &[u8],
) -> Result<(), SegmentError> {
    table
        .load(group, kind, bytes)
        .map_err(|cause| SegmentError::State {
            object: object.to_owned(),
            cause,
        })
}

/// Neighbouring entries, in the order of their offsets, joined into reads.
fn runs(entries: &[BlockEntry]) -> Vec<(Range<usize>, Range<u64>)> {
    let mut runs: Vec<(Range<usize>, Range<u64>)> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let range = entry.range();
        match runs.last_mut() {
            Some((members, bytes)) if bytes.end == range.start && range.end - bytes.start <= READ_BYTES => {
                members.end = place + 1;
                bytes.end = range.end;
            }
            _ => runs.push((place..place + 1, range)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(group: u16, offset: u64, length: u32) -> BlockEntry {
        BlockEntry {
            group: KeyGroup(group),
            kind: BlockKind::Base,
            offset,
            length,
        }
    }

    #[test]
    fn neighbours_are_read_together() {
        let a = entry(0, 12, 10);
        let b = entry(1, a.range().end, 20);
        let c = entry(5, b.range().end + 100, 5);
        assert_eq!(runs(&[a, b, c]), [(0..2, 12..b.range().end), (2..3, c.range())]);
    }

    #[test]
    fn a_read_stays_below_its_limit() {
        let large = u32::try_from(READ_BYTES - 100).unwrap();
        let a = entry(0, 12, large);
        let b = entry(1, a.range().end, large);
        assert_eq!(runs(&[a, b]).len(), 2);
    }
}

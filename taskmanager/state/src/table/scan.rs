//! Freezing a table and serialising what is frozen, slice by slice, while writes go on.
//!
//! A freeze closes the interval and decides per key group what is to be written: nothing, changes, or everything. The
//! scan walks shard after shard in memory order; `scan_front` is the first shard it has not reached. Whoever writes to
//! an entry at or beyond the front that the scan will want serialises it first ([`Scan::preserve`]), into the same
//! block. A shard is scanned in one go, so growth never moves entries under a cursor.
//!
//! # A block
//! One byte of format version; the number of deleted keys and these keys; then one record per entry up to the end: a
//! byte that says whether the value is whole or a change, the key, the value. All in postcard. Deletions come first, so
//! that a key that was deleted and written again lives.

use tidegate_core::{
    CheckpointId, Key, Progress,
    bug::{Bug, is_seeded},
    snapshot::{BlockKind, Freeze, SnapshotSink, StateError},
};

use super::{
    Table,
    entry::{Entry, Window, encode_entry, unserialisable},
    group::{Group, Plan},
};
use crate::{cell::Cell, codec::encode};

/// The version of the block format.
pub(super) const FORMAT: u8 = 1;

/// What comes before the records of a block without deletions: the version, and that there are none.
const HEADER: usize = 2;

/// How large a record is taken to be before one has been seen.
const FIRST_RECORD_BYTES: usize = 16;

/// Blocks are taken to be no larger than this until they are: where a few values are very large, a guess goes far wrong.
const LARGEST_GUESS_BYTES: usize = 1024 * 1024;

/// Every base is rewritten within this many checkpoints.
const BASE_CYCLE: usize = 48;

/// A group of which this share changed, in tenths, is written as base.
const ALMOST_WHOLLY: u64 = 9;

/// A scan under way.
pub(super) struct Scan {
    pub(super) window: Window,
    /// The first group that is not done.
    pub(super) next_group: usize,
    /// The block of that group as far as it has been scanned; empty if it has not been begun.
    block: Vec<u8>,
    /// What has been scanned so far, which says how large blocks will be.
    scanned: Size,
}

/// So many records, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    records: usize,
    bytes: usize,
}

impl Size {
    /// How many bytes so many records are likely to take.
    fn expect(self, records: u32) -> usize {
        let each = self.bytes.checked_div(self.records).unwrap_or(FIRST_RECORD_BYTES);
        // A sixteenth more: blocks do not grow in most cases.
        (records as usize)
            .saturating_mul(each + each / 16 + 1)
            .min(LARGEST_GUESS_BYTES)
    }
}

impl Scan {
    /// Serialises an entry that is about to be written, if the scan still wants it as it is.
    #[inline]
    pub(super) fn preserve<K: Key, C: Cell>(
        &self,
        entry: &Entry<K, C::Value>,
        group: &mut Group<K>,
        state: &str,
        failure: &mut Option<StateError>,
    ) {
        if self.window.takes(entry.stamp, group.plan)
            && let Err(error) = encode_entry::<K, C>(
                entry,
                group.plan,
                self.window.since,
                state,
                group.records.buffer(),
            )
        {
            *failure = Some(error);
        }
    }
}

impl<K: Key, C: Cell> Table<K, C> {
    pub(super) fn start_scan(&mut self, freeze: Freeze) {
        self.discard_scan();
        let since = freeze.since.and_then(|since| self.measure_from(since));
        // A checkpoint of which nobody has heard whether it was claimed may hold a base of any group.
        let is_any_pending = self.intervals.is_any_pending();
        let upto = self.intervals.freeze(freeze.checkpoint);
        let count = self.groups.len();
        let turn = self.rotation..self.rotation + count.div_ceil(BASE_CYCLE);
        let mut bases = Vec::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            group.unclaimed = group.unclaimed.saturating_add(std::mem::take(&mut group.changed));
            let is_its_turn = turn.contains(&index) || turn.contains(&(index + count));
            let almost_wholly = u64::from(group.unclaimed) * 10 >= u64::from(group.live) * ALMOST_WHOLLY;
            group.plan = match (since, group.has_base) {
                (_, false) if group.live == 0 && !is_any_pending => Plan::Skip,
                (None, _) | (_, false) => Plan::Write(BlockKind::Base),
                _ if is_its_turn => Plan::Write(BlockKind::Base),
                _ if group.unclaimed == 0 => Plan::Skip,
                _ if almost_wholly => Plan::Write(BlockKind::Base),
                _ => Plan::Write(BlockKind::Delta),
            };
            if group.plan == Plan::Write(BlockKind::Base) {
                bases.push(index);
            }
        }
        if since.is_some() && count > 0 {
            self.rotation = turn.end % count;
        }
        self.pending_bases.push((freeze.checkpoint, bases));
        self.scan = Some(Scan {
            window: Window {
                since: since.unwrap_or_default(),
                upto,
            },
            next_group: 0,
            block: Vec::new(),
            scanned: Size::default(),
        });
        self.scan_front = 0;
    }

    /// The interval from whose end changes are measured, or `None` if everything has to be written.
    fn measure_from(&mut self, since: CheckpointId) -> Option<crate::interval::Stamp> {
        self.note_claimed(since);
        if is_seeded(Bug::DeltaFromAborted) {
            return self.intervals.last_frozen();
        }
        self.intervals.claimed_since(since)
    }

    pub(super) fn discard_scan(&mut self) {
        if self.scan.take().is_some() {
            self.groups.iter_mut().for_each(Group::discard);
        }
        self.scan_front = usize::MAX;
        self.failure = None;
    }

    pub(super) fn scan_some(
        &mut self,
        budget: usize,
        out: &mut dyn SnapshotSink,
    ) -> Result<Progress, StateError> {
        let mut looked = 0;
        while let Some(scan) = &self.scan {
            if let Some(failure) = self.failure.take() {
                self.discard_scan();
                return Err(failure);
            }
            let index = scan.next_group;
            if index == self.groups.len() {
                self.scan = None;
                self.scan_front = usize::MAX;
                break;
            }
            if looked >= budget {
                return Ok(Progress::More);
            }
            let shards = self.layout.shards_of_group(index);
            if self.groups[index].plan != Plan::Skip && self.scan_front < shards.end {
                let scanned = self.scan_shard(self.scan_front, out);
                looked += 1 + scanned.inspect_err(|_| self.discard_scan())?;
                self.scan_front += 1;
                continue;
            }
            self.scan_front = shards.end;
            if let Some(scan) = &mut self.scan {
                scan.next_group += 1;
            }
            if let Err(error) = self.finish_group(index, out) {
                self.discard_scan();
                return Err(error);
            }
        }
        Ok(Progress::Done)
    }

    /// Serialises what the scan wants of a shard. Returns how many entries it looked at.
    fn scan_shard(&mut self, shard: usize, out: &mut dyn SnapshotSink) -> Result<usize, StateError> {
        let group = &mut self.groups[self.layout.group_of_shard(shard)];
        let entries = &self.shards[shard];
        let Some(scan) = &mut self.scan else {
            return Ok(0);
        };
        let is_unchanged =
            group.plan == Plan::Write(BlockKind::Delta) && self.written[shard] <= scan.window.since;
        let (Some(first), false) = (entries.iter().next(), is_unchanged) else {
            return Ok(0);
        };
        // First which, then what: whether an entry is wanted cannot be foreseen, so a loop that branched on it would
        // lose more time at the branch than with the entry, and would not have the next ones fetched meanwhile.
        let mut wanted = vec![first; entries.len()];
        let mut count = 0;
        for entry in entries {
            wanted[count] = entry;
            count += usize::from(scan.window.takes(entry.stamp, group.plan));
        }
        if count > 0 {
            if scan.block.is_empty() {
                begin_block(&mut scan.block, scan.scanned.expect(group.expected()), out);
            }
            let before = scan.block.len();
            for entry in &wanted[..count] {
                encode_entry::<K, C>(entry, group.plan, scan.window.since, &self.name, &mut scan.block)?;
            }
            scan.scanned.records += count;
            scan.scanned.bytes += scan.block.len() - before;
        }
        Ok(entries.len())
    }

    /// Completes the block of a group and gives it away.
    fn finish_group(&mut self, index: usize, out: &mut dyn SnapshotSink) -> Result<(), StateError> {
        let group = &mut self.groups[index];
        if let (Some(claimed), Some(tombstones)) = (self.intervals.claimed(), &mut group.tombstones) {
            tombstones.retain(|tombstone| tombstone.stamp > claimed);
            if tombstones.is_empty() {
                group.tombstones = None;
            }
        }
        let (Plan::Write(kind), Some(scan)) = (group.plan, &mut self.scan) else {
            return Ok(());
        };
        let buried = std::mem::take(&mut group.buried);
        let mut count = std::mem::take(&mut group.buried_count);
        let mut keys = buried;
        if kind == BlockKind::Delta {
            for tombstone in group.tombstones.iter().flat_map(|tombstones| tombstones.iter()) {
                if scan.window.takes(tombstone.stamp, group.plan) {
                    encode(&tombstone.key, &mut keys).map_err(|error| unserialisable(&self.name, &error))?;
                    count += 1;
                }
            }
        }
        let preserved = std::mem::take(&mut group.records);
        group.plan = Plan::Skip;
        let mut block = std::mem::take(&mut scan.block);
        if block.is_empty() {
            if kind == BlockKind::Delta && preserved.len() == 0 && count == 0 {
                return Ok(());
            }
            begin_block(&mut block, preserved.len(), out);
        }
        preserved.append_to(&mut block);
        if count > 0 {
            let mut deleted = Vec::with_capacity(5 + keys.len());
            encode(&count, &mut deleted).map_err(|error| unserialisable(&self.name, &error))?;
            deleted.append(&mut keys);
            block.splice(HEADER - 1..HEADER, deleted);
        }
        out.block(&self.name, self.layout.key_group(index), kind, block);
        Ok(())
    }
}

/// A block without records and deletions. The number of the latter is its last byte.
fn begin_block(block: &mut Vec<u8>, records_bytes: usize, out: &mut dyn SnapshotSink) {
    *block = out.buffer(HEADER + records_bytes);
    block.extend_from_slice(&[FORMAT, 0]);
}

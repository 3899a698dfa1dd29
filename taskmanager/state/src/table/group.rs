//! What a table knows about each of its key groups.

use hashbrown::{HashTable, hash_table};
use tidegate_core::{Key, snapshot::BlockKind};

use super::{
    Table,
    entry::{Tombstone, unserialisable},
};
use crate::{cell::Cell, codec::encode, layout::Layout};

/// What the pending scan writes of a key group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Nothing: the group did not change.
    Skip,
    /// A block.
    Write(BlockKind),
}

/// How large a piece of [`Records`] gets.
const PIECE_BYTES: usize = 8 * 1024;

/// Encoded records, in pieces that do not move when more come.
///
/// Writes spread evenly over the key groups, so with one growing buffer each, those of a thousand groups would be moved
/// to twice the size within a few batches of each other, and whoever writes would stand still for as long.
#[derive(Default)]
pub(super) struct Records {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Records {
    /// Where the next record is encoded.
    #[inline]
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.last.len() + PIECE_BYTES / 16 > self.last.capacity() {
            self.begin_piece();
        }
        &mut self.last
    }

    #[cold]
    fn begin_piece(&mut self) {
        if !self.last.is_empty() {
            self.full.push(std::mem::take(&mut self.last));
        }
        self.last.reserve_exact(PIECE_BYTES);
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.last.len()
    }

    /// Appends all pieces to `bytes`.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        for piece in self.full.iter().chain([&self.last]) {
            bytes.extend_from_slice(piece);
        }
    }
}

/// A key group of a table.
pub(super) struct Group<K> {
    /// The number of live entries.
    pub(super) live: u32,
    /// How many entries the current interval has written or deleted.
    pub(super) changed: u32,
    /// The same for earlier intervals since the last claimed checkpoint, or a little more.
    pub(super) unclaimed: u32,
    /// Whether a claimed checkpoint holds a base.
    pub(super) has_base: bool,
    /// What the pending scan writes.
    pub(super) plan: Plan,
    /// Records of the pending scan that were there before it came by.
    pub(super) records: Records,
    /// Deleted keys of the pending scan whose tombstones had to be stamped anew before it came by.
    pub(super) buried: Vec<u8>,
    /// How many keys that is.
    pub(super) buried_count: u32,
    pub(super) tombstones: Option<Box<HashTable<Tombstone<K>>>>,
}

impl<K> Default for Group<K> {
    fn default() -> Self {
        Self {
            live: 0,
            changed: 0,
            unclaimed: 0,
            has_base: false,
            plan: Plan::Skip,
            records: Records::default(),
            buried: Vec::new(),
            buried_count: 0,
            tombstones: None,
        }
    }
}

impl<K> Group<K> {
    /// How many records the pending scan is likely to write.
    pub(super) fn expected(&self) -> u32 {
        match self.plan {
            Plan::Skip => 0,
            Plan::Write(BlockKind::Base) => self.live,
            Plan::Write(BlockKind::Delta) => self.unclaimed.min(self.live),
        }
    }

    /// Forgets what the pending scan has gathered.
    pub(super) fn discard(&mut self) {
        self.plan = Plan::Skip;
        self.records = Records::default();
        self.buried = Vec::new();
        self.buried_count = 0;
    }
}

impl<K: Key, C: Cell> Table<K, C> {
    /// Leaves a tombstone. A tombstone of an earlier life of the key that the pending scan has yet to write is written
    /// first.
    pub(super) fn bury(&mut self, index: usize, key: K, tail: u32) {
        let current = self.intervals.current();
        let group = &mut self.groups[index];
        let tombstones = group.tombstones.get_or_insert_default();
        let found = tombstones.entry(
            Layout::table_hash(tail),
            |tombstone| tombstone.key == key,
            |tombstone| Layout::table_hash(tombstone.tail),
        );
        match found {
            hash_table::Entry::Occupied(mut occupied) => {
                let tombstone = occupied.get_mut();
                if let Some(scan) = &self.scan
                    && index >= scan.next_group
                    && group.plan == Plan::Write(BlockKind::Delta)
                    && scan.window.takes(tombstone.stamp, group.plan)
                {
                    group.buried_count += 1;
                    if let Err(error) = encode(&tombstone.key, &mut group.buried) {
                        self.failure = Some(unserialisable(&self.name, &error));
                    }
                }
                tombstone.stamp = current;
            }
            hash_table::Entry::Vacant(vacant) => {
                vacant.insert(Tombstone {
                    key,
                    stamp: current,
                    tail,
                });
            }
        }
    }
}

//! What a sliced table is made of.

use hashbrown::HashTable;
use tidegate_core::snapshot::BlockKind;

use crate::interval::Stamp;

/// One key of a slice.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) stamp: Stamp,
    pub(super) tail: u32,
}

/// One slice of time.
pub(super) struct Slice<K, V> {
    pub(super) end: i64,
    /// One per key group.
    pub(super) tables: Vec<HashTable<Entry<K, V>>>,
    /// The last write to each of them.
    pub(super) written: Vec<Stamp>,
}

impl<K, V> Slice<K, V> {
    pub(super) fn new(end: i64, groups: usize) -> Self {
        let mut tables = Vec::new();
        tables.resize_with(groups, HashTable::new);
        Self {
            end,
            tables,
            written: vec![Stamp::LOADED; groups],
        }
    }
}

/// What the pending scan writes of a key group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Nothing: the group did not change.
    Skip,
    /// A block.
    Write(BlockKind),
}

/// A key group, over all slices.
pub(super) struct Group {
    /// The number of live entries.
    pub(super) live: u32,
    /// How many entries the current interval has written or dropped.
    pub(super) changed: u32,
    /// The same for earlier intervals since the last claimed checkpoint, or a little more.
    pub(super) unclaimed: u32,
    /// Whether a claimed checkpoint holds a base.
    pub(super) has_base: bool,
    /// What the pending scan writes.
    pub(super) plan: Plan,
    /// Whether the pending scan is in the middle of it.
    pub(super) is_being_scanned: bool,
    /// Records of the pending scan, some of them there before the scan came by.
    pub(super) records: Vec<u8>,
    /// The slice that the last of them is of.
    pub(super) records_of: Option<i64>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            live: 0,
            changed: 0,
            unclaimed: 0,
            has_base: false,
            plan: Plan::Skip,
            is_being_scanned: false,
            records: Vec::new(),
            records_of: None,
        }
    }
}

impl Group {
    /// Forgets what the pending scan has gathered.
    pub(super) fn discard(&mut self) {
        self.plan = Plan::Skip;
        self.is_being_scanned = false;
        self.records = Vec::new();
        self.records_of = None;
    }
}

//! Walking over all entries in steps, to emit them at the end of input.

use std::ops::ControlFlow;

use hashbrown::HashTable;
use tidegate_core::{Key, Progress};

use super::{Table, group::Group};
use crate::cell::Cell;

/// Where a walk over a table is. The default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(super) shard: usize,
    pub(super) bucket: usize,
}

impl<K: Key, C: Cell> Table<K, C> {
    /// Shows live entries to `visit`, from `cursor` on, until it breaks off or all have been seen. The next call goes on
    /// after the last one shown.
    ///
    /// Every entry is shown once if nothing is inserted between the calls; removals do no harm.
    pub fn visit(
        &self,
        cursor: &mut Cursor,
        mut visit: impl FnMut(&K, &C::Value) -> ControlFlow<()>,
    ) -> Progress {
        while let Some(shard) = self.shards.get(cursor.shard) {
            let buckets = if shard.is_empty() { 0 } else { shard.num_buckets() };
            while cursor.bucket < buckets {
                let entry = shard.get_bucket(cursor.bucket);
                cursor.bucket += 1;
                if let Some(entry) = entry
                    && !self.is_expired(&entry.value)
                    && visit(&entry.key, &entry.value).is_break()
                {
                    return Progress::More;
                }
            }
            cursor.shard += 1;
            cursor.bucket = 0;
        }
        Progress::Done
    }

    /// Takes all entries out, as if none had ever been there: for tables that are loaded to be read.
    pub(crate) fn drain(&mut self) -> Vec<(K, C::Value)> {
        let entries = self.shards.iter_mut().flat_map(HashTable::drain);
        let drained = entries.map(|entry| (entry.key, entry.value)).collect();
        self.groups.fill_with(Group::default);
        self.live = 0;
        drained
    }
}

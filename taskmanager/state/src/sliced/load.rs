//! Reading blocks back.

use tidegate_core::{
    Key, KeyGroup,
    snapshot::{BlockKind, StateError},
};

use super::{
    SlicedTable,
    scan::{CHANGE, FORMAT, SLICE, WHOLE},
    slice::{Entry, Group},
    tail_of,
};
use crate::{cell::Cell, codec::decode, interval::Stamp, layout::Layout};

impl<K: Key, C: Cell> SlicedTable<K, C> {
    pub(super) fn load_block(
        &mut self,
        group: KeyGroup,
        kind: BlockKind,
        bytes: &[u8],
    ) -> Result<(), StateError> {
        let mut rest = bytes;
        self.load_records(group, kind, &mut rest)
            .map_err(|reason| StateError::Corrupt {
                state: self.name.clone(),
                offset: (bytes.len() - rest.len()) as u64,
                reason,
            })
    }

    fn load_records(&mut self, group: KeyGroup, kind: BlockKind, rest: &mut &[u8]) -> Result<(), String> {
        if !self.range.contains(group) {
            return Err(format!("key group {} is not among those of this task", group.0));
        }
        let index = usize::from(group.0 - self.range.start);
        match (kind, self.groups[index].has_base) {
            (BlockKind::Base, _) => self.clear_group(index, i64::MAX),
            (BlockKind::Delta, true) => {}
            (BlockKind::Delta, false) => return Err("a delta comes before any base".to_owned()),
        }
        self.groups[index].has_base = true;
        let (format, after) = rest.split_first().ok_or("the block is empty")?;
        if *format != FORMAT {
            return Err(format!(
                "the block has format {format}, this version reads format {FORMAT}"
            ));
        }
        *rest = after;
        let dropped_through: i64 = decode(rest).map_err(in_words)?;
        self.clear_group(index, dropped_through);
        self.dropped_through = self.dropped_through.max(dropped_through);
        let mut slice = None;
        while let Some((tag, after)) = rest.split_first() {
            *rest = after;
            if *tag == SLICE {
                slice = Some(decode(rest).map_err(in_words)?);
                continue;
            }
            let end = slice.ok_or("a record comes before its slice")?;
            self.load_record(group, end, *tag, rest)?;
        }
        Ok(())
    }

    fn load_record(&mut self, group: KeyGroup, end: i64, tag: u8, rest: &mut &[u8]) -> Result<(), String> {
        let key: K = decode(rest).map_err(in_words)?;
        let hash = key.key_hash();
        if self.space.group_of(hash) != group {
            return Err("a key is not of the block's key group".to_owned());
        }
        let (index, tail) = (self.group_of(hash), tail_of(hash));
        let slice = self.find_or_make(end);
        let table = &mut self.slices[slice.0].tables[index];
        let found = table.find_mut(Layout::table_hash(tail), |entry| entry.key == key);
        match (tag, found) {
            (WHOLE, Some(entry)) => entry.value = C::decode(rest).map_err(in_words)?,
            (CHANGE, Some(entry)) => C::apply_change(&mut entry.value, rest).map_err(in_words)?,
            (WHOLE, None) => {
                let value = C::decode(rest).map_err(in_words)?;
                let entry = Entry {
                    key,
                    value,
                    stamp: Stamp::LOADED,
                    tail,
                };
                table.insert_unique(Layout::table_hash(tail), entry, |entry| {
                    Layout::table_hash(entry.tail)
                });
                self.groups[index].live += 1;
                self.live += 1;
            }
            (CHANGE, None) => return Err("a change has no value to apply to".to_owned()),
            (tag, _) => return Err(format!("a record has the unknown kind {tag}")),
        }
        Ok(())
    }

    /// Empties a group in the slices that end at `through` or before.
    fn clear_group(&mut self, index: usize, through: i64) {
        let group = &mut self.groups[index];
        for slice in self.slices.iter_mut().take_while(|slice| slice.end <= through) {
            let table = &mut slice.tables[index];
            group.live -= u32::try_from(table.len()).unwrap_or(u32::MAX);
            self.live -= table.len() as u64;
            table.clear();
        }
        if through == i64::MAX {
            *group = Group::default();
        }
    }

    /// Lets go of slices that only groups which have dropped them since had anything in.
    pub(super) fn drop_empty(&mut self) {
        self.slices
            .retain(|slice| slice.tables.iter().any(|table| !table.is_empty()));
    }
}

fn in_words(error: postcard::Error) -> String {
    error.to_string()
}

//! Reading blocks back.

use tidegate_core::{
    Key, KeyGroup,
    snapshot::{BlockKind, StateError},
};

use super::{
    Table,
    entry::{CHANGE, Entry, WHOLE},
    group::Group,
    scan::FORMAT,
};
use crate::{cell::Cell, codec::decode, interval::Stamp, layout::Layout};

impl<K: Key, C: Cell> Table<K, C> {
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
        let index = self
            .layout
            .index_of(group)
            .ok_or_else(|| format!("key group {} is not among those of this task", group.0))?;
        match (kind, self.groups[index].has_base) {
            (BlockKind::Base, _) => self.clear_group(index),
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
        let deleted: u32 = decode(rest).map_err(in_words)?;
        for _ in 0..deleted {
            let key: K = decode(rest).map_err(in_words)?;
            self.unload(&key);
        }
        while let Some((tag, after)) = rest.split_first() {
            *rest = after;
            self.load_record(group, index, *tag, rest)?;
        }
        Ok(())
    }

    fn load_record(
        &mut self,
        group: KeyGroup,
        index: usize,
        tag: u8,
        rest: &mut &[u8],
    ) -> Result<(), String> {
        let key: K = decode(rest).map_err(in_words)?;
        let hash = key.key_hash();
        if self.layout.space().group_of(hash) != group {
            return Err("a key is not of the block's key group".to_owned());
        }
        let place = self.layout.place(hash);
        let shard = &mut self.shards[place.shard];
        let found = shard.find_mut(Layout::table_hash(place.tail), |entry| entry.key == key);
        match (tag, found) {
            (WHOLE, Some(entry)) => entry.value = C::decode(rest).map_err(in_words)?,
            (CHANGE, Some(entry)) => C::apply_change(&mut entry.value, rest).map_err(in_words)?,
            (WHOLE, None) => {
                let value = C::decode(rest).map_err(in_words)?;
                let entry = Entry {
                    key,
                    value,
                    stamp: Stamp::LOADED,
                    tail: place.tail,
                };
                shard.insert_unique(Layout::table_hash(place.tail), entry, |entry| {
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

    fn unload(&mut self, key: &K) {
        let hash = key.key_hash();
        let place = self.layout.place(hash);
        let found = self
            .shards
            .get_mut(place.shard)
            .and_then(|shard| {
                shard
                    .find_entry(Layout::table_hash(place.tail), |entry| entry.key == *key)
                    .ok()
            })
            .map(|found| found.remove());
        if found.is_some() {
            self.live -= 1;
            self.groups[self.layout.group_of_shard(place.shard)].live -= 1;
        }
    }

    fn clear_group(&mut self, index: usize) {
        for shard in self.layout.shards_of_group(index) {
            self.shards[shard].clear();
        }
        self.live -= u64::from(self.groups[index].live);
        self.groups[index] = Group::default();
    }
}

fn in_words(error: postcard::Error) -> String {
    error.to_string()
}

//! Looking up many keys at once, so that the memory they lie in is fetched together.
//!
//! In a table that is larger than the processor's caches, a look-up waits for memory twice: for the control bytes of
//! its hash, and for the entry. One look-up after another, with what is done to the value in between, leaves the
//! processor room to start only a few of them before the first has arrived. [`Table::look_ahead`] does nothing but these
//! loads, in two short loops whose rounds do not depend on each other, and so has many under way at once; the look-ups
//! that follow find everything in the first cache. What it finds out on the way, it leaves as hints.

use std::hint::black_box;

use tidegate_core::Key;

use super::{Table, entry::Entry};
use crate::{cell::Cell, layout::Layout};

/// How many keys are best looked up ahead at once: few enough for what was fetched for the last of them not to push
/// that of the first out of the first cache.
pub const LOOK_AHEAD: usize = 64;

/// Tables below this size, in bytes of entries, are in a near cache already.
const NEAR_BYTES: u64 = 4 << 20;

/// A key's hash, and where the key may be found. A lead that is wrong, or has become so, costs time and does no harm.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    hash: u64,
    shard: u32,
    bucket: u32,
}

impl Hint {
    /// A hash without a lead.
    #[inline]
    pub fn none(hash: u64) -> Self {
        Self {
            hash,
            shard: u32::MAX,
            bucket: u32::MAX,
        }
    }

    /// The key's hash.
    #[inline]
    pub fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    pub(super) fn shard(self) -> usize {
        self.shard as usize
    }

    #[inline]
    pub(super) fn bucket(self) -> usize {
        self.bucket as usize
    }
}

impl<K: Key, C: Cell> Table<K, C> {
    /// Fetches what the keys with `hashes` will need, and leaves one hint for each of them in `hints`, in their order.
    ///
    /// Call it with up to [`LOOK_AHEAD`] hashes at a time, and look the keys up right after it.
    pub fn look_ahead(&self, hashes: &[u64], hints: &mut Vec<Hint>) {
        hints.clear();
        if self.live * size_of::<Entry<K, C::Value>>() as u64 <= NEAR_BYTES {
            hints.extend(hashes.iter().map(|hash| Hint::none(*hash)));
            return;
        }
        // The first entry whose tag fits: almost always the one. Its key is not looked at yet, so that nothing here
        // waits for the entry.
        hints.extend(hashes.iter().map(|hash| {
            let place = self.layout.place(*hash);
            let bucket = self
                .shards
                .get(place.shard)
                .and_then(|shard| shard.find_bucket_index(Layout::table_hash(place.tail), |_| true));
            bucket.map_or(Hint::none(*hash), |bucket| Hint {
                hash: *hash,
                shard: place.shard as u32,
                bucket: bucket as u32,
            })
        }));
        // Both ends of each entry, which may lie in two cache lines.
        let mut seen = 0;
        let mut before: Option<&K> = None;
        for entry in hints.iter().filter_map(|hint| self.hinted(*hint)) {
            seen +=
                u32::from(before == Some(&entry.key)) + u32::from(entry.stamp == self.intervals.current());
            before = Some(&entry.key);
        }
        // Nobody wants to know, but what nobody wants to know is not loaded.
        black_box(seen);
    }

    /// The entry where a hint leads.
    #[inline]
    pub(super) fn hinted(&self, hint: Hint) -> Option<&Entry<K, C::Value>> {
        self.shards.get(hint.shard())?.get_bucket(hint.bucket())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{EncodeKey, KeySpace, snapshot::KeyedState};

    use super::*;
    use crate::cell::Value;

    /// More than is near.
    const KEYS: u64 = 2 * NEAR_BYTES / 24;

    fn table() -> Table<u64, Value<u64>> {
        let mut table = Table::new("test", KeySpace::DEFAULT);
        table.assign(KeySpace::DEFAULT.all());
        for key in 0..KEYS {
            table.insert(key.key_hash(), key, key);
        }
        table
    }

    fn hashes() -> Vec<u64> {
        (0..KEYS).map(|key| key.key_hash()).collect()
    }

    #[test]
    fn almost_all_hints_lead_to_their_keys() {
        let (table, mut hints) = (table(), Vec::new());
        table.look_ahead(&hashes(), &mut hints);
        assert_eq!(hints.len() as u64, KEYS);
        let leads = |(key, hint): &(u64, &Hint)| table.hinted(**hint).is_some_and(|entry| entry.key == *key);
        let right = (0..KEYS).zip(&hints).filter(leads).count() as u64;
        assert!(right * 10 >= KEYS * 9, "{right} of {KEYS}");
    }

    #[test]
    fn hints_that_have_become_wrong_do_no_harm() {
        let (mut table, hashes, mut hints) = (table(), hashes(), Vec::new());
        table.look_ahead(&hashes, &mut hints);
        // Growth moves what stays.
        for key in (0..KEYS).filter(|key| key % 3 == 0) {
            table.remove(key.key_hash(), &key);
        }
        for key in KEYS..KEYS * 3 {
            table.insert(key.key_hash(), key, key);
        }
        for (key, hint) in (0..KEYS).zip(&hints) {
            let expected = (key % 3 != 0).then_some(key);
            assert_eq!(table.get_mut_at(*hint, &key).copied(), expected);
        }
    }

    #[test]
    fn a_hash_of_another_task_has_no_lead() {
        let mut table = Table::<u64, Value<u64>>::new("test", KeySpace::DEFAULT);
        table.assign(KeySpace::DEFAULT.range_of(0, 2));
        let own = |key: &u64| KeySpace::DEFAULT.task_of(KeySpace::DEFAULT.group_of(key.key_hash()), 2) == 0;
        for key in (0..KEYS * 3).filter(own) {
            table.insert(key.key_hash(), key, key);
        }
        let foreign = (0..1000u64).filter(|key| !own(key)).map(|key| key.key_hash());
        let mut hints = Vec::new();
        table.look_ahead(&foreign.collect::<Vec<_>>(), &mut hints);
        assert!(hints.iter().all(|hint| table.hinted(*hint).is_none()));
    }
}

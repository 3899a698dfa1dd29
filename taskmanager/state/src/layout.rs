//! Where a key's hash leads: to a key group, to a shard of it, and to a place in that shard's hash table.
//!
//! A key group is cut into eight shards of *unequal* shares of the key space, the powers of the eighth root of two. Hash
//! tables double when they are full; were all of a job's tables of one size, they would all double at the same number of
//! keys and stand nearly half empty right after. With these shares they double one after another, so the memory per key
//! stays near its mean at any number of keys. Jobs with few key groups get more shards in each, so that no table is ever
//! large enough for its growth to be felt.
//!
//! Bits 16 to 48 of the hash, as a fraction of the key space, choose the key group (see `KeySpace::group_of`); how far
//! into the group the fraction reaches chooses the run of shards, in jobs with few key groups, and the share. The other
//! 32 bits choose the place in the shard's table. Entries keep those, so a table grows without looking at keys.

use tidegate_core::{KeyGroup, KeyGroupRange, KeySpace};

/// A group, or a run of its shards, is made of this many equal parts.
const PARTS: usize = 1 << PART_BITS;

const PART_BITS: u32 = 7;

/// How many of 128 equal parts of the hash space each of a group's eight shards takes.
const WEIGHTS: [usize; SHARES] = [12, 13, 14, 15, 16, 18, 19, 21];

const SHARES: usize = 1 << SHARE_BITS;

const SHARE_BITS: u32 = 3;

/// Which shard takes each of 128 equal parts of the hash space.
const SHARE_OF_PART: [u8; PARTS] = {
    let mut shares = [0; PARTS];
    let (mut share, mut part, mut taken) = (0, 0, 0);
    while part < PARTS {
        if taken == WEIGHTS[share] {
            share += 1;
            taken = 0;
        }
        shares[part] = share as u8;
        taken += 1;
        part += 1;
    }
    shares
};

/// A table has about this many shards in all, or eight per key group if that is more.
const SHARDS_WANTED: u32 = 8192;

/// The sharding of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    space: KeySpace,
    range: KeyGroupRange,
    /// Binary logarithm of the number of runs of eight shards per key group.
    run_bits: u32,
}

/// Where a hash leads within a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The shard, counted over all key groups in order.
    pub(crate) shard: usize,
    /// What entries keep of the hash.
    pub(crate) tail: u32,
}

impl Layout {
    pub(crate) fn new(space: KeySpace, range: KeyGroupRange) -> Self {
        let groups = u32::from(space.max_parallelism());
        let run_bits = (SHARDS_WANTED / SHARES as u32 / groups)
            .checked_ilog2()
            .unwrap_or(0);
        Self {
            space,
            range,
            run_bits,
        }
    }

    /// The place of `hash`. A hash of a key group that the table does not hold leads nowhere: its shard is out of
    /// bounds.
    #[inline]
    pub(crate) fn place(&self, hash: u64) -> Place {
        // The multiplication of `KeySpace::group_of`, for both of its halves.
        let scaled = u64::from((hash >> 16) as u32) * u64::from(self.space.max_parallelism());
        let group = ((scaled >> 32) as u32).wrapping_sub(u32::from(self.range.start)) as usize;
        let part = (scaled as u32 >> (u32::BITS - PART_BITS - self.run_bits)) as usize;
        let (run, part) = (part >> PART_BITS, part & (PARTS - 1));
        Place {
            shard: (((group << self.run_bits) | run) << SHARE_BITS) | usize::from(SHARE_OF_PART[part]),
            tail: hash.rotate_left(16) as u32,
        }
    }

    /// The hash by which a shard's table places an entry with `tail`.
    #[inline]
    pub(crate) fn table_hash(tail: u32) -> u64 {
        u64::from(tail) | (u64::from(tail) << 32)
    }

    /// The group, counted from the first of the range, that a shard is of.
    #[inline]
    pub(crate) fn group_of_shard(&self, shard: usize) -> usize {
        shard >> (SHARE_BITS + self.run_bits)
    }

    /// The shards of a group, counted from the first of the range.
    pub(crate) fn shards_of_group(&self, group: usize) -> std::ops::Range<usize> {
        let each = SHARES << self.run_bits;
        group * each..(group + 1) * each
    }

    pub(crate) fn groups(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn shards(&self) -> usize {
        self.range.len() << (SHARE_BITS + self.run_bits)
    }

    /// The key group with the given place in the range.
    pub(crate) fn key_group(&self, group: usize) -> KeyGroup {
        KeyGroup(self.range.start + u16::try_from(group).unwrap_or(u16::MAX))
    }

    /// The place in the range of a key group, if the table holds it.
    pub(crate) fn index_of(&self, group: KeyGroup) -> Option<usize> {
        self.range
            .contains(group)
            .then(|| usize::from(group.0 - self.range.start))
    }

    pub(crate) fn space(&self) -> KeySpace {
        self.space
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::EncodeKey;

    #[test]
    fn every_key_lands_in_a_shard_of_its_group() {
        for max in [1, 3, 128, 1024, 32768] {
            let space = KeySpace::new(max).unwrap();
            for parallelism in [1, 2, 3].into_iter().filter(|p| *p <= max) {
                let range = space.range_of(u32::from(parallelism) - 1, u32::from(parallelism));
                let layout = Layout::new(space, range);
                for key in 0..10_000u64 {
                    let hash = key.key_hash();
                    let group = space.group_of(hash);
                    let place = layout.place(hash);
                    match layout.index_of(group) {
                        Some(index) => {
                            assert!(layout.shards_of_group(index).contains(&place.shard));
                            assert_eq!(layout.group_of_shard(place.shard), index);
                            assert_eq!(layout.key_group(index), group);
                        }
                        None => assert!(place.shard >= layout.shards()),
                    }
                }
            }
        }
    }

    #[test]
    fn shards_fill_in_proportion_to_their_shares() {
        let layout = Layout::new(KeySpace::DEFAULT, KeySpace::DEFAULT.all());
        let mut counts = [0u32; SHARES];
        for key in 0..1_280_000u64 {
            counts[layout.place(key.key_hash()).shard % SHARES] += 1;
        }
        for (count, share) in counts.into_iter().zip(WEIGHTS) {
            let share = share as u32;
            assert!((share * 9_500..share * 10_500).contains(&count));
        }
    }
}

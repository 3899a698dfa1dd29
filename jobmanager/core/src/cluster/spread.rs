//! Dealing slots to task managers.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

/// A task manager's room, as whoever deals sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    pub(crate) slots: u32,
    pub(crate) used: u32,
    /// Those with a lower rank are filled first.
    pub(crate) rank: u32,
}

impl Room {
    fn free(self) -> u32 {
        self.slots.saturating_sub(self.used)
    }
}

/// A room in the order of filling: lowest rank, then smallest share in use, then lowest index.
#[derive(PartialEq, Eq)]
struct Candidate {
    room: Room,
    index: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let share = |room: Room, of: Room| u64::from(room.used) * u64::from(of.slots);
        self.room
            .rank
            .cmp(&other.room.rank)
            .then_with(|| share(self.room, other.room).cmp(&share(other.room, self.room)))
            .then_with(|| self.index.cmp(&other.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Deals `slots` to rooms; how many each gets by its index, if there are enough.
pub(crate) fn spread(rooms: &[Room], slots: u32) -> Option<BTreeMap<usize, u32>> {
    let free: u64 = rooms.iter().map(|room| u64::from(room.free())).sum();
    if free < u64::from(slots) {
        return None;
    }
    let mut heap: BinaryHeap<Reverse<Candidate>> = rooms
        .iter()
        .enumerate()
        .filter(|(_, room)| room.free() > 0)
        .map(|(index, room)| Reverse(Candidate { room: *room, index }))
        .collect();
    let mut dealt = BTreeMap::new();
    for _ in 0..slots {
        let Reverse(mut next) = heap.pop()?;
        *dealt.entry(next.index).or_insert(0) += 1;
        next.room.used += 1;
        if next.room.free() > 0 {
            heap.push(Reverse(next));
        }
    }
    Some(dealt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(slots: u32, used: u32) -> Room {
        Room { slots, used, rank: 0 }
    }

    fn dealt(rooms: &[Room], slots: u32) -> Vec<u32> {
        let dealt = spread(rooms, slots).unwrap();
        (0..rooms.len())
            .map(|index| dealt.get(&index).copied().unwrap_or(0))
            .collect()
    }

    #[test]
    fn the_emptiest_share_is_filled_first() {
        assert_eq!(dealt(&[room(2, 0), room(2, 0), room(2, 0)], 4), [2, 1, 1]);
        assert_eq!(dealt(&[room(2, 1), room(2, 0)], 2), [1, 1]);
        assert_eq!(dealt(&[room(2, 1), room(2, 0)], 1), [0, 1]);
        assert_eq!(dealt(&[room(8, 0), room(2, 0)], 5), [4, 1]);
        assert_eq!(dealt(&[room(1, 1), room(3, 0)], 3), [0, 3]);
    }

    #[test]
    fn a_worse_rank_is_the_last_resort() {
        let shunned = Room {
            rank: 1,
            ..room(4, 0)
        };
        assert_eq!(dealt(&[shunned, room(4, 3)], 1), [0, 1]);
        assert_eq!(dealt(&[shunned, room(4, 3)], 2), [1, 1]);
    }

    #[test]
    fn all_or_nothing() {
        assert_eq!(spread(&[room(2, 1), room(1, 0)], 3), None);
        assert_eq!(spread(&[], 1), None);
        assert_eq!(spread(&[], 0), Some(BTreeMap::new()));
    }

    proptest! {
        #[test]
        fn shares_end_as_even_as_slots_allow(
            rooms in proptest::collection::vec((1u32..9, 0u32..9), 1..8),
            slots in 0u32..40,
        ) {
            let rooms: Vec<Room> = rooms.into_iter().map(|(slots, used)| room(slots, used.min(slots))).collect();
            let free: u32 = rooms.iter().map(|room| room.free()).sum();
            let Some(dealt) = spread(&rooms, slots) else {
                prop_assert!(slots > free);
                return Ok(());
            };
            prop_assert_eq!(dealt.values().sum::<u32>(), slots);
            for (index, given) in &dealt {
                let used = rooms[*index].used + given;
                prop_assert!(used <= rooms[*index].slots);
                // Whoever got a slot was no fuller before its last one than anybody who still has room.
                for (other, room) in rooms.iter().enumerate() {
                    let others = room.used + dealt.get(&other).copied().unwrap_or(0);
                    if others < room.slots {
                        prop_assert!((used - 1) * room.slots <= others * rooms[*index].slots);
                    }
                }
            }
        }
    }
}

//! Windows of many slices, without merging all of them anew for every window.
//!
//! Per key, the slices of the current window are a queue: new ones come at its end, old ones leave at its front. The
//! merge of a queue whose values can be merged but not taken out again is kept with two stacks (Tangwongsan, Hirzel,
//! Schneider, "Low-latency sliding-window aggregation in worst-case constant time", DEBS 2017, section 3): the *back* is
//! one merged value of all slices that came since the last turn; the *front* holds, for each older slice, the merge of
//! it and all that follow up to the turn. The whole is one merge of the front's first with the back. When the front has
//! run out, it is made anew from the slices of the back. That is three merges per slice and key in all, whatever the
//! number of slices per window.
//!
//! ```text
//!   slices     a     b     c   │   d     e
//!   front    abc    bc     c   │            the first is all that is left of the front
//!   back                       │  de
//! ```
//!
//! All of this is derived from the slices, which are what is kept: it is built anew when it is missed, and never part of
//! a snapshot.

use hashbrown::{HashTable, hash_table};
use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::Key;
use tidegate_state::{Row, SlicedTable, Value};

use super::contents::WindowContents;

/// From so many slices per window on it pays to keep merged ones.
pub(super) const MANY_SLICES: i64 = 8;

/// The state that it is derived from.
type Slices<K, V> = SlicedTable<K, Value<V>>;

/// The keys of a key group.
pub(super) struct RunningGroup<K, V> {
    group: usize,
    /// Slices up to here are in the queues.
    through: i64,
    keys: HashTable<RunningKey<K, V>>,
    /// The keys of the window that is firing, by tail and bucket.
    order: Vec<(u32, u32)>,
    next: usize,
    rows: Vec<Row>,
}

/// One key and its queue.
struct RunningKey<K, V> {
    key: K,
    tail: u32,
    queue: Queue<V>,
}

/// The slices of a key in the current window.
struct Queue<V> {
    /// A slice has changed that is in the queue.
    is_stale: bool,
    /// Last first: the ends of slices, and the merge of each with all that follow up to the turn.
    front: Vec<(i64, V)>,
    /// The ends of the slices since the turn.
    back_ends: Vec<i64>,
    back: Option<V>,
}

impl<V> Queue<V> {
    fn new() -> Self {
        Self {
            is_stale: false,
            front: Vec::new(),
            back_ends: Vec::new(),
            back: None,
        }
    }
}

fn table_hash(tail: u32) -> u64 {
    u64::from(tail) | (u64::from(tail) << 32)
}

impl<K: Key, V: Serialize + DeserializeOwned + Send + 'static> RunningGroup<K, V> {
    /// A key group of which nothing is known.
    pub(super) fn new(group: usize) -> Self {
        Self {
            group,
            through: i64::MIN,
            keys: HashTable::new(),
            order: Vec::new(),
            next: 0,
            rows: Vec::new(),
        }
    }

    /// A key has changed in a slice that may be in its queue.
    pub(super) fn note_change(&mut self, slice_end: i64, tail: u32, key: &K) {
        if slice_end > self.through {
            return;
        }
        let found = self.keys.entry(
            table_hash(tail),
            |running| running.key == *key,
            |running| table_hash(running.tail),
        );
        let running = match found {
            hash_table::Entry::Occupied(occupied) => occupied.into_mut(),
            hash_table::Entry::Vacant(vacant) => vacant
                .insert(RunningKey {
                    key: key.clone(),
                    tail,
                    queue: Queue::new(),
                })
                .into_mut(),
        };
        running.queue.is_stale = true;
    }

    /// Brings the queues to the window from `start` to `end` and lays out its keys, those up to the tail `within` left
    /// out.
    pub(super) fn begin<T, C>(
        &mut self,
        (start, end): (i64, i64),
        within: Option<u32>,
        slices: &Slices<K, V>,
        contents: &C,
    ) where
        C: WindowContents<K, T, Value = V>,
    {
        if self.through <= start {
            // None of the slices in the queues is in the window.
            self.keys.clear();
            self.through = start;
        }
        self.rows.clear();
        slices.rows(self.group, self.through, end, &mut self.rows);
        for row in &self.rows {
            let (key, value) = slices.at(self.group, *row);
            let found = self.keys.entry(
                table_hash(row.tail()),
                |running| running.key == *key,
                |running| table_hash(running.tail),
            );
            let queue = match found {
                hash_table::Entry::Occupied(occupied) => &mut occupied.into_mut().queue,
                hash_table::Entry::Vacant(vacant) => {
                    let running = RunningKey {
                        key: key.clone(),
                        tail: row.tail(),
                        queue: Queue::new(),
                    };
                    &mut vacant.insert(running).into_mut().queue
                }
            };
            if !queue.is_stale {
                push(queue, slices.end_of(*row), value, contents);
            }
        }
        self.through = end;
        self.order.clear();
        self.next = 0;
        self.order
            .extend((0..self.keys.num_buckets()).filter_map(|bucket| {
                let running = self.keys.get_bucket(bucket)?;
                Some((running.tail, bucket as u32))
            }));
        self.order.sort_unstable();
        if let Some(within) = within {
            self.next = self.order.partition_point(|(tail, _)| *tail <= within);
        }
    }

    /// How many keys the window that is firing has.
    pub(super) fn keys(&self) -> usize {
        self.order.len()
    }

    /// The tail of the key that comes next.
    pub(super) fn next_tail(&self) -> Option<u32> {
        self.order.get(self.next).map(|(tail, _)| *tail)
    }

    /// Shows the next key and the parts of its window to `then`, unless nothing of it is left in the window.
    pub(super) fn advance<T, C, E>(
        &mut self,
        (start, end): (i64, i64),
        slices: &Slices<K, V>,
        contents: &C,
        then: impl FnOnce(&K, &[&V]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        C: WindowContents<K, T, Value = V>,
    {
        let Some((tail, bucket)) = self.order.get(self.next).copied() else {
            return Ok(());
        };
        self.next += 1;
        let place = (self.group, tail);
        let Ok(mut found) = self.keys.get_bucket_entry(bucket as usize) else {
            return Ok(());
        };
        let RunningKey { key, queue, .. } = found.get_mut();
        if queue.is_stale {
            *queue = rebuilt((start, end), place, key, slices, contents);
        }
        evict(queue, start, place, key, slices, contents);
        match (queue.front.last(), &queue.back) {
            (Some((_, front)), Some(back)) => then(key, &[front, back]),
            (Some((_, only)), None) | (None, Some(only)) => then(key, &[only]),
            (None, None) => {
                found.remove();
                Ok(())
            }
        }
    }
}

/// Adds a slice at the end.
fn push<K: Key, T, C: WindowContents<K, T>>(
    queue: &mut Queue<C::Value>,
    end: i64,
    value: &C::Value,
    contents: &C,
) {
    let Some(copy) = contents.copy(value) else {
        return;
    };
    queue.back_ends.push(end);
    match &mut queue.back {
        Some(back) => contents.merge(back, copy),
        back => *back = Some(copy),
    }
}

/// Lets the slices go that end at `start` or before.
fn evict<K: Key, T, C: WindowContents<K, T>>(
    queue: &mut Queue<C::Value>,
    start: i64,
    place: (usize, u32),
    key: &K,
    slices: &Slices<K, C::Value>,
    contents: &C,
) {
    while queue.front.last().is_some_and(|(end, _)| *end <= start) {
        queue.front.pop();
    }
    if queue.back_ends.first().is_none_or(|end| *end > start) {
        return;
    }
    // Slices leave in order: those of the front are all gone, and the back takes its place.
    queue.back = None;
    for end in queue.back_ends.drain(..).rev().take_while(|end| *end > start) {
        let value = slices
            .find(end)
            .and_then(|slice| slices.get_placed(slice, place, key));
        let Some(mut merged) = value.and_then(|value| contents.copy(value)) else {
            continue;
        };
        if let Some(later) = queue.front.last().and_then(|(_, later)| contents.copy(later)) {
            contents.merge(&mut merged, later);
        }
        queue.front.push((end, merged));
    }
}

/// The queue of a key, from its slices.
fn rebuilt<K: Key, T, C: WindowContents<K, T>>(
    (start, end): (i64, i64),
    place: (usize, u32),
    key: &K,
    slices: &Slices<K, C::Value>,
    contents: &C,
) -> Queue<C::Value> {
    let mut queue = Queue::new();
    let mut after = start;
    while let Some(slice_end) = slices.first_after(after).filter(|slice_end| *slice_end <= end) {
        after = slice_end;
        let slice = slices.find(slice_end);
        if let Some(value) = slice.and_then(|slice| slices.get_placed(slice, place, key)) {
            push(&mut queue, slice_end, value, contents);
        }
    }
    queue
}

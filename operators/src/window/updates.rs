//! Results that late records have changed: one for each key and window of a batch.

use std::collections::VecDeque;

/// A result that has to be emitted again.
pub(super) struct Update<K> {
    /// The end of the window.
    pub(super) end: i64,
    pub(super) hash: u64,
    pub(super) key: K,
}

/// The results that the records of a batch have changed.
pub(super) struct Updates<K> {
    /// Slices and keys that have changed, record by record.
    noted: Vec<(i64, u64, K)>,
    /// What has to be emitted, in the order of windows.
    pending: VecDeque<Update<K>>,
}

impl<K> Default for Updates<K> {
    fn default() -> Self {
        Self {
            noted: Vec::new(),
            pending: VecDeque::new(),
        }
    }
}

impl<K: Eq + Clone> Updates<K> {
    /// Notes that a key has changed in a slice.
    pub(super) fn note(&mut self, slice_end: i64, hash: u64, key: K) {
        let is_known = self
            .noted
            .last()
            .is_some_and(|last| last.0 == slice_end && last.2 == key);
        if !is_known {
            self.noted.push((slice_end, hash, key));
        }
    }

    /// Whether nothing has been noted.
    pub(super) fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// Makes updates of what has been noted; `windows` says which windows of a slice are concerned, by their ends.
    pub(super) fn gather<W: Iterator<Item = i64>>(&mut self, windows: impl Fn(i64) -> W) {
        let mut updates: Vec<Update<K>> = Vec::new();
        for (slice_end, hash, key) in self.noted.drain(..) {
            updates.extend(windows(slice_end).map(|end| Update {
                end,
                hash,
                key: key.clone(),
            }));
        }
        updates.sort_by_key(|update| (update.end, update.hash));
        // Keys with one hash are rare: they may come twice if they alternate, with the same result.
        updates.dedup_by(|a, b| (a.end, a.hash) == (b.end, b.hash) && a.key == b.key);
        self.pending = updates.into();
    }

    /// Whether no update waits.
    pub(super) fn are_emitted(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes the next update.
    pub(super) fn next(&mut self) -> Option<Update<K>> {
        self.pending.pop_front()
    }
}

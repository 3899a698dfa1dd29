//! What a claimed checkpoint changes: from now on changes are measured from it.

use tidegate_core::{CheckpointId, Key};

use super::Table;
use crate::cell::Cell;

impl<K: Key, C: Cell> Table<K, C> {
    /// Takes note that a checkpoint is claimed, from whichever side the news came. Tombstones that it made needless go
    /// when the next scan comes by.
    pub(super) fn note_claimed(&mut self, checkpoint: CheckpointId) {
        let last = self.intervals.last_frozen_checkpoint();
        if !self.intervals.claim(checkpoint) {
            return;
        }
        for (written, bases) in &self.pending_bases {
            if *written == checkpoint {
                for index in bases {
                    self.groups[*index].has_base = true;
                }
            }
        }
        self.pending_bases.retain(|(written, _)| *written > checkpoint);
        if last == Some(checkpoint) {
            for group in &mut self.groups {
                group.unclaimed = 0;
            }
        }
    }
}

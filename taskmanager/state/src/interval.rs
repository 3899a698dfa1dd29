//! Checkpoint intervals: the local clock by which entries are stamped.

use tidegate_core::CheckpointId;

/// The interval in which something was last written. Rises by one with every freeze of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Stamp(u32);

impl Stamp {
    /// What has been loaded from a snapshot.
    pub const LOADED: Self = Self(0);
}

/// What a value that keeps stamps of its own has to know about time when it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The interval that writes belong to now.
    pub current: Stamp,
    /// Nothing up to here needs to be told apart any more: a claimed checkpoint holds it.
    pub claimed: Stamp,
}

/// Which intervals belong to which checkpoint.
#[derive(Debug)]
pub(crate) struct Intervals {
    current: Stamp,
    /// Freezes since the last claimed checkpoint, itself included, oldest first.
    frozen: Vec<(CheckpointId, Stamp)>,
    claimed: Option<CheckpointId>,
}

impl Intervals {
    pub(crate) fn new() -> Self {
        Self {
            current: Stamp(1),
            frozen: Vec::new(),
            claimed: None,
        }
    }

    #[inline]
    pub(crate) fn current(&self) -> Stamp {
        self.current
    }

    /// The last interval that a claimed checkpoint is known to hold.
    pub(crate) fn claimed(&self) -> Option<Stamp> {
        self.claimed.and_then(|checkpoint| self.stamp_of(checkpoint))
    }

    /// Whether some checkpoint may yet be claimed that holds what has been written so far.
    pub(crate) fn is_any_pending(&self) -> bool {
        self.frozen
            .iter()
            .any(|(checkpoint, _)| Some(*checkpoint) > self.claimed)
    }

    fn stamp_of(&self, checkpoint: CheckpointId) -> Option<Stamp> {
        self.frozen
            .iter()
            .find_map(|(frozen, stamp)| (*frozen == checkpoint).then_some(*stamp))
    }

    /// The interval that ended with the last freeze, claimed or not.
    pub(crate) fn last_frozen(&self) -> Option<Stamp> {
        self.frozen.last().map(|(_, stamp)| *stamp)
    }

    /// The last checkpoint that was frozen, claimed or not.
    pub(crate) fn last_frozen_checkpoint(&self) -> Option<CheckpointId> {
        self.frozen.last().map(|(checkpoint, _)| *checkpoint)
    }

    /// The last claimed interval, if it is that of `since` or a later one. A later one is as good: a restore replays
    /// it, too.
    pub(crate) fn claimed_since(&self, since: CheckpointId) -> Option<Stamp> {
        self.claimed
            .filter(|claimed| *claimed >= since)
            .and_then(|claimed| self.stamp_of(claimed))
    }

    /// Closes the current interval and returns its stamp.
    pub(crate) fn freeze(&mut self, checkpoint: CheckpointId) -> Stamp {
        let stamp = self.current;
        self.frozen.push((checkpoint, stamp));
        self.current = Stamp(stamp.0.saturating_add(1));
        stamp
    }

    /// Takes note that a checkpoint is claimed. Says whether that was news.
    pub(crate) fn claim(&mut self, checkpoint: CheckpointId) -> bool {
        let known = self.frozen.iter().any(|(frozen, _)| *frozen == checkpoint);
        if !known || self.claimed >= Some(checkpoint) {
            return false;
        }
        self.claimed = Some(checkpoint);
        self.frozen.retain(|(frozen, _)| *frozen >= checkpoint);
        true
    }

    /// Everything loaded so far belongs to `checkpoint`, which is claimed.
    pub(crate) fn restored(&mut self, checkpoint: CheckpointId) {
        self.frozen = vec![(checkpoint, Stamp::LOADED)];
        self.claimed = Some(checkpoint);
    }
}

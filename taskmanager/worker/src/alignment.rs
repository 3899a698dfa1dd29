//! Barrier alignment of one task: which channels must wait, and when the task may take its snapshot.
//!
//! A pure state machine over the task's input channels (Carbone et al. 2015, "Lightweight Asynchronous Snapshots for
//! Distributed Dataflows", section 4.2). A channel whose barrier has come is not polled until the barrier has come on
//! all others; a channel that has ended counts as aligned for good.

use tidegate_core::{
    Barrier, CheckpointId,
    bug::{Bug, is_seeded},
};

/// What has come on one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Channel {
    /// Neither the pending barrier nor the end.
    Open,
    /// The pending barrier: not polled until the alignment is over.
    Arrived,
    /// Its end.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No barrier is pending.
    Idle,
    /// Waiting for a barrier's last channel.
    Aligning { barrier: Barrier, since_us: u64 },
}

/// What the task does about a barrier, an end or an abort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Verdict {
    /// Goes on with whatever channels are not blocked.
    Continue,
    /// Takes its snapshot now; all channels are unblocked.
    Snapshot {
        /// The barrier that has come everywhere.
        barrier: Barrier,
        /// How long the first channel waited for the last.
        alignment_us: u64,
    },
}

/// The alignment of one task.
#[derive(Debug)]
pub(crate) struct Alignment {
    channels: Vec<Channel>,
    state: State,
    /// The newest checkpoint that is over: aligned, aborted or superseded. Its barriers and older ones are obsolete.
    over: CheckpointId,
}

impl Alignment {
    /// No channel has said anything. `restored` is the checkpoint the task was restored from, if any.
    pub(crate) fn new(channels: usize, restored: CheckpointId) -> Self {
        Self {
            channels: vec![Channel::Open; channels],
            state: State::Idle,
            over: restored,
        }
    }

    /// Whether a channel must not be polled now.
    pub(crate) fn is_blocked(&self, channel: usize) -> bool {
        self.channels[channel] != Channel::Open
    }

    /// Whether all channels have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.channels.iter().all(|channel| *channel == Channel::Ended)
    }

    /// The channels on which neither a barrier that is pending nor the end has come.
    pub(crate) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let channels = self.channels.iter().enumerate();
        channels
            .filter(|(_, channel)| **channel == Channel::Open)
            .map(|(place, _)| place)
    }

    /// Whether a trigger for `checkpoint` still has to be acted upon by a task whose inputs have all ended.
    pub(crate) fn is_new(&self, checkpoint: CheckpointId) -> bool {
        checkpoint > self.over
    }

    /// The task has taken its snapshot without a barrier, because all its inputs have ended.
    pub(crate) fn snapshot_taken(&mut self, checkpoint: CheckpointId) {
        self.over = self.over.max(checkpoint);
    }

    /// A barrier has come on a channel.
    pub(crate) fn on_barrier(&mut self, channel: usize, barrier: Barrier, now_us: u64) -> Verdict {
        if barrier.checkpoint <= self.over {
            return Verdict::Continue;
        }
        match self.state {
            State::Aligning { barrier: pending, .. } if barrier.checkpoint < pending.checkpoint => {
                // Obsolete: a newer one is pending. The channel stays open for it.
                return Verdict::Continue;
            }
            State::Aligning { barrier: pending, .. } if barrier.checkpoint == pending.checkpoint => {}
            State::Aligning { barrier: pending, .. } => {
                // Newer: the pending alignment is given up and its channels are unblocked.
                self.unblock(pending.checkpoint);
                self.state = State::Aligning {
                    barrier,
                    since_us: now_us,
                };
            }
            State::Idle => {
                self.state = State::Aligning {
                    barrier,
                    since_us: now_us,
                }
            }
        }
        if self.channels[channel] == Channel::Open {
            self.channels[channel] = Channel::Arrived;
        }
        if is_seeded(Bug::SkipAlignment) {
            self.unblock(barrier.checkpoint);
            return Verdict::Snapshot {
                barrier,
                alignment_us: 0,
            };
        }
        self.conclude(now_us)
    }

    /// A channel has ended.
    pub(crate) fn on_end(&mut self, channel: usize, now_us: u64) -> Verdict {
        self.channels[channel] = Channel::Ended;
        self.conclude(now_us)
    }

    /// A checkpoint has been given up.
    pub(crate) fn on_abort(&mut self, checkpoint: CheckpointId) {
        match self.state {
            State::Aligning { barrier, .. } if barrier.checkpoint <= checkpoint => self.unblock(checkpoint),
            State::Aligning { .. } | State::Idle => self.over = self.over.max(checkpoint),
        }
    }

    fn conclude(&mut self, now_us: u64) -> Verdict {
        let State::Aligning { barrier, since_us } = self.state else {
            return Verdict::Continue;
        };
        if self.channels.contains(&Channel::Open) {
            return Verdict::Continue;
        }
        self.unblock(barrier.checkpoint);
        Verdict::Snapshot {
            barrier,
            alignment_us: now_us.saturating_sub(since_us),
        }
    }

    fn unblock(&mut self, over: CheckpointId) {
        self.state = State::Idle;
        self.over = self.over.max(over);
        for channel in &mut self.channels {
            if *channel == Channel::Arrived {
                *channel = Channel::Open;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_core::BarrierKind;

    use super::*;

    fn barrier(checkpoint: u64) -> Barrier {
        Barrier {
            checkpoint: CheckpointId(checkpoint),
            since: None,
            kind: BarrierKind::Checkpoint,
        }
    }

    fn alignment(channels: usize) -> Alignment {
        Alignment::new(channels, CheckpointId(0))
    }

    fn snapshot(checkpoint: u64, alignment_us: u64) -> Verdict {
        Verdict::Snapshot {
            barrier: barrier(checkpoint),
            alignment_us,
        }
    }

    #[test]
    fn one_channel_needs_no_alignment() {
        assert_eq!(alignment(1).on_barrier(0, barrier(1), 5), snapshot(1, 0));
    }

    #[test]
    fn the_first_channel_waits_for_the_last() {
        let mut alignment = alignment(3);
        assert_eq!(alignment.on_barrier(1, barrier(1), 10), Verdict::Continue);
        assert_eq!([0, 1, 2].map(|c| alignment.is_blocked(c)), [false, true, false]);
        assert_eq!(alignment.open().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(alignment.on_barrier(0, barrier(1), 20), Verdict::Continue);
        assert_eq!(alignment.on_barrier(2, barrier(1), 40), snapshot(1, 30));
        assert_eq!([0, 1, 2].map(|c| alignment.is_blocked(c)), [false; 3]);
    }

    #[test]
    fn the_end_of_a_channel_counts_as_aligned() {
        let mut alignment = alignment(2);
        assert_eq!(alignment.on_barrier(0, barrier(1), 0), Verdict::Continue);
        assert_eq!(alignment.on_end(1, 7), snapshot(1, 7));
        assert_eq!(alignment.on_barrier(0, barrier(2), 9), snapshot(2, 0));
        assert!(!alignment.has_ended());
        assert_eq!(alignment.on_end(0, 9), Verdict::Continue);
        assert!(alignment.has_ended());
    }

    #[test]
    fn a_newer_barrier_supersedes_and_unblocks() {
        let mut alignment = alignment(3);
        assert_eq!(alignment.on_barrier(0, barrier(1), 0), Verdict::Continue);
        assert_eq!(alignment.on_barrier(1, barrier(2), 0), Verdict::Continue);
        assert_eq!([0, 1, 2].map(|c| alignment.is_blocked(c)), [false, true, false]);
        assert_eq!(alignment.on_barrier(0, barrier(2), 0), Verdict::Continue);
        assert_eq!(alignment.on_barrier(2, barrier(2), 0), snapshot(2, 0));
    }

    #[test]
    fn an_obsolete_barrier_leaves_its_channel_open() {
        let mut alignment = alignment(2);
        assert_eq!(alignment.on_barrier(0, barrier(2), 0), Verdict::Continue);
        assert_eq!(alignment.on_barrier(1, barrier(1), 0), Verdict::Continue);
        assert!(!alignment.is_blocked(1));
        assert_eq!(alignment.on_barrier(1, barrier(2), 0), snapshot(2, 0));
        assert_eq!(alignment.on_barrier(0, barrier(2), 0), Verdict::Continue);
        assert!(!alignment.is_blocked(0));
    }

    #[test]
    fn an_abort_unblocks_and_its_late_barriers_are_obsolete() {
        let mut alignment = alignment(2);
        assert_eq!(alignment.on_barrier(0, barrier(1), 0), Verdict::Continue);
        alignment.on_abort(CheckpointId(1));
        assert!(!alignment.is_blocked(0));
        assert_eq!(alignment.on_barrier(1, barrier(1), 0), Verdict::Continue);
        assert!(!alignment.is_blocked(1));
        assert_eq!(alignment.on_barrier(0, barrier(2), 0), Verdict::Continue);
        assert_eq!(alignment.on_barrier(1, barrier(2), 0), snapshot(2, 0));
    }

    #[test]
    fn a_restored_task_ignores_barriers_of_its_past() {
        let mut alignment = Alignment::new(1, CheckpointId(7));
        assert_eq!(alignment.on_barrier(0, barrier(7), 0), Verdict::Continue);
        assert!(!alignment.is_new(CheckpointId(7)) && alignment.is_new(CheckpointId(8)));
    }

    proptest! {
        /// Whatever the order of channels: each checkpoint is taken at most once and in rising order, and when every
        /// channel has delivered everything, no channel is left blocked.
        #[test]
        fn any_interleaving_terminates(
            channels in 1usize..5,
            checkpoints in 1u64..6,
            picks in prop::collection::vec((0usize..5, 0u8..12), 0..80),
        ) {
            let mut alignment = alignment(channels);
            // Every channel carries barriers 1..=n, then its end; it may be polled only when it is not blocked.
            let mut sent = vec![0u64; channels];
            let mut taken = Vec::new();
            let step = |alignment: &mut Alignment, sent: &mut Vec<u64>, taken: &mut Vec<u64>, channel: usize| {
                if alignment.is_blocked(channel) || sent[channel] > checkpoints {
                    return false;
                }
                sent[channel] += 1;
                let verdict = if sent[channel] > checkpoints {
                    alignment.on_end(channel, 0)
                } else {
                    alignment.on_barrier(channel, barrier(sent[channel]), 0)
                };
                if let Verdict::Snapshot { barrier, .. } = verdict {
                    taken.push(barrier.checkpoint.0);
                }
                true
            };
            let mut aborted = Vec::new();
            for (pick, chance) in picks {
                if chance == 0 {
                    let checkpoint = pick as u64 + 1;
                    aborted.push(checkpoint);
                    alignment.on_abort(CheckpointId(checkpoint));
                } else {
                    step(&mut alignment, &mut sent, &mut taken, pick % channels);
                }
            }
            while (0..channels).any(|channel| step(&mut alignment, &mut sent, &mut taken, channel)) {}
            prop_assert!(alignment.has_ended());
            prop_assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
            let last_abort = aborted.iter().copied().max().unwrap_or(0);
            for checkpoint in last_abort + 1..=checkpoints {
                prop_assert!(taken.contains(&checkpoint), "checkpoint {} was lost", checkpoint);
            }
        }
    }
}

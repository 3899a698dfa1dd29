//! The watermark of a task: the minimum over its input channels that have something to say.

use tidegate_core::{
    EventTime,
    bug::{Bug, is_seeded},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Channel {
    Active(EventTime),
    /// Says nothing for a while and holds nobody back.
    Idle(EventTime),
    Ended,
}

/// What changed for the task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Change {
    /// Nothing to tell downstream.
    None,
    /// Event time has come further; or the task was idle and is not any more, and says its watermark again.
    Watermark(EventTime),
    /// All channels that have not ended are idle now.
    Idle,
}

/// Merges the watermarks of a task's input channels. The merged watermark never regresses, also not below a restored
/// one.
#[derive(Debug)]
pub(crate) struct Watermarks {
    channels: Vec<Channel>,
    merged: EventTime,
    idle: bool,
}

impl Watermarks {
    /// The channels of a task whose watermark had come to `restored`, where they go on.
    pub(crate) fn new(channels: usize, restored: EventTime) -> Self {
        Self {
            channels: vec![Channel::Active(restored); channels],
            merged: restored,
            idle: false,
        }
    }

    /// The task's watermark.
    pub(crate) fn merged(&self) -> EventTime {
        self.merged
    }

    /// A channel's watermark has come. It makes an idle channel active again.
    pub(crate) fn on_watermark(&mut self, channel: usize, watermark: EventTime) -> Change {
        let before = match self.channels[channel] {
            Channel::Active(time) | Channel::Idle(time) => time,
            Channel::Ended => EventTime::MAX,
        };
        self.channels[channel] = Channel::Active(before.max(watermark));
        self.merge()
    }

    /// A channel has gone idle.
    pub(crate) fn on_idle(&mut self, channel: usize) -> Change {
        if let Channel::Active(time) = self.channels[channel] {
            self.channels[channel] = Channel::Idle(time);
        }
        self.merge()
    }

    /// Records have come on a channel: it is not idle any more, and neither is the task, which says so before it passes
    /// anything on.
    pub(crate) fn on_records(&mut self, channel: usize) -> Change {
        let Channel::Idle(time) = self.channels[channel] else {
            return Change::None;
        };
        self.channels[channel] = Channel::Active(time);
        self.merge()
    }

    /// The channel that holds the watermark where it is, if one does.
    pub(crate) fn held_by(&self) -> Option<usize> {
        let active = self.channels.iter().enumerate();
        active
            .filter_map(|(place, channel)| match channel {
                Channel::Active(time) => Some((*time, place)),
                Channel::Idle(_) | Channel::Ended => None,
            })
            .min()
            .map(|(_, place)| place)
    }

    /// A channel has ended.
    pub(crate) fn on_end(&mut self, channel: usize) -> Change {
        self.channels[channel] = Channel::Ended;
        self.merge()
    }

    fn has_idle_channel(&self) -> bool {
        let mut channels = self.channels.iter();
        channels.any(|channel| matches!(channel, Channel::Idle(_)))
    }

    fn merge(&mut self) -> Change {
        let active = self.channels.iter().filter_map(|channel| match channel {
            Channel::Active(time) => Some(*time),
            Channel::Idle(time) => is_seeded(Bug::IdleSplitHolds).then_some(*time),
            Channel::Ended => None,
        });
        // That all who speak have come to their end does not end those that are silent: their records are not late.
        let is_over_for_some = |least| least == EventTime::MAX && self.has_idle_channel();
        match active.min().filter(|least| !is_over_for_some(*least)) {
            Some(least) => {
                let was_idle = std::mem::take(&mut self.idle);
                if least <= self.merged && !was_idle {
                    return Change::None;
                }
                self.merged = self.merged.max(least);
                Change::Watermark(self.merged)
            }
            // The final watermark is the task's own affair, when it ends.
            None if self.channels.iter().all(|channel| *channel == Channel::Ended) => Change::None,
            None if self.idle => Change::None,
            None => {
                self.idle = true;
                Change::Idle
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Said {
        Watermark(i64),
        Idle,
        Records,
        End,
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            4 => (0i64..100).prop_map(Said::Watermark),
            1 => Just(Said::Idle),
            2 => Just(Said::Records),
            1 => Just(Said::End),
        ]
    }

    proptest! {
        /// Whatever channels say, what the task says rises; it is never above a channel that was active all along; and
        /// after it has said that it is idle, the next it says is a watermark.
        #[test]
        fn what_a_task_says_rises_and_keeps_behind_its_active_channels(
            lives in prop::collection::vec((0usize..3, said()), 0..60), restored in 0i64..30,
        ) {
            let mut marks = Watermarks::new(3, T(restored));
            let mut least = [Some(restored); 3];
            let mut ended = [false; 3];
            let (mut last, mut idle) = (restored, false);
            for (channel, said) in lives {
                if ended[channel] {
                    continue;
                }
                let change = match said {
                    Said::Watermark(time) => {
                        least[channel] = least[channel].map(|known| known.max(time));
                        marks.on_watermark(channel, T(time))
                    }
                    Said::Idle => {
                        // Its promise is void from here on: nothing is held to it any more.
                        least[channel] = None;
                        marks.on_idle(channel)
                    }
                    Said::Records => marks.on_records(channel),
                    Said::End => {
                        (least[channel], ended[channel]) = (None, true);
                        marks.on_end(channel)
                    }
                };
                match change {
                    Change::None => {}
                    Change::Idle => {
                        prop_assert!(!idle);
                        idle = true;
                    }
                    Change::Watermark(time) => {
                        prop_assert!(time.0 > last || idle, "{time} said again");
                        prop_assert!(time.0 >= last);
                        (last, idle) = (time.0, false);
                    }
                }
                let bound = least.iter().flatten().min().copied().unwrap_or(i64::MAX);
                prop_assert!(last <= bound);
                prop_assert_eq!(marks.merged(), T(last));
            }
        }
    }

    const T: fn(i64) -> EventTime = EventTime;

    #[test]
    fn the_slowest_active_channel_decides() {
        let mut marks = Watermarks::new(2, EventTime::MIN);
        assert_eq!(marks.on_watermark(0, T(10)), Change::None);
        assert_eq!(marks.on_watermark(1, T(5)), Change::Watermark(T(5)));
        assert_eq!(marks.on_watermark(1, T(20)), Change::Watermark(T(10)));
    }

    #[test]
    fn an_idle_or_ended_channel_holds_nobody_back() {
        let mut marks = Watermarks::new(3, EventTime::MIN);
        assert_eq!(marks.on_watermark(0, T(10)), Change::None);
        assert_eq!(marks.on_idle(1), Change::None);
        assert_eq!(marks.on_end(2), Change::Watermark(T(10)));
        assert_eq!(marks.on_idle(0), Change::Idle);
        assert_eq!(marks.on_records(0), Change::Watermark(T(10)));
        assert_eq!(marks.on_records(0), Change::None);
        assert_eq!(marks.on_watermark(0, T(11)), Change::Watermark(T(11)));
    }

    #[test]
    fn the_end_of_some_is_not_the_end_while_others_are_idle() {
        let mut marks = Watermarks::new(3, EventTime::MIN);
        for channel in 0..3 {
            let _ = marks.on_watermark(channel, T(10));
        }
        assert_eq!(marks.on_idle(2), Change::None);
        assert_eq!(marks.on_watermark(0, EventTime::MAX), Change::None);
        assert_eq!(marks.on_end(0), Change::None);
        assert_eq!(marks.on_watermark(1, EventTime::MAX), Change::Idle);
        assert_eq!(marks.on_end(1), Change::None);
        assert_eq!(marks.on_records(2), Change::Watermark(T(10)));
        assert_eq!(marks.on_watermark(2, T(20)), Change::Watermark(T(20)));
        assert_eq!(
            marks.on_watermark(2, EventTime::MAX),
            Change::Watermark(EventTime::MAX)
        );
    }

    #[test]
    fn a_channel_that_comes_back_from_idleness_behind_holds_without_pulling_back() {
        let mut marks = Watermarks::new(2, EventTime::MIN);
        let _ = (marks.on_watermark(0, T(5)), marks.on_watermark(1, T(30)));
        assert_eq!(marks.on_idle(0), Change::Watermark(T(30)));
        assert_eq!(marks.on_watermark(0, T(6)), Change::None);
        assert_eq!(marks.on_watermark(1, T(50)), Change::None);
        assert_eq!(marks.held_by(), Some(0));
        assert_eq!(marks.on_watermark(0, T(40)), Change::Watermark(T(40)));
    }

    #[test]
    fn a_repeated_watermark_ends_idleness() {
        let mut marks = Watermarks::new(1, EventTime::MIN);
        let _ = marks.on_watermark(0, T(5));
        assert_eq!(marks.on_idle(0), Change::Idle);
        assert_eq!(marks.on_watermark(0, T(5)), Change::Watermark(T(5)));
        assert_eq!(marks.on_watermark(0, T(5)), Change::None);
    }

    #[test]
    fn it_never_regresses_also_not_below_a_restored_one() {
        let mut marks = Watermarks::new(2, T(100));
        assert_eq!(marks.on_watermark(0, T(50)), Change::None);
        assert_eq!(marks.on_watermark(1, T(90)), Change::None);
        assert_eq!(marks.on_watermark(1, T(150)), Change::None);
        assert_eq!(marks.on_watermark(0, T(120)), Change::Watermark(T(120)));
        assert_eq!(marks.on_watermark(0, T(30)), Change::None);
        assert_eq!(marks.merged(), T(120));
    }
}

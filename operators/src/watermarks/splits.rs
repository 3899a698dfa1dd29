//! The watermark of a task that assigns watermarks: the minimum over what it reads from.

use std::{collections::BTreeMap, time::Duration};

use tidegate_core::{
    EventTime,
    bug::{Bug, is_seeded},
    metrics::WatermarkHolder,
};

/// What there is to tell downstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Change {
    None,
    /// Event time has come this far; also said again, when it is no news, to end idleness.
    Watermark(EventTime),
    /// Nothing that is left to read has given anything for a while.
    Idle,
}

/// How far the reading of a part has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Nobody has looked into it: it holds the watermark back.
    Unread,
    /// Has given something, or has begun to be read, when the idle clock stood here.
    Active { since: Duration },
    /// Has given nothing for a while.
    Idle,
    /// Has been read to its end.
    Ended,
}

/// A split, or the whole input where there are none.
#[derive(Debug)]
pub(super) struct Part<G> {
    pub(super) generator: G,
    pub(super) watermark: EventTime,
    pub(super) status: Status,
}

/// What a task reads from.
#[derive(Debug)]
enum Input<G> {
    /// Nothing is known of splits.
    Whole(Part<G>),
    Split {
        parts: BTreeMap<u32, Part<G>>,
        /// The one that records come from; `None` until the reader has said so.
        reading: Option<u32>,
    },
}

/// The parts of a task's input, each with a generator of type `G`, and how far the watermark has come. It never
/// regresses.
#[derive(Debug)]
pub(super) struct Splits<G> {
    input: Input<G>,
    emitted: EventTime,
    idle: bool,
    idle_after: Option<Duration>,
}

impl<G> Splits<G> {
    /// An input of which no splits are known, of a task whose watermark had come to `emitted`.
    pub(super) fn new(whole: Part<G>, emitted: EventTime, idle_after: Option<Duration>) -> Self {
        Self {
            input: Input::Whole(whole),
            emitted,
            idle: false,
            idle_after,
        }
    }

    /// How far event time has come.
    pub(super) fn emitted(&self) -> EventTime {
        self.emitted
    }

    /// The input has a split.
    pub(super) fn assigned(&mut self, split: u32, part: Part<G>) {
        if let Input::Whole(_) = self.input {
            self.input = Input::Split {
                parts: BTreeMap::new(),
                reading: None,
            };
        }
        if let Input::Split { parts, .. } = &mut self.input {
            parts.insert(split, part);
        }
    }

    /// Records from here on come from this split. False if it has not been assigned.
    #[must_use]
    pub(super) fn reading(&mut self, split: u32, clock: Duration) -> bool {
        let Input::Split { parts, reading } = &mut self.input else {
            return false;
        };
        let Some(part) = parts.get_mut(&split) else {
            return false;
        };
        *reading = Some(split);
        if part.status == Status::Unread {
            part.status = Status::Active { since: clock };
        }
        true
    }

    /// Whether there are splits and the reader has not said which one it reads.
    pub(super) fn is_untold(&self) -> bool {
        matches!(self.input, Input::Split { reading: None, .. })
    }

    /// The reader does not tell splits apart: they are one input.
    pub(super) fn take_as_whole(&mut self, whole: Part<G>) {
        self.input = Input::Whole(whole);
    }

    /// A split has been read to its end.
    pub(super) fn ended(&mut self, split: u32) -> Change {
        if let Input::Split { parts, .. } = &mut self.input
            && let Some(part) = parts.get_mut(&split)
        {
            part.status = Status::Ended;
        }
        self.merge()
    }

    /// Records are about to come from whatever is read.
    pub(super) fn before_records(&mut self, clock: Duration) -> Change {
        self.current().status = Status::Active { since: clock };
        if !self.idle {
            return Change::None;
        }
        self.idle = false;
        Change::Watermark(self.emitted)
    }

    /// The part that records come from now.
    ///
    /// # Panics
    /// If there are splits and it is not known which is read.
    pub(super) fn current(&mut self) -> &mut Part<G> {
        match &mut self.input {
            Input::Whole(part) => part,
            Input::Split { parts, reading } => reading
                .and_then(|split| parts.get_mut(&split))
                .expect("which of the assigned splits is read has been said"),
        }
    }

    /// The generator of the current part has seen records and says how far event time has come there.
    pub(super) fn advance(&mut self, watermark: EventTime) -> Change {
        let part = self.current();
        part.watermark = part.watermark.max(watermark);
        self.merge()
    }

    /// The whole input has ended: nothing is expected any more.
    pub(super) fn finish(&mut self) -> Change {
        for part in self.parts_mut() {
            part.status = Status::Ended;
        }
        self.emitted = EventTime::MAX;
        Change::Watermark(EventTime::MAX)
    }

    /// Everything is idle, says whoever sends what comes in.
    pub(super) fn all_idle(&mut self) -> Change {
        for part in self.parts_mut() {
            if matches!(part.status, Status::Active { .. }) {
                part.status = Status::Idle;
            }
        }
        self.merge()
    }

    /// The idle clock has come to `clock`.
    pub(super) fn tick(&mut self, clock: Duration) -> Change {
        let Some(limit) = self.idle_after else {
            return Change::None;
        };
        let mut fell_idle = false;
        for part in self.parts_mut() {
            if let Status::Active { since } = part.status
                && clock.saturating_sub(since) >= limit
            {
                part.status = Status::Idle;
                fell_idle = true;
            }
        }
        if fell_idle { self.merge() } else { Change::None }
    }

    /// Where the idle clock stands when the next part falls idle.
    pub(super) fn next_idle(&self) -> Option<Duration> {
        let limit = self.idle_after?;
        let active = self.parts().filter_map(|(_, part)| match part.status {
            Status::Active { since } => Some(since.saturating_add(limit)),
            Status::Unread | Status::Idle | Status::Ended => None,
        });
        active.min()
    }

    /// What holds the watermark where it is.
    pub(super) fn holder(&self) -> WatermarkHolder {
        let least = self
            .parts()
            .filter(|(_, part)| part.holds())
            .min_by_key(|(_, part)| part.watermark);
        match least {
            None => WatermarkHolder::Nobody,
            Some((None, _)) => WatermarkHolder::Input,
            Some((Some(split), part)) if part.status == Status::Unread => {
                WatermarkHolder::UnreadSplit { split }
            }
            Some((Some(split), _)) => WatermarkHolder::Split { split },
        }
    }

    /// All parts; the whole input has no split.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Option<u32>, &Part<G>)> {
        let (whole, split) = match &self.input {
            Input::Whole(part) => (Some((None, part)), None),
            Input::Split { parts, .. } => (None, Some(parts)),
        };
        let split = split
            .into_iter()
            .flatten()
            .map(|(split, part)| (Some(*split), part));
        whole.into_iter().chain(split)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part<G>> {
        let (whole, split) = match &mut self.input {
            Input::Whole(part) => (Some(part), None),
            Input::Split { parts, .. } => (None, Some(parts.values_mut())),
        };
        whole.into_iter().chain(split.into_iter().flatten())
    }

    fn merge(&mut self) -> Change {
        let holding = self.parts().filter(|(_, part)| part.holds());
        let least = holding.map(|(_, part)| part.watermark).min();
        match least {
            Some(least) => {
                let was_idle = std::mem::take(&mut self.idle);
                if least <= self.emitted && !was_idle {
                    return Change::None;
                }
                self.emitted = self.emitted.max(least);
                Change::Watermark(self.emitted)
            }
            // The final watermark comes with the end of the input.
            None if self.idle || self.parts().all(|(_, part)| part.status == Status::Ended) => Change::None,
            None => {
                self.idle = true;
                Change::Idle
            }
        }
    }
}

impl<G> Part<G> {
    /// A part of which nothing is known.
    pub(super) fn new(generator: G, status: Status) -> Self {
        Self {
            generator,
            watermark: EventTime::MIN,
            status,
        }
    }

    /// Whether the watermark may not pass this part's.
    fn holds(&self) -> bool {
        match self.status {
            Status::Active { .. } => true,
            Status::Unread => !is_seeded(Bug::UnreadSplitIsIdle),
            Status::Idle => is_seeded(Bug::IdleSplitHolds),
            Status::Ended => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const T: fn(i64) -> EventTime = EventTime;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn whole() -> Part<()> {
        Part::new(
            (),
            Status::Active {
                since: Duration::ZERO,
            },
        )
    }

    fn splits(count: u32) -> Splits<()> {
        let mut splits = Splits::new(whole(), EventTime::MIN, Some(LIMIT));
        for split in 0..count {
            splits.assigned(split, Part::new((), Status::Unread));
        }
        splits
    }

    /// Records of a split come, after which its own watermark is `watermark`.
    fn records(splits: &mut Splits<()>, split: u32, clock: Duration, watermark: i64) -> (Change, Change) {
        assert!(splits.reading(split, clock));
        let before = splits.before_records(clock);
        (before, splits.advance(T(watermark)))
    }

    #[test]
    fn the_least_split_decides() {
        let mut marks = splits(2);
        assert_eq!(records(&mut marks, 0, seconds(0), 10).1, Change::None);
        assert_eq!(records(&mut marks, 1, seconds(0), 5).1, Change::Watermark(T(5)));
        assert_eq!(marks.holder(), WatermarkHolder::Split { split: 1 });
        assert_eq!(records(&mut marks, 1, seconds(0), 20).1, Change::Watermark(T(10)));
        assert_eq!(records(&mut marks, 0, seconds(0), 3).1, Change::None);
        assert_eq!(marks.holder(), WatermarkHolder::Split { split: 0 });
    }

    #[test]
    fn a_split_that_is_not_read_yet_holds_and_one_that_has_ended_does_not() {
        let mut marks = splits(2);
        assert_eq!(records(&mut marks, 0, seconds(0), 10).1, Change::None);
        assert_eq!(marks.ended(0), Change::None);
        assert_eq!(marks.tick(seconds(100)), Change::None);
        assert_eq!(marks.holder(), WatermarkHolder::UnreadSplit { split: 1 });
        assert_eq!(records(&mut marks, 1, seconds(100), 4).1, Change::Watermark(T(4)));
        // The end of everything is told by the source itself.
        assert_eq!(marks.ended(1), Change::None);
        assert_eq!(marks.holder(), WatermarkHolder::Nobody);
    }

    #[test]
    fn an_idle_split_holds_nobody_until_it_speaks() {
        let mut marks = splits(2);
        let _ = records(&mut marks, 0, seconds(0), 10);
        let _ = records(&mut marks, 1, seconds(0), 5);
        assert_eq!(records(&mut marks, 0, seconds(9), 30).1, Change::None);
        assert_eq!(marks.next_idle(), Some(seconds(10)));
        assert_eq!(marks.tick(seconds(9)), Change::None);
        assert_eq!(marks.tick(seconds(10)), Change::Watermark(T(30)));
        // It comes back behind, and holds the watermark where it is.
        assert_eq!(
            records(&mut marks, 1, seconds(11), 6),
            (Change::None, Change::None)
        );
        assert_eq!(records(&mut marks, 0, seconds(11), 50).1, Change::None);
        assert_eq!(
            records(&mut marks, 1, seconds(11), 40).1,
            Change::Watermark(T(40))
        );
    }

    #[test]
    fn all_idle_is_told_once_and_ended_by_the_watermark() {
        let mut marks = splits(1);
        let _ = records(&mut marks, 0, seconds(0), 5);
        assert_eq!(marks.tick(seconds(10)), Change::Idle);
        assert_eq!(marks.tick(seconds(20)), Change::None);
        assert_eq!(
            records(&mut marks, 0, seconds(21), 5),
            (Change::Watermark(T(5)), Change::None)
        );
    }

    #[test]
    fn a_reader_is_not_idle_while_a_split_is_unread() {
        let mut marks = splits(2);
        let _ = records(&mut marks, 0, seconds(0), 5);
        assert_eq!(marks.tick(seconds(10)), Change::None);
        assert_eq!(records(&mut marks, 1, seconds(10), 7).1, Change::Watermark(T(7)));
    }

    #[test]
    fn a_reader_that_does_not_tell_splits_apart_has_one_input() {
        let mut marks = splits(3);
        assert!(marks.is_untold());
        marks.take_as_whole(whole());
        assert_eq!(marks.before_records(seconds(0)), Change::None);
        assert_eq!(marks.advance(T(9)), Change::Watermark(T(9)));
        assert_eq!(marks.holder(), WatermarkHolder::Input);
    }

    #[test]
    fn it_never_falls_below_a_restored_one() {
        let mut marks = Splits::new(whole(), T(100), None);
        assert_eq!(marks.before_records(seconds(0)), Change::None);
        assert_eq!(marks.advance(T(50)), Change::None);
        assert_eq!(marks.advance(T(101)), Change::Watermark(T(101)));
    }
}

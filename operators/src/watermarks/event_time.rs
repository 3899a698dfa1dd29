//! Which event times are accepted, and how they are told.

use tidegate_core::{EventTime, Times};

/// The first millisecond of the year 0.
const YEAR_0: EventTime = EventTime(-62_167_219_200_000);
/// The last millisecond of the year 9999.
const YEAR_9999: EventTime = EventTime(253_402_300_799_999);

/// What a record's time may be told as: milliseconds since the Unix epoch or an [`EventTime`], or an option of these.
pub trait ToEventTime {
    /// The time, if there is one.
    fn to_event_time(self) -> Option<EventTime>;
}

impl ToEventTime for i64 {
    fn to_event_time(self) -> Option<EventTime> {
        Some(EventTime(self))
    }
}

impl ToEventTime for EventTime {
    fn to_event_time(self) -> Option<EventTime> {
        Some(self)
    }
}

impl<T: ToEventTime> ToEventTime for Option<T> {
    fn to_event_time(self) -> Option<EventTime> {
        self.and_then(T::to_event_time)
    }
}

/// Why a record's event time is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTime {
    /// The record has none.
    #[error(
        "the record has no event time; say which it has with `event_time`, or what becomes of such records with `or_drop` or dead letters"
    )]
    Missing,
    /// It lies before the earliest time accepted.
    #[error(
        "event time {time} lies before {earliest}, the earliest accepted; times are milliseconds since 1970: correct it, widen `within`, or say what becomes of such records with `or_drop` or dead letters"
    )]
    TooEarly {
        /// The record's time.
        time: EventTime,
        /// The bound.
        earliest: EventTime,
    },
    /// It lies after the latest time accepted.
    #[error(
        "event time {time} lies after {latest}, the latest accepted; times are milliseconds since 1970: correct it, widen `within` or `max_ahead`, or say what becomes of such records with `or_drop` or dead letters"
    )]
    TooLate {
        /// The record's time.
        time: EventTime,
        /// The bound.
        latest: EventTime,
    },
}

/// The times that are accepted, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeRange {
    pub(super) earliest: EventTime,
    pub(super) latest: EventTime,
}

impl Default for TimeRange {
    fn default() -> Self {
        Self {
            earliest: YEAR_0,
            latest: YEAR_9999,
        }
    }
}

impl TimeRange {
    /// Whether all of `count` records have an accepted time.
    pub(super) fn accepts(self, times: &Times, count: usize) -> bool {
        match times {
            Times::None => count == 0,
            Times::All(time) => self.contains(*time),
            Times::Each(each) => each.iter().all(|time| self.contains(*time)),
        }
    }

    /// Checks one record's time.
    pub(super) fn check(self, time: Option<EventTime>) -> Result<EventTime, BadTime> {
        let Self { earliest, latest } = self;
        match time {
            None => Err(BadTime::Missing),
            Some(time) if time < earliest => Err(BadTime::TooEarly { time, earliest }),
            Some(time) if time > latest => Err(BadTime::TooLate { time, latest }),
            Some(time) => Ok(time),
        }
    }

    fn contains(self, time: EventTime) -> bool {
        self.earliest <= time && time <= self.latest
    }
}

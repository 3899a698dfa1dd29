//! When events happen.

/// The time of event 0, in milliseconds since the epoch: 2015-07-15T00:00:00Z.
pub const FIRST_TIME_MS: i64 = 1_436_918_400_000;

/// How many events happen in a second of event time.
pub const EVENTS_PER_SECOND: u64 = 1_000_000;

/// The time of event `number`, in milliseconds since the epoch.
#[inline]
pub fn event_time(number: u64) -> i64 {
    FIRST_TIME_MS + (number / (EVENTS_PER_SECOND / 1_000)) as i64
}

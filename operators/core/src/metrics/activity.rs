//! What a task does with its time.

use std::{
    sync::atomic::{AtomicU64, Ordering::*, fence},
    thread,
    time::Duration,
};

use super::Counter;

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// Nothing: there is no input, and nobody has woken it.
    Idle,
    /// It could go on, and waits until other tasks of its thread have had their turn.
    Queued,
    /// It runs.
    Busy,
    /// It cannot go on until a consumer makes room.
    Backpressured,
}

/// How long a task has done what, since it was made. Together that is all the time there was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ActivityTimes {
    /// See [`Activity::Idle`].
    pub idle: Duration,
    /// See [`Activity::Queued`].
    pub queued: Duration,
    /// See [`Activity::Busy`].
    pub busy: Duration,
    /// See [`Activity::Backpressured`].
    pub backpressured: Duration,
}

/// Keeps a task's times: written by the task's thread whenever it turns to something else, read by any, with what the
/// task is doing at that moment included. What is read never goes back.
///
/// A sequence lock: the version is odd while the rest is being written.
#[derive(Debug, Default)]
pub struct ActivityClock {
    version: AtomicU64,
    /// An [`Activity`] plus one; 0 before the first.
    current: Counter,
    since_ns: Counter,
    /// By what `current` is.
    spent_ns: [Counter; 5],
}

impl ActivityClock {
    /// From `now_ns` on the task does this. The clock's origin is the caller's; it must not run backwards.
    pub fn turn_to(&self, activity: Activity, now_ns: u64) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        self.spent_ns[self.current.get() as usize].add(now_ns.saturating_sub(self.since_ns.get()));
        self.since_ns.set(now_ns);
        self.current.set(activity as u64 + 1);
        self.version.store(version.wrapping_add(2), Release);
    }

    /// How long the task has done what until `now_ns`, by the clock of [`turn_to`](Self::turn_to).
    pub fn times(&self, now_ns: u64) -> ActivityTimes {
        loop {
            let version = self.version.load(Acquire);
            let current = self.current.get() as usize;
            let running_ns = now_ns.saturating_sub(self.since_ns.get());
            let spent = |activity: Activity| {
                let place = activity as usize + 1;
                let now = if place == current { running_ns } else { 0 };
                Duration::from_nanos(self.spent_ns[place].get() + now)
            };
            let times = ActivityTimes {
                idle: spent(Activity::Idle),
                queued: spent(Activity::Queued),
                busy: spent(Activity::Busy),
                backpressured: spent(Activity::Backpressured),
            };
            fence(Acquire);
            if version.is_multiple_of(2) && self.version.load(Relaxed) == version {
                return times;
            }
            // A few stores are being made; their thread may have been interrupted between them.
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn all_time_is_accounted_for_and_the_present_is_included() {
        let clock = ActivityClock::default();
        assert_eq!(clock.times(1_000), ActivityTimes::default());
        for (activity, at_ns) in [
            (Activity::Idle, 100),
            (Activity::Busy, 110),
            (Activity::Queued, 140),
            (Activity::Busy, 145),
            (Activity::Backpressured, 150),
        ] {
            clock.turn_to(activity, at_ns);
        }
        let expected = ActivityTimes {
            idle: Duration::from_nanos(10),
            queued: Duration::from_nanos(5),
            busy: Duration::from_nanos(35),
            backpressured: Duration::from_nanos(850),
        };
        assert_eq!(clock.times(1_000), expected);
    }

    #[test]
    fn what_is_read_while_it_is_written_adds_up() {
        let clock = Arc::new(ActivityClock::default());
        clock.turn_to(Activity::Idle, 0);
        let writer = Arc::clone(&clock);
        const END_NS: u64 = 200_000;
        let writing = thread::spawn(move || {
            for now_ns in 1..=END_NS {
                let activity = [Activity::Busy, Activity::Idle, Activity::Backpressured][now_ns as usize % 3];
                writer.turn_to(activity, now_ns);
            }
        });
        loop {
            let times = clock.times(END_NS);
            let total = times.idle + times.queued + times.busy + times.backpressured;
            assert_eq!(total, Duration::from_nanos(END_NS), "{times:?}");
            if writing.is_finished() {
                break;
            }
        }
        writing.join().unwrap();
    }
}

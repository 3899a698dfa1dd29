//! The time that counts towards idleness.

use std::time::Duration;

use tidegate_core::{Flow, ProcessingTime};

/// A clock that stands still while records could not have been taken anyway, because whatever comes next had no room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdleClock {
    elapsed: Duration,
    /// When it was looked at last, once it has been started.
    looked_at: Option<ProcessingTime>,
    stands_still: bool,
}

impl IdleClock {
    /// What has counted so far.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Time has come to `now`. The first time starts the clock.
    pub(super) fn advance(&mut self, now: ProcessingTime) {
        if let Some(before) = self.looked_at
            && !self.stands_still
        {
            self.elapsed += now.since(before);
        }
        self.looked_at = Some(now);
    }

    /// What whatever comes next says at `now`.
    pub(super) fn on_flow(&mut self, flow: Flow, now: ProcessingTime) {
        if self.looked_at.is_some() {
            self.advance(now);
        }
        self.stands_still = !flow.is_ready();
    }

    /// When `deadline` will have counted, if it goes on like this.
    pub(super) fn when(&self, deadline: Duration) -> Option<ProcessingTime> {
        let looked_at = self.looked_at.filter(|_| !self.stands_still)?;
        Some(looked_at.after(deadline.saturating_sub(self.elapsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_room_does_not_count() {
        let mut clock = IdleClock::default();
        clock.advance(ProcessingTime(1000));
        clock.advance(ProcessingTime(1010));
        assert_eq!(clock.elapsed(), Duration::from_millis(10));
        assert_eq!(clock.when(Duration::from_millis(30)), Some(ProcessingTime(1030)));
        clock.on_flow(Flow::Blocked, ProcessingTime(1015));
        assert_eq!(clock.when(Duration::from_millis(30)), None);
        clock.on_flow(Flow::Ready, ProcessingTime(9000));
        clock.advance(ProcessingTime(9005));
        assert_eq!(clock.elapsed(), Duration::from_millis(20));
    }
}

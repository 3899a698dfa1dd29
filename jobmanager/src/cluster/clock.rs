//! What time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_core::ProcessingTime;
use tokio::time::Instant;

/// Wall-clock time that never runs backwards: read once, then moved on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    origin_ms: i64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            origin: Instant::now(),
            origin_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        }
    }

    pub(crate) fn now(&self) -> ProcessingTime {
        ProcessingTime(self.origin_ms).after(self.origin.elapsed())
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now().0
    }

    /// How long it is until `at`.
    pub(crate) fn until(&self, at: ProcessingTime) -> Duration {
        at.since(self.now())
    }
}

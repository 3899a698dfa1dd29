//! The one place where the worker reads the clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::ProcessingTime;

/// Monotonic time since the worker started, and the time of day that goes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_millis: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            start: Instant::now(),
            start_millis: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Nanoseconds since the worker started.
    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time of day at `nanos` since the start. It never jumps back while the worker lives.
    pub(crate) fn time_at(&self, nanos: u64) -> ProcessingTime {
        ProcessingTime(
            self.start_millis
                .saturating_add(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)),
        )
    }

    /// How long from `nanos` until a time of day comes.
    pub(crate) fn until(&self, nanos: u64, time: ProcessingTime) -> Duration {
        let offset_ms = u64::try_from(time.0.saturating_sub(self.start_millis)).unwrap_or(0);
        Duration::from_nanos(offset_ms.saturating_mul(1_000_000).saturating_sub(nanos))
    }
}

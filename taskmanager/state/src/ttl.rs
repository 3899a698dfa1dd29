//! How long state lives that nobody touches.

use std::time::Duration;

use tidegate_core::ProcessingTime;

/// What counts as touching.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtlUpdate {
    /// Only writes prolong life.
    #[default]
    OnWrite,
    /// Reads do so, too. They cost as much as writes to a checkpoint.
    OnReadAndWrite,
}

/// Time to live. What has expired is never returned, whether or not it has been swept away yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ttl {
    /// How long, in processing time.
    pub duration: Duration,
    /// What prolongs it.
    pub update: TtlUpdate,
}

impl Ttl {
    /// State that lives for `duration` after its last write.
    pub fn after_write(duration: Duration) -> Self {
        Self {
            duration,
            update: TtlUpdate::OnWrite,
        }
    }

    /// State that lives for `duration` after it was last read or written.
    pub fn after_access(duration: Duration) -> Self {
        Self {
            duration,
            update: TtlUpdate::OnReadAndWrite,
        }
    }

    /// Whether what was touched at `touched` is dead at `now`.
    #[inline]
    pub fn is_expired(&self, touched: ProcessingTime, now: ProcessingTime) -> bool {
        touched.after(self.duration) <= now
    }
}

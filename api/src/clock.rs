//! The time of day, for whatever is shown to people or served.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_core::ProcessingTime;

/// The time of day.
pub(crate) fn now() -> ProcessingTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ProcessingTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

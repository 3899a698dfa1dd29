//! Tests wait for conditions, never for time to pass.

use std::{
    thread,
    time::{Duration, Instant},
};

/// After which a test has hung. No test passes or fails by how long anything takes below that.
pub const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until a condition holds, and returns what it says then.
///
/// # Panics
/// When it does not hold in [`PATIENCE`].
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// [`eventually`], in a time that is the point.
///
/// # Panics
/// When it does not hold in that time.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(held) = condition() {
            return held;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(PAUSE);
    }
}

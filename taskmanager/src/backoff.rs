//! How long to wait before the next try: longer each time, up to a bound, and not in step with others.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);

/// Pauses that double up to a longest one, each shortened by chance so that the task managers of a cluster do not all come
/// at once when their job manager is back.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self {
            next: FIRST.min(longest),
            longest,
        }
    }

    /// The pause before the next try; `chance` is from 0 to 1, and the pause between half and all of what is due.
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(self.longest);
        due.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// A try has succeeded.
    pub(crate) fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::up_to(Duration::from_millis(300));
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 300, 300]);
        assert_eq!(backoff.pause(0.0).as_millis(), 150);
        backoff.reset();
        assert_eq!(backoff.pause(1.0).as_millis(), 50);
    }
}

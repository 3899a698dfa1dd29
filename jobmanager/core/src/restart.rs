//! Restart strategies: whether a failed job is restarted, and after how long.

use std::{collections::VecDeque, time::Duration};

use tidegate_core::ProcessingTime;

use crate::options::RestartStrategy;

/// What a strategy needs to remember.
#[derive(Debug)]
pub(crate) struct RestartHistory {
    strategy: RestartStrategy,
    random: u64,
    failures: VecDeque<ProcessingTime>,
    consecutive: u32,
}

/// What a strategy says about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    After(Duration),
    GiveUp,
}

impl RestartHistory {
    pub(crate) fn new(strategy: RestartStrategy, seed: u64) -> Self {
        Self {
            strategy,
            random: seed,
            failures: VecDeque::new(),
            consecutive: 0,
        }
    }

    /// A failure has happened.
    pub(crate) fn failed(&mut self, now: ProcessingTime) -> Verdict {
        let before = self.failures.back().copied();
        let verdict = match self.strategy {
            RestartStrategy::None => Verdict::GiveUp,
            RestartStrategy::FixedDelay { delay, attempts } => {
                self.consecutive = self.consecutive.saturating_add(1);
                within(self.consecutive, attempts, delay)
            }
            RestartStrategy::FailureRate {
                max_failures,
                window,
                delay,
            } => {
                self.failures.push_back(now);
                self.failures.retain(|at| now.since(*at) < window);
                within(
                    u32::try_from(self.failures.len()).unwrap_or(u32::MAX),
                    max_failures,
                    delay,
                )
            }
            RestartStrategy::ExponentialDelay {
                initial,
                max,
                multiplier,
                jitter,
                reset_after,
                attempts,
            } => {
                let calm = before.is_none_or(|before| now.since(before) >= reset_after);
                self.consecutive = if calm {
                    1
                } else {
                    self.consecutive.saturating_add(1)
                };
                let exponent = i32::try_from(self.consecutive - 1).unwrap_or(i32::MAX);
                let plain =
                    (initial.as_secs_f64() * multiplier.max(1.0).powi(exponent)).min(max.as_secs_f64());
                let moved = plain * (1.0 + jitter.clamp(0.0, 1.0) * (2.0 * self.draw() - 1.0));
                let delay = Duration::try_from_secs_f64(moved.min(max.as_secs_f64())).unwrap_or(max);
                within(self.consecutive, attempts.unwrap_or(u32::MAX), delay)
            }
        };
        if !matches!(self.strategy, RestartStrategy::FailureRate { .. }) {
            self.failures.clear();
            self.failures.push_back(now);
        }
        verdict
    }

    /// A number in `0..1`: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn within(count: u32, limit: u32, delay: Duration) -> Verdict {
    if count <= limit {
        Verdict::After(delay)
    } else {
        Verdict::GiveUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(strategy: RestartStrategy, failures_at_ms: &[i64]) -> Vec<Option<u128>> {
        let mut history = RestartHistory::new(strategy, 7);
        failures_at_ms
            .iter()
            .map(|at| match history.failed(ProcessingTime(*at)) {
                Verdict::After(delay) => Some(delay.as_millis()),
                Verdict::GiveUp => None,
            })
            .collect()
    }

    fn exponential(jitter: f64, attempts: Option<u32>) -> RestartStrategy {
        RestartStrategy::ExponentialDelay {
            initial: Duration::from_millis(100),
            max: Duration::from_millis(500),
            multiplier: 2.0,
            jitter,
            reset_after: Duration::from_secs(10),
            attempts,
        }
    }

    #[test]
    fn exponential_delays_grow_to_the_limit_and_reset_after_calm() {
        assert_eq!(
            delays(exponential(0.0, None), &[0, 1, 2, 3, 4, 10_004, 10_005]),
            [100, 200, 400, 500, 500, 100, 200].map(Some)
        );
        assert_eq!(
            delays(exponential(0.0, Some(2)), &[0, 1, 2]),
            [Some(100), Some(200), None]
        );
    }

    #[test]
    fn jitter_stays_within_its_share_and_is_repeatable() {
        let first = delays(exponential(0.5, None), &[0, 1, 2]);
        assert_eq!(first, delays(exponential(0.5, None), &[0, 1, 2]));
        for (delay, plain) in first.iter().zip([100, 200, 400]) {
            let delay = delay.unwrap();
            assert!((plain / 2..=500.min(plain * 3 / 2)).contains(&delay), "{delay}");
        }
        assert_ne!(first, [100, 200, 400].map(Some));
    }

    #[test]
    fn the_other_strategies_count() {
        let fixed = RestartStrategy::FixedDelay {
            delay: Duration::from_millis(5),
            attempts: 2,
        };
        assert_eq!(
            delays(fixed, &[0, 1_000_000, 2_000_000]),
            [Some(5), Some(5), None]
        );
        let rate = RestartStrategy::FailureRate {
            max_failures: 2,
            window: Duration::from_millis(100),
            delay: Duration::from_millis(5),
        };
        assert_eq!(
            delays(rate, &[0, 50, 100, 190, 195]),
            [Some(5), Some(5), Some(5), Some(5), None]
        );
        assert_eq!(delays(RestartStrategy::None, &[0]), [None]);
    }
}

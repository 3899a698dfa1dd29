//! How calls are made: how many at a time, in which order they answer, how long they may take, and what follows a failure.

use std::time::Duration;

/// How long a call may take unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Whether results come in the order of their records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Ordered,
    /// Between two watermarks as they come.
    Unordered,
}

/// How an [`AsyncMap`](super::AsyncMap) makes its calls.
///
/// ```
/// use std::time::Duration;
/// use tidegate_operators::{AsyncCalls, RetryStrategy};
///
/// let calls = AsyncCalls::unordered(100)
///     .timeout(Duration::from_secs(2))
///     .retry(RetryStrategy::exponential(5, Duration::from_millis(50), Duration::from_secs(5)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsyncCalls {
    pub(super) order: Order,
    pub(super) in_flight: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryStrategy,
}

impl AsyncCalls {
    /// Results come in the order of their records: one that is slow holds back those behind it. At most `in_flight` records
    /// per task, at least one, have been called for and wait for their result or for their turn.
    pub fn ordered(in_flight: usize) -> Self {
        Self::new(Order::Ordered, in_flight)
    }

    /// Results come as they are there, but neither overtakes a watermark. At most `in_flight` records per task, at least
    /// one, have been called for and wait for their result or for a watermark to pass.
    pub fn unordered(in_flight: usize) -> Self {
        Self::new(Order::Unordered, in_flight)
    }

    fn new(order: Order, in_flight: usize) -> Self {
        Self {
            order,
            in_flight: in_flight.max(1),
            timeout: Some(TIMEOUT),
            retry: RetryStrategy::default(),
        }
    }

    /// How long each call may take, a minute unless set: its future is dropped then, and the call has failed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls may take as long as they do. One that never answers holds its place for ever.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// What follows a call that failed or took too long; it is not made again unless set.
    #[must_use]
    pub fn retry(mut self, retry: RetryStrategy) -> Self {
        self.retry = retry;
        self
    }
}

/// When a call that has failed is made again. In the meantime its record keeps its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RetryStrategy {
    /// Never.
    #[default]
    Never,
    /// After the same time every time.
    Fixed {
        /// How often at most, after the first call.
        retries: u32,
        /// After how long.
        delay: Duration,
    },
    /// After a time that doubles with every failure.
    Exponential {
        /// How often at most, after the first call.
        retries: u32,
        /// After how long the first time.
        first: Duration,
        /// After how long at most.
        longest: Duration,
    },
}

impl RetryStrategy {
    /// Up to `retries` more calls, each `delay` after the last has failed.
    pub fn fixed(retries: u32, delay: Duration) -> Self {
        Self::Fixed { retries, delay }
    }

    /// Up to `retries` more calls: the first of them `first` after a failure, each further one after twice the time, but
    /// never more than `longest`.
    pub fn exponential(retries: u32, first: Duration, longest: Duration) -> Self {
        Self::Exponential {
            retries,
            first,
            longest,
        }
    }

    /// How long to wait after so many failures, 1 or more; `None` gives up.
    pub(super) fn delay_after(self, failures: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Fixed { retries, delay } => (failures <= retries).then_some(delay),
            Self::Exponential {
                retries,
                first,
                longest,
            } => (failures <= retries).then(|| {
                let factor = 1u32.checked_shl(failures.saturating_sub(1));
                first.saturating_mul(factor.unwrap_or(u32::MAX)).min(longest)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_as_the_strategy_says() {
        let ms = Duration::from_millis;
        let fixed = RetryStrategy::fixed(2, ms(7));
        let exponential = RetryStrategy::exponential(40, ms(10), ms(35));
        for (strategy, failures, delay) in [
            (RetryStrategy::Never, 1, None),
            (fixed, 1, Some(ms(7))),
            (fixed, 2, Some(ms(7))),
            (fixed, 3, None),
            (exponential, 1, Some(ms(10))),
            (exponential, 2, Some(ms(20))),
            (exponential, 3, Some(ms(35))),
            (exponential, 40, Some(ms(35))),
            (exponential, 41, None),
        ] {
            assert_eq!(
                strategy.delay_after(failures),
                delay,
                "{strategy:?} after {failures}"
            );
        }
    }
}

//! Transactions, and how they are made up.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
/// When the first transaction is, give or take [`DISORDER_MS`]: midnight, 1 January 2026, UTC.
const START_MS: i64 = 1_767_225_600_000;

/// How long after the one before a transaction is.
const STEP_MS: u64 = 20;

/// How far from their place transactions may be in time, at most.
pub(crate) const DISORDER_MS: i64 = 5_000;

/// How many users there are.
const USERS: u32 = 500;

/// Somebody pays something. Amounts are in cents: money is counted, not measured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Its number.
    pub(crate) id: u64,
    /// Who pays.
    pub(crate) user: u32,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// How much.
    pub(crate) cents: u64,
}

impl Transaction {
    /// The transaction of a seed and a number: always the same one, so that a restart makes it again.
    pub(crate) fn generate(seed: u64, id: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ id.rotate_left(32));
        let place_ms = START_MS.saturating_add_unsigned(id.saturating_mul(STEP_MS));
        // Three digits and some zeros: the more, the rarer.
        let zeros = (0..3)
            .map(|_| random.random_range(0..=4))
            .min()
            .unwrap_or_default();
        Self {
            id,
            user: random.random_range(0..USERS),
            at_ms: place_ms.saturating_add(random.random_range(-DISORDER_MS..=DISORDER_MS)),
            cents: random.random_range(100..1_000) * 10_u64.pow(zeros),
        }
    }
}

/// What a user spends in a minute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct MinuteSum {
    /// Who.
    pub(crate) user: u32,
    /// When the minute begins, in milliseconds since 1970.
    pub(crate) minute_ms: i64,
    /// How much.
    pub(crate) cents: u64,
}

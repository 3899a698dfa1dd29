//! What goes into the ledger.

use serde::{Deserialize, Serialize};

/// How long a window of the ledger is, in milliseconds of event time.
pub const WINDOW_MS: i64 = 500;

/// An entry of an account.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number among all entries.
    pub sequence: u64,
    /// Whose it is.
    pub account: u64,
    /// What is added in each of the account's entries: always the same, so that balances do not depend on their order.
    pub fixed: u64,
    /// What is added besides; it is another each time.
    pub varying: u64,
    /// When it was made, in milliseconds of event time.
    pub time_ms: i64,
}

/// The entry of a number. Nothing but the arguments decides about it.
pub fn entry(seed: u64, sequence: u64, accounts: u64) -> Entry {
    let account = mix(seed ^ sequence) % accounts.max(1);
    Entry {
        sequence,
        account,
        fixed: 1 + mix(account) % 100,
        varying: mix(seed.wrapping_add(sequence)) % 1000,
        // Neighbours change places, by less than the ledger waits.
        time_ms: i64::try_from(sequence ^ 3).unwrap_or(i64::MAX),
    }
}

/// Scatters bits: the finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

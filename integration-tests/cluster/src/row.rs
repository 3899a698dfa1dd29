//! What comes out of the ledger.

use serde::{Deserialize, Serialize};

/// A row of either output.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(untagged)]
pub enum Row {
    /// Of `balances`.
    Balance(Balance),
    /// Of `windows`.
    Window(WindowSum),
}

/// An account after one of its entries.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// Whose it is.
    pub account: u64,
    /// How many entries it has.
    pub entries: u64,
    /// What their fixed parts come to.
    pub balance: u64,
}

/// An account in a window.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
pub struct WindowSum {
    /// Whose it is.
    pub account: u64,
    /// When the window begins, in milliseconds of event time.
    pub start_ms: i64,
    /// What the varying parts of its entries come to.
    pub sum: u64,
}

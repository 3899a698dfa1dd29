//! The ledger on whole clusters of real processes: whatever is killed, stopped, cut off or refused, its rows are those of a
//! plain program.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod bad_starts;
mod kills;
mod ledger;
mod network;
mod operations;
mod oracles;
mod points;
mod random;
mod runs;
mod store;

//! The driver with workers of the test's own, on real stores.

// A harness is test code, too: what cannot be unwrapped has failed the test.
#![allow(clippy::unwrap_used)]

mod crashes;
mod failures;
mod harness;
mod lives;
mod misbehaving;
mod savepoints;
mod stores;

//! The driver with workers of the test's own, on real stores.

mod crashes;
mod failures;
mod harness;
mod lives;
mod misbehaving;
mod savepoints;
mod stores;

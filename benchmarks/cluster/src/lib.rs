//! What a cluster of real processes costs, and how soon it is back after a failure.
//!
//! `make bench-cluster` runs all rows, `make bench-cluster BENCH=C2` one. The job under test, `measured_job`, is an ordinary
//! executable; what its processes see they write to files that the program which measures reads ([`progress`]). Times of
//! several processes are compared by the wall clock of the one machine they share.

pub mod payload;
pub mod progress;
pub mod rows;
pub mod suite;
mod trial;

//! What Tidegate costs: jobs that a user could have written, beside loops written by hand that compute the same.
//!
//! `cargo bench -p tidegate-benchmarks --bench engine` runs all rows, with `-- E2` one. The rows, what each is measured
//! against and what is fair about it are in this folder's `README.md`.

pub mod checksum;
pub mod checksum_sink;
mod error;
pub mod faucet;
mod job_run;
pub mod keyed_input;
pub mod latency_sink;
pub mod nexmark;
pub mod peers;
pub mod prepared;
pub mod rows;
pub mod runner;
pub mod schedule;
mod scheduled_run;
mod state_job;
pub mod suite;
pub mod watch_sink;
pub mod yardstick;

pub use error::BenchmarkError;

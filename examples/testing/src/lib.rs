//! What the tests of the examples share: [`Job`] runs an example's executable and kills it, [`flight_rows`] is what it read and
//! [`rows`] and [`lines`] are what it has published.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod input;
mod job;
mod output;

pub use input::{FlightRow, airlines, data, flight_rows};
pub use job::{Job, PATIENCE};
pub use output::{MalformedLine, has_files, lines, malformed, rows};

//! The ledger: numbered entries whose sums a plain program knows, so that each that is lost, doubled or altered shows.
//!
//! The job is the program `ledger_job`; what it must write, says [`expected`].

mod entry;
mod reference;
mod row;

pub use entry::{Entry, WINDOW_MS, entry};
pub use reference::{expected, read_rows};
pub use row::{Balance, Row, WindowSum};

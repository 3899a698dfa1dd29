//! Runs jobs and yardsticks in turn and reports what came of it.

mod compare;
mod report;
mod row;
mod usage;

pub use compare::{Basis, Comparison, Sample, Summary};
pub use report::Report;
pub use row::{Bar, Row};
pub use usage::{Moment, Status, Usage, longest_standstill, measured, thread_cpu};

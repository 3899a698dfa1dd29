//! Windows: stretches of time in which the records of a key are brought together.

mod assigner;
mod contents;
mod error;
mod firing;
mod grid;
mod late;
mod operator;
mod result;
mod sliced;
mod updates;

pub use assigner::{Clock, Sliding, Tumbling, WindowAssigner, WindowPlan};
pub use contents::{Aggregated, Reduced, WindowContents};
pub use error::WindowError;
pub use late::{LATE_RECORDS_PORT, late_records};
pub use operator::windows;
pub use result::{Window, Windowed};

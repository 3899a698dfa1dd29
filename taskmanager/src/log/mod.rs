//! What workers write: kept in files of bounded size and number, and served from there.

mod capture;
mod last_words;
mod reader;
mod retention;
mod rotation;

pub(crate) use capture::{Capture, capture};
pub(crate) use last_words::LastWords;
pub(crate) use reader::{list_logs, read_log};
pub(crate) use retention::remove_oldest;
pub(crate) use rotation::RotatedLog;

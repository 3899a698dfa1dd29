//! File sources and sinks of Tidegate: CSV and JSON lines on the local file system.
//!
//! A [`FileSource`] reads each row exactly once; a [`FileSink`] publishes each record exactly once. Neither ever blocks
//! an executor on the disk.

mod completion;
mod error;
mod sink;
mod source;

pub use error::FileError;
pub use sink::FileSink;
pub use source::{Compression, FileSource, MALFORMED_ROWS, MalformedRow, OnMalformed};

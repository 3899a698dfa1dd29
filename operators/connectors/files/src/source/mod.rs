//! Reading files.

mod background;
mod decoder;
mod framer;
mod input;
mod options;
mod reader;
mod row;
mod split;

pub use options::{Compression, FileSource};
pub use row::{MALFORMED_ROWS, MalformedRow, OnMalformed};

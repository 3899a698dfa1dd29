//! Reading files.

mod background;
mod decoder;
mod framer;
mod input;
mod listing;
mod object;
mod options;
mod reader;
mod row;
mod split;

pub use options::FileSource;
pub use row::{MALFORMED_ROWS, MalformedRow, OnMalformed};

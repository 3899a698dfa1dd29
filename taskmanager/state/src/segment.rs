//! Segments: many state blocks packed into one object, with an index at its end.
//!
//! ```text
//! header   "TIDEGSEG" | version u32
//! blocks   length u32 | crc32c u32 | bytes            … one after another
//! footer   index in postcard: per (operator, state): per block: key group, kind, offset, length
//! trailer  footer length u32 | footer crc32c u32 | version u32 | "TIDEGSEG"
//! ```
//!
//! Integers are little-endian. The index is postcard rather than prost, because wire types of protocol buffers stay in
//! their own crate; the version in header and trailer covers it. Objects in storage are not trusted: lengths are checked
//! against the object's size before anything is allocated, checksums before anything is used.

mod error;
mod footer;
mod reader;
mod replay;
mod writer;

pub use self::{
    error::{SegmentError, SegmentProblem},
    footer::{BlockEntry, Footer, TRAILER_BYTES},
    reader::{Block, SegmentReader},
    replay::{GroupReplay, ReplayBlock, replay},
    writer::SegmentWriter,
};

/// What every segment begins and ends with.
const MAGIC: [u8; 8] = *b"TIDEGSEG";

/// The version of the format that this code writes, and the only one it reads.
const VERSION: u32 = 1;

const HEADER_BYTES: usize = 12;

/// Length and checksum in front of every block.
const BLOCK_HEADER_BYTES: usize = 8;

/// Four bytes of `bytes` at `offset`, if there are as many.
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

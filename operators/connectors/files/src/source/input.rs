//! The bytes of a split, read in chunks. Blocking: runs away from the executor.

use std::{
    io::{self, Read},
    sync::Arc,
};

use super::{
    framer::{Content, EmptyRows, Framer, LineBreaks, Next},
    object::Object,
    split::{FileSplit, Place, Progress},
};
use crate::{Compression, FileError};

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// How much is read at once beyond the end of a split, to complete its last row.
const TAIL_BYTES: usize = 16 * 1024;

/// The heading of a file.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) row: Vec<u8>,
    /// Where the rows after it start.
    pub(super) end: u64,
    /// How many line breaks it ends with or holds.
    pub(super) lines: u64,
}

/// What a split's input has to say, in this order.
pub(super) enum Piece {
    /// The first row starts here.
    Opened {
        heading: Option<Arc<Heading>>,
        place: Place,
    },
    /// The next bytes.
    Bytes(Vec<u8>),
    /// There are no more bytes.
    End,
}

/// Reads a split.
pub(super) struct Input {
    split: FileSplit,
    object: Arc<Object>,
    line_breaks: LineBreaks,
    /// The limit of the heading.
    max_row_bytes: usize,
    stage: Stage,
}

enum Stage {
    /// Nothing is open; the file has a heading, which may be known from another split.
    Closed {
        wants_heading: bool,
        heading: Option<Arc<Heading>>,
    },
    Open {
        bytes: Box<dyn Read + Send>,
        offset: u64,
    },
}

impl Input {
    pub(super) fn new(
        split: FileSplit,
        object: Arc<Object>,
        line_breaks: LineBreaks,
        max_row_bytes: usize,
        wants_heading: bool,
        heading: Option<Arc<Heading>>,
    ) -> Self {
        Self {
            split,
            object,
            line_breaks,
            max_row_bytes,
            stage: Stage::Closed {
                wants_heading,
                heading,
            },
        }
    }

    /// The next piece. After [`Piece::End`] or an error there is none.
    pub(super) fn next(&mut self) -> Result<Piece, FileError> {
        match &mut self.stage {
            Stage::Closed {
                wants_heading,
                heading,
            } => {
                let known = heading.take();
                let heading = match known {
                    None if *wants_heading => self.read_heading()?.map(Arc::new),
                    known => known,
                };
                let place = self.open(heading.as_deref())?;
                Ok(Piece::Opened { heading, place })
            }
            Stage::Open { bytes, offset } => {
                let rest = self.split.end.saturating_sub(*offset);
                let length = match usize::try_from(rest) {
                    Ok(0) => TAIL_BYTES,
                    Ok(rest) => rest.min(CHUNK_BYTES),
                    Err(_) => CHUNK_BYTES,
                };
                let mut chunk = vec![0; length];
                let read = read_full(bytes.as_mut(), &mut chunk)
                    .map_err(|source| reading(&self.split, *offset, source))?;
                chunk.truncate(read);
                *offset += read as u64;
                Ok(if read == 0 {
                    Piece::End
                } else {
                    Piece::Bytes(chunk)
                })
            }
        }
    }

    /// The decompressed bytes from `offset` on, of which those before `needed` will be read.
    fn open_bytes(&self, offset: u64, needed: u64) -> Result<Box<dyn Read + Send>, FileError> {
        let compression = self.split.compression;
        if compression == Compression::None {
            return self.object.open(offset, needed);
        }
        let failed = |source| reading(&self.split, offset, source);
        // How far decompressed bytes reach back in the file is not known: what is needed of a little is little.
        let needed = if needed > offset { u64::MAX } else { 0 };
        let mut bytes = compression
            .decompress(self.object.open(0, needed)?)
            .map_err(failed)?;
        io::copy(&mut bytes.by_ref().take(offset), &mut io::sink()).map_err(failed)?;
        Ok(bytes)
    }

    /// The first row of the file; `None` if the file is empty.
    fn read_heading(&self) -> Result<Option<Heading>, FileError> {
        let mut bytes = self.open_bytes(0, 0)?;
        let mut framer = Framer::new(0, self.max_row_bytes, self.line_breaks, EmptyRows::Skipped);
        let mut offset = 0;
        loop {
            match framer.next() {
                Next::Ended => return Ok(None),
                Next::Starved => {
                    let mut chunk = [0; TAIL_BYTES];
                    let read = read_full(bytes.as_mut(), &mut chunk)
                        .map_err(|source| reading(&self.split, offset, source))?;
                    offset += read as u64;
                    if read == 0 {
                        framer.end();
                    } else {
                        framer.feed(&chunk[..read]);
                    }
                }
                Next::Row(row) => {
                    let Content::Whole(row) = row.content else {
                        return Err(FileError::Heading {
                            path: self.split.path.clone(),
                            reason: format!("it is longer than {} bytes", self.max_row_bytes),
                        });
                    };
                    let row = row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row).to_vec();
                    framer.consume();
                    let (end, lines) = (framer.offset(), framer.lines());
                    return Ok(Some(Heading { row, end, lines }));
                }
            }
        }
    }

    /// Opens the file at the split's first row that has not been read.
    fn open(&mut self, heading: Option<&Heading>) -> Result<Place, FileError> {
        let place = match self.split.progress {
            Progress::At(place) => place,
            Progress::Fresh | Progress::Finished => {
                let body = heading.map_or(0, |heading| heading.end);
                let start = self.split.start.max(body);
                let origin = if start > body {
                    self.row_start(start)?
                } else {
                    start
                };
                Place {
                    origin,
                    next: origin,
                    lines: 0,
                }
            }
        };
        let bytes = self.open_bytes(place.next, self.split.end)?;
        self.stage = Stage::Open {
            bytes,
            offset: place.next,
        };
        Ok(place)
    }

    /// Where the first row at or after `start` starts: after the first line break at or after the byte before it.
    fn row_start(&self, start: u64) -> Result<u64, FileError> {
        let mut offset = start - 1;
        let mut bytes = self.open_bytes(offset, 0)?;
        let mut chunk = [0; TAIL_BYTES];
        loop {
            let read = read_full(bytes.as_mut(), &mut chunk)
                .map_err(|source| reading(&self.split, offset, source))?;
            if let Some(at) = memchr::memchr(b'\n', &chunk[..read]) {
                return Ok(offset + at as u64 + 1);
            }
            offset += read as u64;
            if read == 0 || offset >= self.split.end {
                // The row that covers the whole split belongs to an earlier one.
                return Ok(offset.max(self.split.end));
            }
        }
    }
}

/// What some writers put in front of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Counts the line breaks before `end`, to say on which line a row is.
pub(super) fn count_lines(object: &Arc<Object>, split: &FileSplit, end: u64) -> Result<u64, FileError> {
    let mut bytes = object.open(0, end)?.take(end);
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut lines, mut offset) = (0, 0);
    loop {
        let read = read_full(&mut bytes, &mut chunk).map_err(|source| reading(split, offset, source))?;
        if read == 0 {
            return Ok(lines);
        }
        lines += memchr::memchr_iter(b'\n', &chunk[..read]).count() as u64;
        offset += read as u64;
    }
}

fn reading(split: &FileSplit, offset: u64, source: io::Error) -> FileError {
    FileError::reading(&split.path, offset, source)
}

/// Reads until the buffer is full or the input ends.
fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

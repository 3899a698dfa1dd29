//! Cuts bytes into rows. Pure: bytes are fed in whatever pieces they come, and the rows are the same.
//!
//! A row ends with a line feed, and a carriage return before it is dropped; so are empty rows where they say nothing. Where line breaks may be
//! quoted, one inside double quotes is part of the row. A row longer than the limit is never held: only that it was
//! there, and how it began.

/// How much of a row that is too long is kept to show it.
const PREFIX_BYTES: usize = 4096;

/// How many consumed bytes are kept in front before the buffer is moved up.
const COMPACT_BYTES: usize = 256 * 1024;

/// Whether a line break can be part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineBreaks {
    /// Every line break ends a row.
    EndRows,
    /// A line break inside double quotes is part of the row.
    MayBeQuoted,
}

/// What becomes of rows without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmptyRows {
    /// They are rows like others.
    Kept,
    /// They are passed over.
    Skipped,
}

/// A row of the input and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Where in the input it starts.
    pub(super) offset: u64,
    /// How many line breaks the framer has seen before it.
    pub(super) lines: u64,
    /// What it holds.
    pub(super) content: Content<'a>,
}

/// What a row holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// The row without its line break.
    Whole(&'a [u8]),
    /// A row beyond the limit: how it begins.
    TooLong(&'a [u8]),
}

/// What the framer can say about the next row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A row. It stays the next one until it is [consumed](Framer::consume).
    Row(Row<'a>),
    /// More bytes are needed.
    Starved,
    /// The input has ended and so have the rows.
    Ended,
}

/// What is known about the row at the front.
#[derive(Clone, Copy, Debug)]
enum Front {
    /// So many bytes have been looked at.
    Searching { scanned: usize, quotes: Quotes },
    /// It is so many bytes long, of which the last so many are its line break.
    Found {
        length: usize,
        line_break: usize,
        breaks: u64,
    },
    /// It is too long. So many bytes of it were dropped after the prefix that is at the front.
    Dropping {
        dropped: u64,
        quotes: Quotes,
        breaks: u64,
    },
    /// It is too long, and ends after so many dropped bytes and `tail` more behind the prefix.
    Dropped { dropped: u64, tail: usize, breaks: u64 },
}

/// The quotes of a row, as far as it has been looked at.
#[derive(Clone, Copy, Debug)]
struct Quotes {
    are_open: bool,
    /// How many line breaks were inside of quotes.
    breaks: u64,
}

const NO_QUOTES: Quotes = Quotes {
    are_open: false,
    breaks: 0,
};

const SEARCHING: Front = Front::Searching {
    scanned: 0,
    quotes: NO_QUOTES,
};

/// Cuts bytes into rows and knows where in the input they are.
pub(super) struct Framer {
    buffer: Vec<u8>,
    start: usize,
    front: Front,
    /// Where in the input the front row starts.
    offset: u64,
    /// How many line breaks have been consumed.
    lines: u64,
    ended: bool,
    limit: usize,
    line_breaks: LineBreaks,
    empty_rows: EmptyRows,
}

impl Framer {
    /// A framer whose first byte will be the one at `offset`, which is where a row starts.
    pub(super) fn new(offset: u64, limit: usize, line_breaks: LineBreaks, empty_rows: EmptyRows) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            front: SEARCHING,
            offset,
            lines: 0,
            ended: false,
            limit: limit.max(1),
            line_breaks,
            empty_rows,
        }
    }

    /// Where in the input the next row starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many line breaks have been consumed.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes the next bytes of the input.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.start >= COMPACT_BYTES || self.start == self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no bytes follow.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Finds the next row.
    pub(super) fn next(&mut self) -> Next<'_> {
        self.search();
        let bytes = &self.buffer[self.start..];
        let content = match self.front {
            Front::Found {
                length, line_break, ..
            } => Content::Whole(&bytes[..length - line_break]),
            Front::Dropped { .. } => Content::TooLong(&bytes[..PREFIX_BYTES.min(self.limit)]),
            Front::Searching { .. } if self.ended && bytes.is_empty() => return Next::Ended,
            Front::Searching { .. } | Front::Dropping { .. } => return Next::Starved,
        };
        Next::Row(Row {
            offset: self.offset,
            lines: self.lines,
            content,
        })
    }

    /// Goes on to the row after the one that [`next`](Self::next) found.
    pub(super) fn consume(&mut self) {
        let (held, dropped, breaks) = match self.front {
            Front::Found { length, breaks, .. } => (length, 0, breaks),
            Front::Dropped {
                dropped,
                tail,
                breaks,
            } => (PREFIX_BYTES.min(self.limit) + tail, dropped, breaks),
            Front::Searching { .. } | Front::Dropping { .. } => return,
        };
        self.start += held;
        self.offset += held as u64 + dropped;
        self.lines += breaks;
        self.front = SEARCHING;
    }

    fn search(&mut self) {
        loop {
            let bytes = &self.buffer[self.start..];
            match self.front {
                Front::Found { .. } | Front::Dropped { .. } => return,
                Front::Searching { scanned, mut quotes } => {
                    match find_end(&bytes[scanned..], &mut quotes, self.line_breaks) {
                        Some(found) => self.found(scanned + found + 1, quotes.breaks + 1),
                        None if self.ended && !bytes.is_empty() => self.found(bytes.len(), quotes.breaks),
                        None => {
                            self.front = Front::Searching {
                                scanned: bytes.len(),
                                quotes,
                            };
                            if bytes.len() <= self.limit + 2 {
                                return;
                            }
                            self.front = Front::Dropping {
                                dropped: 0,
                                quotes,
                                breaks: count_breaks(&bytes[..PREFIX_BYTES.min(self.limit)]),
                            };
                            self.drop_scanned();
                            return;
                        }
                    }
                }
                Front::Dropping {
                    dropped,
                    mut quotes,
                    breaks,
                } => {
                    let prefix = PREFIX_BYTES.min(self.limit);
                    match find_end(&bytes[prefix..], &mut quotes, self.line_breaks) {
                        Some(found) => {
                            let tail = found + 1;
                            let breaks = breaks + count_breaks(&bytes[prefix..prefix + tail]);
                            self.front = Front::Dropped {
                                dropped,
                                tail,
                                breaks,
                            };
                        }
                        None if self.ended => {
                            let tail = bytes.len() - prefix;
                            let breaks = breaks + count_breaks(&bytes[prefix..]);
                            self.front = Front::Dropped {
                                dropped,
                                tail,
                                breaks,
                            };
                        }
                        None => {
                            self.front = Front::Dropping {
                                dropped,
                                quotes,
                                breaks,
                            };
                            self.drop_scanned();
                            return;
                        }
                    }
                }
            }
            self.skip_empty();
        }
    }

    /// Drops what has been looked at of a row that is too long, but for its prefix.
    fn drop_scanned(&mut self) {
        let Front::Dropping { dropped, breaks, .. } = &mut self.front else {
            return;
        };
        let keep = self.start + PREFIX_BYTES.min(self.limit);
        *dropped += (self.buffer.len() - keep) as u64;
        *breaks += count_breaks(&self.buffer[keep..]);
        self.buffer.truncate(keep);
    }

    /// The row at the front is so many bytes long and holds so many line breaks, the one that ends it included.
    fn found(&mut self, length: usize, breaks: u64) {
        let row = &self.buffer[self.start..self.start + length];
        let line_break = match row {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            // The last row, which no line feed ends.
            [.., b'\r'] => 1,
            _ => 0,
        };
        self.front = if length - line_break > self.limit {
            let prefix = PREFIX_BYTES.min(self.limit);
            Front::Dropped {
                dropped: 0,
                tail: length - prefix,
                breaks,
            }
        } else {
            Front::Found {
                length,
                line_break,
                breaks,
            }
        };
    }

    fn skip_empty(&mut self) {
        if let Front::Found {
            length, line_break, ..
        } = self.front
            && length == line_break
            && self.empty_rows == EmptyRows::Skipped
        {
            self.consume();
        }
    }
}

/// The position of the line break that ends a row, if it is there. `quotes` are those before these bytes, and after that
/// those before that position.
fn find_end(bytes: &[u8], quotes: &mut Quotes, line_breaks: LineBreaks) -> Option<usize> {
    match line_breaks {
        LineBreaks::EndRows => memchr::memchr(b'\n', bytes),
        LineBreaks::MayBeQuoted => {
            // A doubled quote closes and opens again: the state after both is right.
            for at in memchr::memchr2_iter(b'\n', b'"', bytes) {
                match bytes[at] {
                    b'"' => quotes.are_open = !quotes.are_open,
                    _ if quotes.are_open => quotes.breaks += 1,
                    _ => return Some(at),
                }
            }
            None
        }
    }
}

fn count_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Seen {
        Whole(Vec<u8>),
        TooLong(Vec<u8>),
    }

    /// Rows with the offset and the number of line breaks before each.
    fn rows(pieces: &[&[u8]], limit: usize, line_breaks: LineBreaks) -> Vec<(u64, u64, Seen)> {
        let mut framer = Framer::new(0, limit, line_breaks, EmptyRows::Skipped);
        let mut rows = Vec::new();
        let mut pieces = pieces.iter();
        loop {
            match framer.next() {
                Next::Row(row) => {
                    let content = match row.content {
                        Content::Whole(row) => Seen::Whole(row.to_vec()),
                        Content::TooLong(row) => Seen::TooLong(row.to_vec()),
                    };
                    rows.push((row.offset, row.lines, content));
                }
                Next::Starved => {
                    match pieces.next() {
                        Some(piece) => framer.feed(piece),
                        None => framer.end(),
                    }
                    continue;
                }
                Next::Ended => return rows,
            }
            framer.consume();
        }
    }

    fn whole(row: &str) -> Seen {
        Seen::Whole(row.into())
    }

    #[test]
    fn rows_end_at_line_breaks() {
        type Expected = &'static [(u64, u64, &'static str)];
        let cases: &[(&str, Expected)] = &[
            ("", &[]),
            ("a", &[(0, 0, "a")]),
            ("a\n", &[(0, 0, "a")]),
            ("a\r\nb\r\n", &[(0, 0, "a"), (3, 1, "b")]),
            ("\n\na\n\n\nb", &[(2, 2, "a"), (6, 5, "b")]),
            ("a\nb\r", &[(0, 0, "a"), (2, 1, "b")]),
        ];
        for (input, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(o, l, row)| (*o, *l, whole(row))).collect();
            assert_eq!(
                rows(&[input.as_bytes()], 100, LineBreaks::EndRows),
                expected,
                "{input:?}"
            );
        }
    }

    #[test]
    fn a_quoted_line_break_is_part_of_its_row() {
        let input = b"a,\"1\n2\"\"\n\"\nb\n";
        let expected = [(0, 0, whole("a,\"1\n2\"\"\n\"")), (11, 3, whole("b"))];
        assert_eq!(rows(&[input], 100, LineBreaks::MayBeQuoted), expected);
    }

    #[test]
    fn a_row_beyond_the_limit_is_told_and_never_held() {
        let mut framer = Framer::new(0, 1000, LineBreaks::EndRows, EmptyRows::Skipped);
        for _ in 0..10_000 {
            framer.feed(&[b'x'; 1000]);
            assert_eq!(framer.next(), Next::Starved);
            assert!(
                framer.buffer.capacity() < 16 * 1024,
                "{}",
                framer.buffer.capacity()
            );
        }
        framer.feed(b"\nshort\n");
        assert!(
            matches!(framer.next(), Next::Row(Row { content: Content::TooLong(prefix), .. }) if prefix.len() == 1000)
        );
        framer.consume();
        assert_eq!((framer.offset(), framer.lines()), (10_000_001, 1));
        assert!(matches!(
            framer.next(),
            Next::Row(Row {
                content: Content::Whole(b"short"),
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn rows_are_the_same_whatever_the_pieces(
            input in "[ab\"\r\n]{0,80}", cuts in prop::collection::vec(0usize..80, 0..8), limit in 1usize..12,
            quoted in any::<bool>(),
        ) {
            let input = input.as_bytes();
            let line_breaks = if quoted { LineBreaks::MayBeQuoted } else { LineBreaks::EndRows };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
            prop_assert_eq!(rows(&pieces, limit, line_breaks), rows(&[input], limit, line_breaks));
        }

        #[test]
        fn rows_are_lines(input in "[ab\n]{0,80}") {
            let expected: Vec<_> = input.lines().filter(|line| !line.is_empty()).map(whole).collect();
            let found: Vec<_> =
                rows(&[input.as_bytes()], 1000, LineBreaks::EndRows).into_iter().map(|(_, _, row)| row).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

//! Reads the splits of one task, one after the other, in order.

use std::{
    marker::PhantomData,
    sync::Arc,
    task::{Poll, Waker},
};

use serde::de::DeserializeOwned;
use tidegate_core::{
    Batch, Io, OperatorContext, OperatorError, Output, TARGET_RECORDS,
    source::{SourceReader, SourceStatus, Split, SplitMark},
    target_records,
};

use super::{
    background::ReadAhead,
    decoder::Decoder,
    framer::{Content, Framer, Next},
    input::{BYTE_ORDER_MARK, Heading, Input, Piece, count_lines},
    object::Object,
    options::Options,
    row::{MALFORMED_ROWS, MalformedRow, OnMalformed, RowError, text},
    split::{FileSplit, Place, Progress},
};
use crate::{
    FileError,
    completion::{Completion, completion},
    location::Stores,
};

/// After how many bytes of rows a poll ends even if its batch is not full, so that long rows do not hold the thread.
const POLL_BYTES: usize = 128 * 1024;

pub(super) struct Reader<T> {
    options: Arc<Options>,
    stores: Arc<Stores>,
    io: Arc<dyn Io>,
    splits: Vec<(u32, FileSplit)>,
    current: Option<Reading>,
    /// The heading of the file read last: its other splits need not read it again.
    heading: Option<(String, Arc<Heading>)>,
    records: PhantomData<fn() -> T>,
}

/// A split that is being read.
struct Reading {
    /// Its place in the reader's list.
    index: usize,
    object: Arc<Object>,
    pieces: ReadAhead,
    rows: Option<Rows>,
}

/// The rows of a split.
struct Rows {
    framer: Framer,
    decoder: Decoder,
    place: Place,
    lines_before: LinesBefore,
}

/// How many lines of the file are before the split's first row. Counting takes time, so it is done when a row is
/// malformed and not before.
enum LinesBefore {
    Unknown,
    Counting(Completion<Result<u64, FileError>>),
    Known(u64),
}

/// What a step over rows came to.
enum Step {
    /// The batch is full or enough bytes have been looked at.
    Paused,
    /// More bytes are needed.
    Starved,
    /// Another thread has to say something first.
    Waiting,
    /// The split has no more rows.
    Finished,
}

impl<T: DeserializeOwned + Send + 'static> Reader<T> {
    pub(super) fn new(options: Arc<Options>, stores: Arc<Stores>, io: Arc<dyn Io>) -> Self {
        Self {
            options,
            stores,
            io,
            splits: Vec::new(),
            current: None,
            heading: None,
            records: PhantomData,
        }
    }

    /// Starts the next split, if there is one.
    fn start(&mut self) -> Option<Reading> {
        let index = self
            .splits
            .iter()
            .position(|(_, split)| split.progress != Progress::Finished)?;
        let split = self.splits[index].1.clone();
        let heading = match &self.heading {
            Some((path, heading)) if *path == split.path => Some(Arc::clone(heading)),
            _ => None,
        };
        let options = &self.options;
        let object = Object::new(&split, Arc::clone(&self.stores), Arc::clone(&self.io));
        let input = Input::new(
            split,
            Arc::clone(&object),
            options.line_breaks,
            options.max_row_bytes,
            options.format.has_heading(),
            heading,
        );
        Some(Reading {
            index,
            object,
            pieces: ReadAhead::new(Arc::clone(&self.io), input),
            rows: None,
        })
    }

    /// Takes in a piece of the current split.
    fn take(&mut self, reading: &mut Reading, piece: Piece) -> Result<(), FileError> {
        let split = &mut self.splits[reading.index].1;
        match (piece, &mut reading.rows) {
            (Piece::Opened { heading, place }, _) => {
                let row = heading.as_ref().map(|heading| heading.row.as_slice());
                let decoder = Decoder::new(self.options.format, row).map_err(|error| FileError::Heading {
                    path: split.path.clone(),
                    reason: error.reason,
                })?;
                let lines_before = match &heading {
                    _ if place.origin == 0 => LinesBefore::Known(0),
                    Some(heading) if heading.end == place.origin => LinesBefore::Known(heading.lines),
                    _ => LinesBefore::Unknown,
                };
                split.progress = Progress::At(place);
                reading.rows = Some(Rows {
                    framer: Framer::new(
                        place.next,
                        self.options.max_row_bytes,
                        self.options.line_breaks,
                        self.options.format.empty_rows(),
                    ),
                    decoder,
                    place,
                    lines_before,
                });
                if let Some(heading) = heading {
                    self.heading = Some((split.path.clone(), heading));
                }
            }
            (Piece::Bytes(bytes), Some(rows)) => rows.framer.feed(&bytes),
            (Piece::End, Some(rows)) => rows.framer.end(),
            (Piece::Bytes(_) | Piece::End, None) => {}
        }
        Ok(())
    }
}

impl Rows {
    fn place(&self) -> Place {
        Place {
            next: self.framer.offset(),
            lines: self.place.lines + self.framer.lines(),
            ..self.place
        }
    }

    /// How many lines are before the split's first row, once they are counted.
    fn lines_before(&mut self, around: &Surroundings<'_>) -> Result<Option<u64>, FileError> {
        if matches!(self.lines_before, LinesBefore::Unknown) {
            let (completer, counted) = completion();
            let (object, split, end) = (Arc::clone(around.object), around.split.clone(), self.place.origin);
            let count = move || completer.complete(count_lines(&object, &split, end));
            around.io.spawn_blocking(Box::new(count));
            self.lines_before = LinesBefore::Counting(counted);
        }
        if let LinesBefore::Counting(counted) = &self.lines_before {
            match counted.poll_result(around.waker) {
                Poll::Pending => return Ok(None),
                Poll::Ready(None) => {
                    return Err(FileError::unanswered(&around.split.path));
                }
                Poll::Ready(Some(counted)) => self.lines_before = LinesBefore::Known(counted?),
            }
        }
        Ok(match self.lines_before {
            LinesBefore::Known(lines) => Some(lines),
            LinesBefore::Unknown | LinesBefore::Counting(_) => None,
        })
    }
}

/// What a row is, before anything has been done about it.
enum Outcome<T> {
    Record(T),
    Malformed {
        error: RowError,
        lines: u64,
        text: String,
    },
}

/// The surroundings of a step.
struct Surroundings<'a> {
    options: &'a Options,
    split: &'a FileSplit,
    object: &'a Arc<Object>,
    io: &'a dyn Io,
    waker: &'a Waker,
    context: &'a OperatorContext,
}

impl Rows {
    /// Makes records of rows until the batch is full.
    fn step<T: DeserializeOwned>(
        &mut self,
        around: &Surroundings<'_>,
        batch: &mut Batch<T>,
        out: &mut Output<T>,
    ) -> Result<Step, FileError> {
        let mut looked_at = 0;
        loop {
            if batch.len() >= target_records::<T>() || looked_at >= POLL_BYTES {
                return Ok(Step::Paused);
            }
            let row = match self.framer.next() {
                Next::Starved => return Ok(Step::Starved),
                Next::Ended => return Ok(Step::Finished),
                Next::Row(row) if row.offset >= around.split.end => return Ok(Step::Finished),
                Next::Row(row) => row,
            };
            let outcome = match row.content {
                Content::Whole(bytes) => {
                    looked_at += bytes.len() + 1;
                    let bytes = match row.offset {
                        0 => bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes),
                        _ => bytes,
                    };
                    match self.decoder.decode(bytes) {
                        Ok(record) => Outcome::Record(record),
                        Err(error) => Outcome::Malformed {
                            error,
                            lines: row.lines,
                            text: text(bytes),
                        },
                    }
                }
                Content::TooLong(prefix) => Outcome::Malformed {
                    error: RowError {
                        column: 0,
                        reason: format!("the row is longer than {} bytes", around.options.max_row_bytes),
                    },
                    lines: row.lines,
                    text: text(prefix),
                },
            };
            match outcome {
                Outcome::Record(record) => batch.records.push(record),
                Outcome::Malformed { error, lines, text } => {
                    // Rows that are malformed count as looked at, or a file of nothing else would hold the thread.
                    looked_at += POLL_BYTES / TARGET_RECORDS;
                    if !self.refuse(around, error, lines, text, out)? {
                        return Ok(Step::Waiting);
                    }
                }
            }
            self.framer.consume();
        }
    }

    /// Applies the policy to a malformed row. `false` if it has to be seen again later.
    fn refuse<T>(
        &mut self,
        around: &Surroundings<'_>,
        error: RowError,
        lines: u64,
        text: String,
        out: &mut Output<T>,
    ) -> Result<bool, FileError> {
        let policy = around.options.on_malformed;
        if policy == OnMalformed::SkipAndCount {
            around.context.metrics.malformed.add(1);
            return Ok(true);
        }
        let Some(before) = self.lines_before(around)? else {
            return Ok(false);
        };
        let row = MalformedRow {
            file: around.split.path.clone(),
            line: before + self.place.lines + lines + 1,
            column: error.column,
            error: error.reason,
            text,
        };
        if policy == OnMalformed::Fail {
            return Err(FileError::Malformed(Box::new(row)));
        }
        around.context.metrics.malformed.add(1);
        out.emit_side(MALFORMED_ROWS, row, None);
        Ok(true)
    }
}

impl<T: DeserializeOwned + Send + 'static> Reader<T> {
    /// Reads on in the current split.
    fn read(
        &mut self,
        reading: &mut Reading,
        waker: &Waker,
        batch: &mut Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, FileError> {
        loop {
            let step = match &mut reading.rows {
                None => Step::Starved,
                Some(rows) => {
                    let split = &mut self.splits[reading.index].1;
                    let around = Surroundings {
                        options: &self.options,
                        split,
                        object: &reading.object,
                        io: self.io.as_ref(),
                        waker,
                        context,
                    };
                    let step = rows.step(&around, batch, out)?;
                    split.progress = match step {
                        Step::Finished => Progress::Finished,
                        _ => Progress::At(rows.place()),
                    };
                    step
                }
            };
            match step {
                Step::Paused => return Ok(SourceStatus::More),
                Step::Waiting => return Ok(SourceStatus::Waiting),
                Step::Finished => return Ok(SourceStatus::Finished),
                Step::Starved => match reading.pieces.poll(waker) {
                    Some(piece) => self.take(reading, piece?)?,
                    None => return Ok(SourceStatus::Waiting),
                },
            }
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> SourceReader<T> for Reader<T> {
    fn assign(&mut self, splits: Vec<Split>) -> Result<(), OperatorError> {
        for split in splits {
            self.splits.push((split.index, FileSplit::decode(&split)?));
        }
        self.splits.sort_by_key(|(index, _)| *index);
        Ok(())
    }

    fn poll(
        &mut self,
        waker: &Waker,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(mut reading) = self.current.take().or_else(|| self.start()) else {
            return Ok(SourceStatus::Finished);
        };
        let split = self.splits[reading.index].0;
        out.mark(SplitMark::Reading(split));
        let mut batch = Batch::roomy();
        let status = self.read(&mut reading, waker, &mut batch, out, context)?;
        if status != SourceStatus::Finished {
            self.current = Some(reading);
        }
        context.add_received(batch.len());
        out.emit_batch(batch);
        Ok(match status {
            // The next split, if any, is started by the next poll.
            SourceStatus::Finished => {
                out.mark(SplitMark::Ended(split));
                SourceStatus::More
            }
            status => status,
        })
    }

    fn snapshot(&mut self) -> Result<Vec<Split>, OperatorError> {
        self.splits
            .iter()
            .map(|(index, split)| split.encode(*index))
            .collect()
    }
}

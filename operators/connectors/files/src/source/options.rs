//! A file source and how it is set up.

use std::{marker::PhantomData, path::Path, sync::Arc};

use serde::de::DeserializeOwned;
use tidegate_core::{
    OperatorContext, OperatorError,
    source::{Source, SourceReader, Split},
};

use super::{
    decoder::Format,
    framer::LineBreaks,
    reader::Reader,
    row::OnMalformed,
    split::{FileSplit, discover},
};

/// The default length of a split.
const SPLIT_BYTES: u64 = 32 * 1024 * 1024;

/// The default limit of a row.
const MAX_ROW_BYTES: usize = 16 * 1024 * 1024;

/// Whether files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// Those whose name ends in `.gz` are.
    #[default]
    ByExtension,
    /// None is.
    None,
    /// All are, with gzip.
    Gzip,
}

/// Reads records from local files.
///
/// The files are those that match a glob when the job first starts, in the order of their names. Uncompressed files are
/// cut into runs of bytes that tasks read in parallel; a run owns the rows that start in it. The position in the
/// snapshot is the offset after the last row emitted, so a restart reads each row exactly once. Reading is done away
/// from the executor, a few chunks ahead; parsing on it.
///
/// ```no_run
/// use tidegate_files::{FileSource, OnMalformed};
///
/// #[derive(serde::Deserialize)]
/// struct Flight {
///     carrier: String,
///     dep_delay_min: Option<i32>,
/// }
///
/// let source = FileSource::csv::<Flight>("flights/*.csv.gz").on_malformed(OnMalformed::SkipAndCount);
/// ```
pub struct FileSource<T = ()> {
    options: Arc<Options>,
    records: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) glob: String,
    pub(super) format: Format,
    pub(super) line_breaks: LineBreaks,
    pub(super) compression: Compression,
    pub(super) split_bytes: u64,
    pub(super) max_row_bytes: usize,
    pub(super) on_malformed: OnMalformed,
}

impl Options {
    /// Whether a row can be found from the middle of a file.
    pub(super) fn is_splittable(&self) -> bool {
        self.line_breaks == LineBreaks::EndRows
    }
}

impl FileSource {
    /// Reads CSV files with a heading, whose names are those of the fields of `T`.
    pub fn csv<T: DeserializeOwned>(glob: impl AsRef<Path>) -> FileSource<T> {
        let heading = true;
        FileSource::with_format(
            glob.as_ref(),
            Format::Csv {
                delimiter: b',',
                heading,
            },
        )
    }

    /// Reads files with one JSON value on each line.
    pub fn json_lines<T: DeserializeOwned>(glob: impl AsRef<Path>) -> FileSource<T> {
        FileSource::with_format(glob.as_ref(), Format::JsonLines)
    }
}

impl<T> FileSource<T> {
    fn with_format(glob: &Path, format: Format) -> Self {
        Self {
            options: Arc::new(Options {
                glob: glob.to_string_lossy().into_owned(),
                format,
                line_breaks: LineBreaks::EndRows,
                compression: Compression::default(),
                split_bytes: SPLIT_BYTES,
                max_row_bytes: MAX_ROW_BYTES,
                on_malformed: OnMalformed::default(),
            }),
            records: PhantomData,
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// What becomes of rows that are no records; the task fails unless set.
    #[must_use]
    pub fn on_malformed(self, policy: OnMalformed) -> Self {
        self.change(|options| options.on_malformed = policy)
    }

    /// Whether files are compressed; by default those ending in `.gz` are. A compressed file is read by one task.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.change(|options| options.compression = compression)
    }

    /// The length of the runs of bytes into which uncompressed files are cut: 32 MiB unless set.
    #[must_use]
    pub fn split_bytes(self, bytes: u64) -> Self {
        self.change(|options| options.split_bytes = bytes)
    }

    /// The length beyond which a row is malformed, and is not held: 16 MiB unless set.
    #[must_use]
    pub fn max_row_bytes(self, bytes: usize) -> Self {
        self.change(|options| options.max_row_bytes = bytes)
    }

    /// CSV: fields are divided by this byte, a comma unless set.
    #[must_use]
    pub fn delimiter(self, byte: u8) -> Self {
        self.change(|options| {
            if let Format::Csv { delimiter, .. } = &mut options.format {
                *delimiter = byte;
            }
        })
    }

    /// CSV: there is no heading; the fields of `T` are in the order of the columns.
    #[must_use]
    pub fn without_heading(self) -> Self {
        self.change(|options| {
            if let Format::Csv { heading, .. } = &mut options.format {
                *heading = false;
            }
        })
    }

    /// CSV: a line break inside double quotes is part of its field. Such files cannot be cut: each is read by one task.
    /// Without this a row with an unclosed quote is malformed.
    #[must_use]
    pub fn quoted_line_breaks(self) -> Self {
        self.change(|options| {
            if matches!(options.format, Format::Csv { .. }) {
                options.line_breaks = LineBreaks::MayBeQuoted;
            }
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Source<T> for FileSource<T> {
    fn discover(&self, _parallelism: u32) -> Result<Vec<Split>, OperatorError> {
        let splits: Vec<FileSplit> = discover(&self.options)?;
        (0..)
            .zip(splits)
            .map(|(index, split)| split.encode(index))
            .collect()
    }

    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        let reader = Reader::<T>::new(Arc::clone(&self.options), Arc::clone(&context.io));
        Ok(Box::new(reader))
    }
}

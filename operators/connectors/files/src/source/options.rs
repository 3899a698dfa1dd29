//! A file source and how it is set up.

use std::{
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::ObjectStore;
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
use crate::{Compression, FileError, location::Stores};

/// The default length of a split.
const SPLIT_BYTES: u64 = 32 * 1024 * 1024;

/// The default limit of a row.
const MAX_ROW_BYTES: usize = 16 * 1024 * 1024;

/// Reads records from files, on this machine or in an object store.
///
/// A location is a path (`flights/*.csv`) or a URL: `file:///flights/*.csv`, with the feature `s3`
/// `s3://bucket/flights/**/*.csv.zst`, and others as [`location`](crate#locations) says. `*`, `?` and `[…]` stand for
/// parts of a name that does not begin with a dot, `**` for folders at any depth.
///
/// The files are those that match when the job first starts, in the order of their names. Uncompressed files are cut into
/// runs of bytes that tasks read in parallel; a run owns the rows that start in it. Compressed ones, by their names those
/// that end in `.gz` or `.zst`, are read by one task each. The position in the snapshot is the (decompressed) offset after
/// the last row emitted, so a restart reads each row exactly once. Files must stay as they are while the job reads them:
/// one that has changed since it was found fails the task with its name. Reading is done away from the executor, a few
/// chunks ahead; parsing on it.
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
    stores: Arc<Stores>,
    records: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    glob: PathBuf,
    pub(super) format: Format,
    pub(super) line_breaks: LineBreaks,
    /// By the file's name if it is not said.
    pub(super) compression: Option<Compression>,
    pub(super) split_bytes: u64,
    pub(super) max_row_bytes: usize,
    pub(super) on_malformed: OnMalformed,
}

impl Options {
    /// Which files are meant.
    pub(super) fn pattern(&self) -> Result<&str, FileError> {
        self.glob.to_str().ok_or_else(|| FileError::Name {
            path: self.glob.clone(),
        })
    }

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

    /// Reads text files line by line, empty lines too.
    pub fn lines(glob: impl AsRef<Path>) -> FileSource<String> {
        FileSource::with_format(glob.as_ref(), Format::Lines)
    }
}

impl<T> FileSource<T> {
    fn with_format(glob: &Path, format: Format) -> Self {
        Self {
            options: Arc::new(Options {
                glob: glob.to_path_buf(),
                format,
                line_breaks: LineBreaks::EndRows,
                compression: None,
                split_bytes: SPLIT_BYTES,
                max_row_bytes: MAX_ROW_BYTES,
                on_malformed: OnMalformed::default(),
            }),
            stores: Arc::default(),
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

    /// How files are compressed, whatever their names say.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.change(|options| options.compression = Some(compression))
    }

    /// Sets an option of the object store, such as `region`, `endpoint` or `allow_http`: the names are those of
    /// `object_store`'s configuration keys. Options are also taken from the environment, where their names begin with
    /// `AWS_`, `GOOGLE_` or `AZURE_`; those set here win.
    #[must_use]
    pub fn store_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.stores).set_option(name.into(), value.into());
        self
    }

    /// Reads from this store, whatever the location says: its path is the key, and names stay as they are written.
    #[must_use]
    pub fn object_store(mut self, store: Arc<dyn ObjectStore>) -> Self {
        Arc::make_mut(&mut self.stores).set_store(store);
        self
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
        let splits: Vec<FileSplit> = discover(&self.options, &self.stores)?;
        (0..)
            .zip(splits)
            .map(|(index, split)| split.encode(index))
            .collect()
    }

    fn reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader<T>>, OperatorError> {
        let reader = Reader::<T>::new(
            Arc::clone(&self.options),
            Arc::clone(&self.stores),
            Arc::clone(&context.io),
        );
        Ok(Box::new(reader))
    }
}

//! Splits of a file source: which bytes of which file, and how far they have been read.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_core::{OperatorError, snapshot::StateError, source::Split};

use super::options::{Compression, Options};
use crate::FileError;

/// A run of bytes of a file. It owns the rows that start in it; the last of them may end beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileSplit {
    pub(super) path: String,
    /// The file's size when it was discovered.
    pub(super) size: u64,
    pub(super) gzip: bool,
    pub(super) start: u64,
    /// The byte after the last. A compressed file has one split without end.
    pub(super) end: u64,
    pub(super) progress: Progress,
}

/// How far a split has been read. Offsets in compressed files are those of the decompressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Progress {
    /// Not at all.
    Fresh,
    /// Somewhat.
    At(Place),
    /// To its end.
    Finished,
}

/// A place between two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Where the split's first row starts.
    pub(super) origin: u64,
    /// Where the next row starts.
    pub(super) next: u64,
    /// How many line breaks are between the two.
    pub(super) lines: u64,
}

impl FileSplit {
    pub(super) fn encode(&self, index: u32) -> Result<Split, OperatorError> {
        match postcard::to_stdvec(self) {
            Ok(state) => Ok(Split { index, state }),
            Err(error) => Err(OperatorError::State(StateError::Unserialisable {
                state: format!("split {index}"),
                reason: error.to_string(),
            })),
        }
    }

    pub(super) fn decode(split: &Split) -> Result<Self, OperatorError> {
        postcard::from_bytes(&split.state).map_err(|error| {
            OperatorError::State(StateError::Corrupt {
                state: format!("split {}", split.index),
                offset: 0,
                reason: error.to_string(),
            })
        })
    }
}

/// Finds the files, in the order of their names, and cuts them.
pub(super) fn discover(options: &Options) -> Result<Vec<FileSplit>, FileError> {
    let pattern = &options.glob;
    let paths = glob::glob(pattern).map_err(|error| FileError::Pattern {
        glob: pattern.clone(),
        reason: error.to_string(),
    })?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| FileError::Read {
            path: error.path().to_path_buf(),
            offset: 0,
            source: error.into(),
        })?;
        let metadata = std::fs::metadata(&path).map_err(|source| FileError::Read {
            path: path.clone(),
            offset: 0,
            source,
        })?;
        if metadata.is_file() {
            let name = path.to_str().map(String::from);
            files.push((name.ok_or(FileError::Name { path })?, metadata.len()));
        }
    }
    if files.is_empty() {
        return Err(FileError::NoMatch {
            glob: pattern.clone(),
        });
    }
    files.sort();
    Ok(files
        .into_iter()
        .flat_map(|(path, size)| cut(path, size, options))
        .collect())
}

fn cut(path: String, size: u64, options: &Options) -> Vec<FileSplit> {
    let gzip = match options.compression {
        Compression::ByExtension => Path::new(&path)
            .extension()
            .is_some_and(|extension| extension == "gz"),
        Compression::None => false,
        Compression::Gzip => true,
    };
    let split = |start, end| FileSplit {
        path: path.clone(),
        size,
        gzip,
        start,
        end,
        progress: Progress::Fresh,
    };
    if gzip || !options.is_splittable() {
        return vec![split(0, u64::MAX)];
    }
    let length = options.split_bytes.max(1);
    (0..size.div_ceil(length))
        .map(|index| split(index * length, size.min((index + 1).saturating_mul(length))))
        .collect()
}

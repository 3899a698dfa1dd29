//! Splits of a file source: which bytes of which file, and how far they have been read.

use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use tidegate_core::{OperatorError, snapshot::StateError, source::Split};

use super::{
    listing::{self, Found},
    object::Version,
    options::Options,
};
use crate::{Compression, FileError, location::Stores};

/// A run of bytes of a file. It owns the rows that start in it; the last of them may end beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileSplit {
    /// A path, or a URL.
    pub(super) path: String,
    /// The file's size when it was discovered.
    pub(super) size: u64,
    pub(super) compression: Compression,
    pub(super) start: u64,
    /// The byte after the last. A compressed file has one split without end.
    pub(super) end: u64,
    pub(super) progress: Progress,
    /// Which file it was when it was discovered. It follows the rest in the snapshot and may be missing there.
    #[serde(skip)]
    pub(super) version: Option<Version>,
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
        let state = match &self.version {
            Some(version) => postcard::to_stdvec(&(self, version)),
            None => postcard::to_stdvec(self),
        };
        match state {
            Ok(state) => Ok(Split { index, state }),
            Err(error) => Err(OperatorError::State(StateError::Unserialisable {
                state: format!("split {index}"),
                reason: error.to_string(),
            })),
        }
    }

    pub(super) fn decode(split: &Split) -> Result<Self, OperatorError> {
        let decode = || {
            let (mut decoded, rest) = postcard::take_from_bytes::<Self>(&split.state)?;
            if !rest.is_empty() {
                decoded.version = Some(postcard::from_bytes(rest)?);
            }
            Ok(decoded)
        };
        decode().map_err(|error: postcard::Error| {
            OperatorError::State(StateError::Corrupt {
                state: format!("split {}", split.index),
                offset: 0,
                reason: error.to_string(),
            })
        })
    }
}

/// Finds the files, in the order of their names, and cuts them. Blocks.
pub(super) fn discover(options: &Options, stores: &Stores) -> Result<Vec<FileSplit>, FileError> {
    let pattern = options.pattern()?;
    let found = block_on(listing::list(stores, pattern))?;
    if found.is_empty() {
        return Err(FileError::NoMatch {
            glob: pattern.to_owned(),
        });
    }
    Ok(found.iter().flat_map(|found| cut(found, options)).collect())
}

fn cut(found: &Found, options: &Options) -> Vec<FileSplit> {
    let size = found.meta.size;
    let compression = options
        .compression
        .unwrap_or_else(|| Compression::of_name(&found.name));
    let split = |start, end| FileSplit {
        path: found.name.clone(),
        size,
        compression,
        start,
        end,
        progress: Progress::Fresh,
        version: Some(Version::of(&found.meta)),
    };
    if compression != Compression::None || !options.is_splittable() {
        return vec![split(0, u64::MAX)];
    }
    let length = options.split_bytes.max(1);
    (0..size.div_ceil(length))
        .map(|index| split(index * length, size.min((index + 1).saturating_mul(length))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_come_back_and_those_of_old_do_too() {
        #[derive(Serialize)]
        struct Old(String, u64, bool, u64, u64, Progress);
        let place = Place {
            origin: 3,
            next: 30,
            lines: 2,
        };
        let old = Old("a.csv.gz".into(), 100, true, 0, u64::MAX, Progress::At(place));
        let state = postcard::to_stdvec(&old).unwrap();
        let mut split = FileSplit::decode(&Split { index: 5, state }).unwrap();
        assert_eq!(
            (split.compression, split.version.as_ref()),
            (Compression::Gzip, None)
        );
        assert_eq!(split.progress, Progress::At(place));
        assert_eq!(FileSplit::decode(&split.encode(5).unwrap()).unwrap(), split);
        split.version = Some(Version::of(&object_store::ObjectMeta {
            location: "a".into(),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 100,
            e_tag: Some("tag".into()),
            version: None,
        }));
        assert_eq!(FileSplit::decode(&split.encode(5).unwrap()).unwrap(), split);
    }
}

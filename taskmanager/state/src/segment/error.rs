//! What can be wrong with a segment.

/// A segment that cannot be read or written, with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {object:?} at byte {offset}: {problem}")]
pub struct SegmentError {
    /// The object.
    pub object: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub problem: SegmentProblem,
}

/// What is wrong at that place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentProblem {
    /// The object is smaller than the least that a segment needs, or than its index says.
    #[error("the object ends early: {needed} bytes are needed, {present} are there")]
    Truncated {
        /// How many bytes are needed.
        needed: u64,
        /// How many there are.
        present: u64,
    },
    /// The object is something else.
    #[error("this is no segment of tidegate")]
    Magic,
    /// The object was written by a version that this one does not know.
    #[error(
        "it has format version {found}, this version reads version {known}; restore with the version that wrote it"
    )]
    Version {
        /// What it has.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// Bytes are not what was written.
    #[error("its checksum is {found:08x} instead of {expected:08x}; restore the object from a copy")]
    Checksum {
        /// What was written.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// The index contradicts itself or the object.
    #[error("its index is damaged: {reason}")]
    Index {
        /// In which way.
        reason: String,
    },
    /// A block does not fit the format.
    #[error("a block of {length} bytes is larger than a segment can hold; use more key groups")]
    BlockTooLarge {
        /// Its size.
        length: u64,
    },
}

impl SegmentProblem {
    pub(super) fn at(self, object: &str, offset: u64) -> SegmentError {
        SegmentError {
            object: object.to_owned(),
            offset,
            problem: self,
        }
    }
}

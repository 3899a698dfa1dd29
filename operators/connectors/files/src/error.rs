//! What can go wrong with files, with which file and what to do.

use std::{io, path::PathBuf};

use tidegate_core::OperatorError;
use tidegate_storage::{OpenError, Refusal, os_error};

use crate::source::MalformedRow;

/// Why a file source or sink could not go on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A glob that cannot be parsed.
    #[error("the input pattern {glob:?} is not a glob: {reason}")]
    Pattern {
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No file to read.
    #[error("no file matches the input pattern {glob:?}; check the path and that the files are there")]
    NoMatch {
        /// The pattern.
        glob: String,
    },
    /// A path that cannot be kept in a snapshot.
    #[error("the path {path:?} is not valid UTF-8; rename what it leads to")]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// A location that leads to no store.
    #[error(transparent)]
    Location(OpenError),
    /// An object store that does not let the job do what it must.
    #[error("cannot use {path:?}: {refusal}")]
    Refused {
        /// The object.
        path: String,
        /// Why, and what to do.
        refusal: Refusal,
    },
    /// An object store on which nothing can be published exactly once.
    #[error(
        "cannot publish to {path:?} exactly once: the object store does not copy only where nothing is: {reason}; for stores like S3 set the option `aws_copy_if_not_exists` to the way it has"
    )]
    NoConditionalWrites {
        /// Where the output was to go.
        path: String,
        /// How that showed.
        reason: String,
    },
    /// A file that could not be read.
    #[error("cannot read {path:?} at byte {offset}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Where in it, decompressed.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it was when the job first saw it.
    #[error(
        "the input file {path:?} has changed since the job first saw it: {what}; input files must stay as they are while a job reads them"
    )]
    Changed {
        /// The file.
        path: String,
        /// What is different.
        what: String,
    },
    /// A row that is no record, under [`OnMalformed::Fail`](crate::OnMalformed::Fail).
    #[error(
        "{}, line {}, column {}: {}; skip such rows or send them to the dead letters with `on_malformed`", .0.file, .0.line, .0.column, .0.error
    )]
    Malformed(Box<MalformedRow>),
    /// The heading of a CSV file is missing or no heading.
    #[error("the heading of {path:?} cannot be read: {reason}")]
    Heading {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No room to write.
    #[error(
        "no space is left to write {path:?}; free some and start the job again, nothing committed is lost"
    )]
    DiskFull {
        /// The file.
        path: String,
    },
    /// A directory that cannot be written.
    #[error("cannot write to {path:?}: {source}; the output must be a directory that the job may write")]
    Unwritable {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Any other failure to write.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A record that the format has no form for.
    #[error("record {position} cannot be written as {format}: {reason}")]
    Unserialisable {
        /// Its place among those the task has received, from 0.
        position: u64,
        /// The format.
        format: &'static str,
        /// What the serialiser said.
        reason: String,
    },
    /// What was staged for a commit is gone.
    #[error(
        "cannot publish {target:?}: the staged file {staged:?} is missing and so is the target; somebody has removed files from the output directory"
    )]
    Missing {
        /// Where it was to go.
        target: String,
        /// Where it was staged.
        staged: String,
    },
    /// A file that differs from what was staged.
    #[error(
        "cannot publish {path:?}: it has {found} bytes or another checksum where {expected} bytes were staged; somebody has changed files in the output directory"
    )]
    Differs {
        /// The file.
        path: String,
        /// The staged size.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// A committable that cannot be decoded.
    #[error("a staged file's entry in the checkpoint is corrupt: {reason}")]
    Committable {
        /// Why.
        reason: String,
    },
    /// Earlier work on the same files has failed or was given up.
    #[error("work on {path:?} was given up after an earlier failure: {cause}; the task has to start again")]
    Abandoned {
        /// The file or the folder.
        path: String,
        /// The failure.
        cause: String,
    },
    /// A fault injected by a test.
    #[error("the process died in the middle of a commit")]
    Died,
}

impl FileError {
    /// Work on `path` whose thread has gone without an answer.
    pub(crate) fn unanswered(path: impl Into<String>) -> Self {
        Self::Abandoned {
            path: path.into(),
            cause: "nobody is left to answer".into(),
        }
    }

    /// The failure to write `path`.
    pub(crate) fn writing(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => Self::Unwritable { path, source },
            _ => Self::Write { path, source },
        }
    }

    /// The failure to read `path` at a byte.
    pub(crate) fn reading(path: impl Into<String>, offset: u64, source: io::Error) -> Self {
        // What went wrong beneath a decompressor comes through it as it was.
        source.downcast::<Self>().unwrap_or_else(|source| Self::Read {
            path: path.into(),
            offset,
            source,
        })
    }

    /// What a store said when `path` was to be written.
    pub(crate) fn storing(path: impl Into<String>, error: object_store::Error) -> Self {
        let path = path.into();
        Self::refusal(&path, &error).unwrap_or_else(|| Self::writing(path, into_io(error)))
    }

    /// What a store said when `path` was to be read at a byte.
    pub(crate) fn fetching(path: impl Into<String>, offset: u64, error: object_store::Error) -> Self {
        let path = path.into();
        Self::refusal(&path, &error).unwrap_or_else(|| Self::reading(path, offset, into_io(error)))
    }

    /// The errors that somebody has to put right before the job can go on.
    fn refusal(path: &str, error: &object_store::Error) -> Option<Self> {
        Refusal::of(error).map(|refusal| Self::Refused {
            path: path.to_owned(),
            refusal,
        })
    }
}

/// What the operating system said, if it was asked.
pub(crate) fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    Some(os_error(error)?.kind())
}

fn into_io(error: object_store::Error) -> io::Error {
    match (io_kind(&error), &error) {
        (Some(kind), _) => io::Error::new(kind, error),
        (None, object_store::Error::NotFound { .. }) => io::Error::new(io::ErrorKind::NotFound, error),
        (None, _) => io::Error::other(error),
    }
}

impl From<FileError> for OperatorError {
    fn from(error: FileError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_closed_directory_are_told_apart() {
        let cases = [
            (io::ErrorKind::StorageFull, "no space is left to write \"out\""),
            (io::ErrorKind::ReadOnlyFilesystem, "cannot write to \"out\""),
            (io::ErrorKind::PermissionDenied, "cannot write to \"out\""),
            (io::ErrorKind::TimedOut, "cannot write \"out\""),
        ];
        for (kind, message) in cases {
            let error = FileError::writing("out", kind.into()).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}

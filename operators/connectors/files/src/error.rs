//! What can go wrong with files, with which file and what to do.

use std::{io, path::PathBuf};

use tidegate_core::OperatorError;

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
    /// A file name that cannot be kept in a snapshot.
    #[error("the name of the input file {path:?} is not valid UTF-8; rename it")]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A file that could not be read.
    #[error("cannot read {path:?} at byte {offset}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where in it, decompressed.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it was when the job started.
    #[error(
        "the input file {path:?} has {found} bytes and had {expected} when the job first saw it; input files must not shrink while a job reads them"
    )]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Its size at the start.
        expected: u64,
        /// Its size now.
        found: u64,
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
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No room to write.
    #[error(
        "no space is left to write {path:?}; free some and start the job again, nothing committed is lost"
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A directory that cannot be written.
    #[error("cannot write to {path:?}: {source}; the output must be a directory that the job may write")]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Any other failure to write.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
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
        target: PathBuf,
        /// Where it was staged.
        staged: PathBuf,
    },
    /// A file that differs from what was staged.
    #[error(
        "cannot publish {path:?}: it has {found} bytes or another checksum where {expected} bytes were staged; somebody has changed files in the output directory"
    )]
    Differs {
        /// The file.
        path: PathBuf,
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
    #[error("work on {path:?} was given up after an earlier failure; the task has to start again")]
    Abandoned {
        /// The file or the directory.
        path: PathBuf,
    },
    /// A fault injected by a test.
    #[error("the process died in the middle of a commit")]
    Died,
}

impl FileError {
    /// The failure to write `path`.
    pub(crate) fn writing(path: impl Into<PathBuf>, source: io::Error) -> Self {
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

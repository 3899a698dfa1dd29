//! The log files of workers.

use crate::generated as wire;

/// The most bytes of a log file that one answer has.
pub const LOG_CHUNK_LIMIT_BYTES: u32 = 1024 * 1024;

/// A log file of a worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFile {
    /// Its name, without a folder.
    pub name: String,
    /// How much is in it, in bytes.
    pub size_bytes: u64,
    /// When it was last written to, in milliseconds since the Unix epoch.
    pub modified_ms: u64,
}

/// A part of a log file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogChunk {
    /// What is there, from where it was asked for; nothing at the end of the file and behind it.
    pub bytes: Vec<u8>,
    /// How much is in the whole file as of now, in bytes.
    pub size_bytes: u64,
}

/// Why a log file could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogProblem {
    /// There is none of this name, or none any more.
    #[error("{0}")]
    Missing(String),
    /// It is there and cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl From<&LogFile> for wire::LogFile {
    fn from(file: &LogFile) -> Self {
        Self {
            name: file.name.clone(),
            size_bytes: file.size_bytes,
            modified_ms: file.modified_ms,
        }
    }
}

impl From<wire::LogFile> for LogFile {
    fn from(file: wire::LogFile) -> Self {
        Self {
            name: file.name,
            size_bytes: file.size_bytes,
            modified_ms: file.modified_ms,
        }
    }
}

impl From<&LogChunk> for wire::LogChunk {
    fn from(chunk: &LogChunk) -> Self {
        Self {
            bytes: chunk.bytes.clone(),
            size_bytes: chunk.size_bytes,
        }
    }
}

impl From<wire::LogChunk> for LogChunk {
    fn from(chunk: wire::LogChunk) -> Self {
        Self {
            bytes: chunk.bytes,
            size_bytes: chunk.size_bytes,
        }
    }
}

impl From<&LogProblem> for wire::LogProblem {
    fn from(problem: &LogProblem) -> Self {
        Self {
            missing: matches!(problem, LogProblem::Missing(_)),
            message: problem.to_string(),
        }
    }
}

impl From<wire::LogProblem> for LogProblem {
    fn from(problem: wire::LogProblem) -> Self {
        if problem.missing {
            Self::Missing(problem.message)
        } else {
            Self::Unreadable(problem.message)
        }
    }
}

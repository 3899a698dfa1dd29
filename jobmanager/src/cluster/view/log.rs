//! What a job's workers have written to their standard streams.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

/// The log files of a job on all task managers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct LogFiles {
    /// In the order of task managers and names.
    pub logs: Vec<LogFile>,
    /// Task managers that did not answer, with what was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

/// One log file.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LogFile {
    /// Where it lies.
    pub task_manager: String,
    /// Its name there.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
}

/// A piece of a log file.
#[derive(Clone, PartialEq, Debug)]
pub struct LogChunk {
    /// The piece, from the offset that was asked for.
    pub bytes: Bytes,
    /// How many bytes the file has in all.
    pub size: u64,
}

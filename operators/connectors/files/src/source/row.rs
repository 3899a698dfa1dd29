//! Rows that are no records, and what becomes of them.

use serde::{Deserialize, Serialize};
use tidegate_core::OutputTag;

/// The side output of a file source that [`OnMalformed::DeadLetter`] writes to.
pub const MALFORMED_ROWS: OutputTag<MalformedRow> = OutputTag::new(1);

/// How much of a malformed row is kept.
const KEPT_BYTES: usize = 4096;

/// A row that could not be made into a record, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedRow {
    /// The file's path or URL.
    pub file: String,
    /// The line in the file on which the row starts, from 1.
    pub line: u64,
    /// Where in the row: for CSV the field, for JSON and lines the byte, from 1. 0 if it is the row as a whole.
    pub column: u64,
    /// What is wrong.
    pub error: String,
    /// The row, or its first 4096 bytes; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// What a source does with a row that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnMalformed {
    /// The task fails with the file, the line, the column and the reason.
    #[default]
    Fail,
    /// The row is skipped and counted in [`TaskMetrics::malformed`](tidegate_core::metrics::TaskMetrics::malformed).
    SkipAndCount,
    /// The row is counted and emitted into [`MALFORMED_ROWS`].
    DeadLetter,
}

/// What is wrong with a row, before it is known where the row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    pub(super) column: u64,
    pub(super) reason: String,
}

/// The text of a row, for a person to look at.
pub(super) fn text(row: &[u8]) -> String {
    let kept = &row[..row.len().min(KEPT_BYTES)];
    String::from_utf8_lossy(kept).into_owned()
}

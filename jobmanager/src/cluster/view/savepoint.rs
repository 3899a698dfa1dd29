//! Savepoints and what else is triggered and looked up later.

use serde::Serialize;
use utoipa::ToSchema;

/// Something was triggered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Triggered {
    /// By which to ask how far it is.
    pub request_id: String,
}

/// How far a savepoint is.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SavepointStatus {
    /// Whether it is done.
    pub status: SavepointProgress,
    /// What came of it, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<SavepointOperation>,
}

/// Whether a savepoint is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct SavepointProgress {
    /// The state.
    pub id: SavepointState,
}

/// The state of something that was triggered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SavepointState {
    /// Not done yet.
    InProgress,
    /// Done, for better or for worse.
    Completed,
}

/// What came of a savepoint.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SavepointOperation {
    /// Where it lies; a job can be started from there.
    Location(String),
    /// Why there is none.
    FailureCause(String),
}

//! Executables that were uploaded.

use serde::Serialize;
use utoipa::ToSchema;

/// All executables.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct ArtifactList {
    /// In the order of their digests.
    pub artifacts: Vec<ArtifactView>,
}

/// One executable.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ArtifactView {
    /// The SHA-256 of its bytes, in hexadecimal: what it is named by.
    pub id: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was uploaded.
    pub uploaded: i64,
    /// What it was compiled for, as architecture-system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The name of its job, if it could be described without arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The jobs here that have not ended and run it.
    pub jobs: Vec<String>,
}

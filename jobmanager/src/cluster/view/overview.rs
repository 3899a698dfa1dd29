//! A cluster at a glance.

use serde::Serialize;
use utoipa::ToSchema;

/// A cluster at a glance.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterOverview {
    /// How many task managers are attached.
    pub taskmanagers: usize,
    /// How many slots they have.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_available: u32,
    /// Jobs that have not ended.
    pub jobs_running: usize,
    /// Jobs that have finished.
    pub jobs_finished: usize,
    /// Jobs that somebody ended, with a savepoint or without.
    pub jobs_cancelled: usize,
    /// Jobs that have failed.
    pub jobs_failed: usize,
    /// The release of the job manager.
    pub version: String,
    /// The term of this job manager over the cluster.
    pub generation: u64,
    /// Where the cluster keeps everything.
    pub storage: String,
}

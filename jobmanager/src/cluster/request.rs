//! What a cluster can be asked for.

use std::collections::BTreeMap;

use tidegate_core::ArtifactId;

/// The longest idempotency key, in bytes.
pub const MAX_IDEMPOTENCY_KEY: usize = 256;
/// The most arguments of a program.
pub const MAX_PROGRAM_ARGUMENTS: usize = 1_000;
/// The most bytes of all arguments of a program.
pub const MAX_PROGRAM_ARGUMENT_BYTES: usize = 64 * 1024;

/// A job to be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRequest {
    /// The executable.
    pub artifact: ArtifactId,
    /// The job's own arguments.
    pub program_arguments: Vec<String>,
    /// The parallelism of operators that do not say otherwise; `None` is the cluster's default.
    pub parallelism: Option<u32>,
    /// Where a savepoint or a retained checkpoint lies that it starts from.
    pub savepoint: Option<String>,
    /// Whether state that no operator claims is dropped rather than refused.
    pub allow_non_restored_state: bool,
    /// Makes repeating the request safe: the same key and request are the same job.
    pub idempotency_key: Option<String>,
    /// Settings of checkpoints and restarts that differ from the cluster's.
    pub settings: JobSettings,
}

impl RunRequest {
    /// A run of an executable as it is.
    pub fn of(artifact: ArtifactId) -> Self {
        Self {
            artifact,
            program_arguments: Vec::new(),
            parallelism: None,
            savepoint: None,
            allow_non_restored_state: false,
            idempotency_key: None,
            settings: JobSettings::default(),
        }
    }
}

/// Settings of one job, by the names of [`DriverOptions`](tidegate_driver::DriverOptions): `checkpoints.interval`,
/// `restart`, … as JSON.
pub type JobSettings = BTreeMap<String, serde_json::Value>;

/// A savepoint to be taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SavepointRequest {
    /// What to call it; `None` mints a name.
    pub name: Option<String>,
}

//! Why a benchmark has no figure.

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    /// A job and its yardstick computed different things, so their speeds cannot be compared.
    #[error("{id}: the job computed {ours:#018x} and its yardstick {yardstick:#018x}; one of them is wrong")]
    Checksum {
        /// The row.
        id: &'static str,
        /// The job's checksum.
        ours: u64,
        /// The yardstick's.
        yardstick: u64,
    },
    /// No row has the name.
    #[error("there is no benchmark {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What could have been.
        known: String,
    },
    /// A job failed.
    #[error("{id}: the job failed")]
    Job {
        /// The row.
        id: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something about this machine.
    #[error("{what}")]
    Machine {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
}

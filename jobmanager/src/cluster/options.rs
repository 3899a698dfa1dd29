//! How a cluster is set up.

use std::time::Duration;

use tidegate_driver::{CheckpointSettings, RestartSettings};

use crate::WorkerPortOptions;

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Where it keeps everything: a directory, `file://`, `memory://` or `s3://bucket/path`. Workers and task managers
    /// are told, so that it must mean the same on every machine.
    pub storage: String,
    /// Where workers and task managers attach.
    pub port: WorkerPortOptions,
    /// The parallelism of a job that is submitted without one.
    pub default_parallelism: u32,
    /// When jobs take checkpoints, unless they are submitted with other settings.
    pub checkpoints: CheckpointSettings,
    /// When failed jobs are restarted, unless they are submitted with other settings.
    pub restart: RestartSettings,
    /// The most bytes of an executable.
    pub artifact_limit_bytes: u64,
    /// How old an executable that no job runs must be before it is deleted.
    pub artifact_retention: Duration,
    /// The most bytes of memory of a worker; `None` is no limit.
    pub worker_memory_bytes: Option<u64>,
    /// How long a task manager may take to describe an executable or to answer about its logs.
    pub answer_timeout: Duration,
}

impl ClusterOptions {
    /// A cluster that keeps everything at a location, otherwise as is usual.
    pub fn at(storage: impl Into<String>) -> Self {
        Self {
            storage: storage.into(),
            port: WorkerPortOptions::default(),
            default_parallelism: 1,
            checkpoints: CheckpointSettings::default(),
            restart: RestartSettings::default(),
            artifact_limit_bytes: 1 << 30,
            artifact_retention: Duration::from_secs(7 * 24 * 3600),
            worker_memory_bytes: None,
            answer_timeout: Duration::from_secs(30),
        }
    }
}

//! What a task manager can be told. Every bound has a default that suits a machine with a few cores.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::TaskManagerId;
use tidegate_proto::control::ClusterSecret;

const MEBIBYTE: u64 = 1024 * 1024;

/// How a task manager is made up.
#[derive(Clone, Debug)]
pub struct TaskManagerOptions {
    /// What it is called; `None` draws a name when the directory is first used, which stays in there.
    pub id: Option<TaskManagerId>,
    /// How many slots it offers.
    pub slots: u32,
    /// The memory that it and its workers may use, in bytes, as the job manager is told.
    pub memory_bytes: u64,
    /// Where it keeps artifacts, working directories and logs. No two task managers may share one.
    pub directory: PathBuf,
    /// The job manager.
    pub link: LinkOptions,
    /// Executables.
    pub artifacts: ArtifactOptions,
    /// Workers.
    pub workers: WorkerOptions,
    /// What workers write.
    pub logs: LogOptions,
    /// Asking executables what they are.
    pub describe: DescribeOptions,
}

/// Where and how to reach the job manager.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// Where it listens, as `http://host:port`.
    pub job_manager: String,
    /// What the cluster's processes know. Workers are given it by their environment.
    pub secret: Option<ClusterSecret>,
    /// From one sign of life to the next.
    pub heartbeat_interval: Duration,
    /// A job manager that has not been heard of for so long is taken for lost.
    pub heartbeat_timeout: Duration,
    /// The longest pause between two tries to attach.
    pub longest_pause: Duration,
}

/// How executables are kept.
#[derive(Clone, Debug)]
pub struct ArtifactOptions {
    /// What they may occupy, in bytes, beyond those that are in use.
    pub cache_bytes: u64,
    /// How long it may take to fetch one.
    pub fetch_timeout: Duration,
}

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The address of this machine by which workers of others reach those here. Another than a loopback address needs the
    /// cluster secret.
    pub data_address: IpAddr,
    /// Where workers listen for others, if that is not at the data address on a port of the system's choice.
    pub data_bind: Option<SocketAddr>,
    /// The port by which workers of others reach those here, if it is not the one listened on.
    pub data_port: Option<u16>,
    /// How long a worker may take to end when it is told to; then it is killed.
    pub stop_grace: Duration,
    /// For how long a worker that has lost the job manager tries to attach again.
    pub reattach_timeout: Duration,
    /// The memory that a worker may have per slot, in bytes, if its order names no limit; `None` for as much as there is.
    pub memory_per_slot_bytes: Option<u64>,
    /// Who keeps workers within their memory.
    pub memory_control: MemoryControl,
}

/// Who keeps workers within their memory.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryControl {
    /// The task manager, which looks at them several times a second.
    #[default]
    Watch,
    /// The kernel as well, where the task manager's control group (version 2) is delegated to it. The process moves to
    /// another group then.
    Auto,
}

/// How much of what workers write is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A worker's file is begun anew at this size, in bytes.
    pub file_bytes: u64,
    /// How many files a worker has, the one that it writes to included: at least 1.
    pub files: u32,
    /// What the files of workers that have ended may occupy, in bytes; the oldest are removed.
    pub total_bytes: u64,
}

/// The bounds of a process that only says what job it is.
#[derive(Clone, Debug)]
pub struct DescribeOptions {
    /// How long it may take.
    pub timeout: Duration,
    /// How much memory it may have, in bytes.
    pub memory_bytes: u64,
    /// How much it may print, in bytes.
    pub output_bytes: u64,
    /// How many run at a time; others wait.
    pub concurrency: usize,
}

impl LinkOptions {
    /// A job manager at `job_manager`, without a secret: a beat a second, and five without one are the end of a stream.
    pub fn to(job_manager: impl Into<String>) -> Self {
        Self {
            job_manager: job_manager.into(),
            secret: None,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            longest_pause: Duration::from_secs(1),
        }
    }
}

impl Default for ArtifactOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 2048 * MEBIBYTE,
            fetch_timeout: Duration::from_secs(120),
        }
    }
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            data_address: IpAddr::from([127, 0, 0, 1]),
            data_bind: None,
            data_port: None,
            stop_grace: Duration::from_secs(10),
            reattach_timeout: Duration::from_secs(60),
            memory_per_slot_bytes: None,
            memory_control: MemoryControl::default(),
        }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            file_bytes: 16 * MEBIBYTE,
            files: 4,
            total_bytes: 1024 * MEBIBYTE,
        }
    }
}

impl Default for DescribeOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            memory_bytes: 512 * MEBIBYTE,
            output_bytes: 8 * MEBIBYTE,
            concurrency: 2,
        }
    }
}

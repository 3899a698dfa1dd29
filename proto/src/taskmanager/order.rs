//! What a job manager wants of a task manager.

use tidegate_core::{ArtifactId, JobId, WorkerName};

use crate::{
    convert::{checked, required},
    generated as wire,
    object::DecodeReason,
};

/// An order to a task manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Start a worker. A worker that runs already is reported as started and otherwise left alone.
    StartWorker(StartWorker),
    /// End a worker; nothing happens if it does not run.
    StopWorker {
        /// The job that it works for.
        job: JobId,
        /// What it is called.
        worker: WorkerName,
    },
    /// Ask an executable what job it is.
    Describe {
        /// Comes back in the report.
        request: u64,
        /// The executable.
        artifact: ArtifactId,
        /// Its size, in bytes.
        artifact_size_bytes: u64,
        /// The job's own arguments.
        arguments: Vec<String>,
    },
    /// Say which log files there are of a job.
    ListLogs {
        /// Comes back in the report.
        request: u64,
        /// The job.
        job: JobId,
    },
    /// Send a part of a log file.
    ReadLog {
        /// Comes back in the report.
        request: u64,
        /// The job.
        job: JobId,
        /// The file, as the list names it.
        file: String,
        /// Where to begin, in bytes.
        offset: u64,
        /// The most bytes to send; see [`LOG_CHUNK_LIMIT_BYTES`](super::LOG_CHUNK_LIMIT_BYTES).
        limit: u32,
    },
}

/// A worker that is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartWorker {
    /// The job that it works for.
    pub job: JobId,
    /// What it is called: no other has this name, ever.
    pub worker: WorkerName,
    /// The job's executable.
    pub artifact: ArtifactId,
    /// Its size, in bytes.
    pub artifact_size_bytes: u64,
    /// The job's own arguments.
    pub arguments: Vec<String>,
    /// How many slots it has.
    pub slots: u32,
    /// How much memory its process may have resident, in bytes; `None` for as much as there is.
    pub memory_limit_bytes: Option<u64>,
}

impl From<&Order> for wire::TaskManagerOrder {
    fn from(order: &Order) -> Self {
        use wire::task_manager_order::Order as Wire;
        let order = match order {
            Order::StartWorker(start) => Wire::StartWorker(wire::StartWorker {
                job: start.job.to_string(),
                worker: start.worker.to_string(),
                artifact: start.artifact.to_string(),
                artifact_size_bytes: start.artifact_size_bytes,
                arguments: start.arguments.clone(),
                slots: start.slots,
                memory_limit_bytes: start.memory_limit_bytes,
            }),
            Order::StopWorker { job, worker } => Wire::StopWorker(wire::StopWorker {
                job: job.to_string(),
                worker: worker.to_string(),
            }),
            Order::Describe {
                request,
                artifact,
                artifact_size_bytes,
                arguments,
            } => Wire::Describe(wire::Describe {
                request: *request,
                artifact: artifact.to_string(),
                artifact_size_bytes: *artifact_size_bytes,
                arguments: arguments.clone(),
            }),
            Order::ListLogs { request, job } => Wire::ListLogs(wire::ListLogs {
                request: *request,
                job: job.to_string(),
            }),
            Order::ReadLog {
                request,
                job,
                file,
                offset,
                limit,
            } => Wire::ReadLog(wire::ReadLog {
                request: *request,
                job: job.to_string(),
                file: file.clone(),
                offset: *offset,
                limit: *limit,
            }),
        };
        Self { order: Some(order) }
    }
}

impl TryFrom<wire::TaskManagerOrder> for Order {
    type Error = DecodeReason;

    fn try_from(order: wire::TaskManagerOrder) -> Result<Self, DecodeReason> {
        use wire::task_manager_order::Order as Wire;
        Ok(match required("order", order.order)? {
            Wire::StartWorker(start) => Self::StartWorker(StartWorker {
                job: checked("start_worker.job", &start.job, JobId::parse)?,
                worker: checked("start_worker.worker", &start.worker, WorkerName::parse)?,
                artifact: checked("start_worker.artifact", &start.artifact, ArtifactId::parse)?,
                artifact_size_bytes: start.artifact_size_bytes,
                arguments: start.arguments,
                slots: start.slots,
                memory_limit_bytes: start.memory_limit_bytes,
            }),
            Wire::StopWorker(stop) => Self::StopWorker {
                job: checked("stop_worker.job", &stop.job, JobId::parse)?,
                worker: checked("stop_worker.worker", &stop.worker, WorkerName::parse)?,
            },
            Wire::Describe(describe) => Self::Describe {
                request: describe.request,
                artifact: checked("describe.artifact", &describe.artifact, ArtifactId::parse)?,
                artifact_size_bytes: describe.artifact_size_bytes,
                arguments: describe.arguments,
            },
            Wire::ListLogs(list) => Self::ListLogs {
                request: list.request,
                job: checked("list_logs.job", &list.job, JobId::parse)?,
            },
            Wire::ReadLog(read) => Self::ReadLog {
                request: read.request,
                job: checked("read_log.job", &read.job, JobId::parse)?,
                file: read.file,
                offset: read.offset,
                limit: read.limit,
            },
        })
    }
}

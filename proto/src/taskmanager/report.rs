//! What a task manager tells.

use std::fmt;

use tidegate_core::{JobId, WorkerName};

use super::{DescribeProblem, LogChunk, LogFile, LogProblem};
use crate::{
    convert::{bad, checked, required},
    generated as wire,
    object::DecodeReason,
};

/// As much of a worker's last lines is reported.
pub const LAST_WORDS_LIMIT_BYTES: usize = 4096;

/// What has happened at a task manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// A worker's process has been started. It attaches by itself.
    WorkerStarted {
        /// The job that it works for.
        job: JobId,
        /// What it is called.
        worker: WorkerName,
        /// What the machine calls it.
        process_id: u32,
    },
    /// A worker is gone: what is reported last of it.
    WorkerEnded {
        /// The job that it worked for.
        job: JobId,
        /// What it was called.
        worker: WorkerName,
        /// How.
        end: WorkerEnd,
        /// The last lines of its standard error, at most [`LAST_WORDS_LIMIT_BYTES`].
        last_words: String,
    },
    /// The answer to [`Describe`](super::Order::Describe).
    Described {
        /// Which.
        request: u64,
        /// The executable's description of the job, one JSON object as text; or why there is none.
        outcome: Result<String, DescribeProblem>,
    },
    /// The answer to [`ListLogs`](super::Order::ListLogs).
    LogsListed {
        /// Which.
        request: u64,
        /// The files; or why they could not be listed.
        outcome: Result<Vec<LogFile>, String>,
    },
    /// The answer to [`ReadLog`](super::Order::ReadLog).
    LogRead {
        /// Which.
        request: u64,
        /// The part; or why there is none.
        outcome: Result<LogChunk, LogProblem>,
    },
}

/// How a worker ended. Shown, it is the beginning of a failure's cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkerEnd {
    /// By itself, with a code.
    Exited(i32),
    /// By a signal that somebody sent, or an error of its own.
    Signaled(u32),
    /// It was killed because it used more memory than it may.
    MemoryLimit {
        /// How much it may use, in bytes.
        limit_bytes: u64,
        /// How much it used, in bytes.
        used_bytes: u64,
    },
    /// It was never a process.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// It was told to end.
    Stopped,
}

/// The signals whose names people know.
const SIGNALS: [(u32, &str); 14] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
];

impl fmt::Display for WorkerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "its process ended with exit code {code}"),
            Self::Signaled(signal) => {
                let name = SIGNALS.iter().find(|(number, _)| number == signal);
                match name {
                    Some((_, name)) => write!(f, "its process was ended by {name}"),
                    None => write!(f, "its process was ended by signal {signal}"),
                }
            }
            Self::MemoryLimit {
                limit_bytes,
                used_bytes,
            } => write!(
                f,
                "its process used {used_bytes} bytes of memory where {limit_bytes} are the limit, and was killed; give \
                 workers of the job more"
            ),
            Self::NotStarted { reason } => write!(f, "its process could not be started: {reason}"),
            Self::Stopped => f.write_str("its process was told to end"),
        }
    }
}

impl From<&Report> for wire::TaskManagerReport {
    fn from(report: &Report) -> Self {
        use wire::{described, log_read, task_manager_report::Report as Wire};
        let report = match report {
            Report::WorkerStarted {
                job,
                worker,
                process_id,
            } => Wire::WorkerStarted(wire::WorkerStarted {
                job: job.to_string(),
                worker: worker.to_string(),
                process_id: *process_id,
            }),
            Report::WorkerEnded {
                job,
                worker,
                end,
                last_words,
            } => Wire::WorkerEnded(wire::WorkerEnded {
                job: job.to_string(),
                worker: worker.to_string(),
                last_words: last_words.clone(),
                end: Some(end_to_wire(end)),
            }),
            Report::Described { request, outcome } => Wire::Described(wire::Described {
                request: *request,
                outcome: Some(match outcome {
                    Ok(text) => described::Outcome::Description(text.clone()),
                    Err(problem) => described::Outcome::Problem(problem.into()),
                }),
            }),
            Report::LogsListed { request, outcome } => Wire::LogsListed(wire::LogsListed {
                request: *request,
                files: outcome.iter().flatten().map(wire::LogFile::from).collect(),
                problem: outcome.as_ref().err().cloned(),
            }),
            Report::LogRead { request, outcome } => Wire::LogRead(wire::LogRead {
                request: *request,
                outcome: Some(match outcome {
                    Ok(chunk) => log_read::Outcome::Chunk(chunk.into()),
                    Err(problem) => log_read::Outcome::Problem(problem.into()),
                }),
            }),
        };
        Self { report: Some(report) }
    }
}

impl TryFrom<wire::TaskManagerReport> for Report {
    type Error = DecodeReason;

    fn try_from(report: wire::TaskManagerReport) -> Result<Self, DecodeReason> {
        use wire::{described, log_read, task_manager_report::Report as Wire};
        Ok(match required("report", report.report)? {
            Wire::WorkerStarted(started) => Self::WorkerStarted {
                job: checked("worker_started.job", &started.job, JobId::parse)?,
                worker: checked("worker_started.worker", &started.worker, WorkerName::parse)?,
                process_id: started.process_id,
            },
            Wire::WorkerEnded(ended) => Self::WorkerEnded {
                job: checked("worker_ended.job", &ended.job, JobId::parse)?,
                worker: checked("worker_ended.worker", &ended.worker, WorkerName::parse)?,
                end: end_from_wire(required("worker_ended.end", ended.end)?),
                last_words: last_words(ended.last_words)?,
            },
            Wire::Described(described) => Self::Described {
                request: described.request,
                outcome: match required("described.outcome", described.outcome)? {
                    described::Outcome::Description(text) => Ok(text),
                    described::Outcome::Problem(problem) => Err(problem.try_into()?),
                },
            },
            Wire::LogsListed(listed) => Self::LogsListed {
                request: listed.request,
                outcome: match listed.problem {
                    Some(problem) => Err(problem),
                    None => Ok(listed.files.into_iter().map(LogFile::from).collect()),
                },
            },
            Wire::LogRead(read) => Self::LogRead {
                request: read.request,
                outcome: match required("log_read.outcome", read.outcome)? {
                    log_read::Outcome::Chunk(chunk) => Ok(chunk.into()),
                    log_read::Outcome::Problem(problem) => Err(problem.into()),
                },
            },
        })
    }
}

fn end_to_wire(end: &WorkerEnd) -> wire::worker_ended::End {
    use wire::worker_ended::End;
    match end {
        WorkerEnd::Exited(code) => End::ExitCode(*code),
        WorkerEnd::Signaled(signal) => End::Signal(*signal),
        WorkerEnd::MemoryLimit {
            limit_bytes,
            used_bytes,
        } => End::MemoryLimit(wire::MemoryOverrun {
            limit_bytes: *limit_bytes,
            used_bytes: *used_bytes,
        }),
        WorkerEnd::NotStarted { reason } => End::NotStarted(reason.clone()),
        WorkerEnd::Stopped => End::Stopped(wire::Stop {}),
    }
}

fn end_from_wire(end: wire::worker_ended::End) -> WorkerEnd {
    use wire::worker_ended::End;
    match end {
        End::ExitCode(code) => WorkerEnd::Exited(code),
        End::Signal(signal) => WorkerEnd::Signaled(signal),
        End::MemoryLimit(overrun) => WorkerEnd::MemoryLimit {
            limit_bytes: overrun.limit_bytes,
            used_bytes: overrun.used_bytes,
        },
        End::NotStarted(reason) => WorkerEnd::NotStarted { reason },
        End::Stopped(_) => WorkerEnd::Stopped,
    }
}

fn last_words(text: String) -> Result<String, DecodeReason> {
    if text.len() > LAST_WORDS_LIMIT_BYTES {
        return Err(bad(
            "worker_ended.last_words",
            format_args!("{} bytes", text.len()),
        ));
    }
    Ok(text)
}

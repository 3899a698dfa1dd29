//! What a cluster refuses or cannot do.

use tidegate_core::{ArtifactId, InvalidId, JobId, TaskManagerId};

/// What whoever asked can do about a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The request is wrong: ask for something else.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It contradicts what is there: look at that first.
    Conflict,
    /// It has more bytes than are taken.
    TooLarge,
    /// The request is well-formed, and what it names cannot be used.
    Unusable,
    /// Too much is going on: ask again when something of it is done.
    Busy,
    /// Something that is needed is not there at the moment: ask again later.
    Unavailable,
    /// The store did not do what was asked of it.
    Storage,
}

/// Why a cluster did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClusterError {
    /// A text is no id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A field of a request has a value that it must not have.
    #[error("{field} {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it and what is taken.
        reason: String,
    },
    /// There is no such job.
    #[error("there is no job {job}; list the jobs to see which there are")]
    NoJob {
        /// The job.
        job: JobId,
    },
    /// There is no such vertex or task in the job.
    #[error("job {job} has no {what}; look at its plan to see what it has")]
    NoVertex {
        /// The job.
        job: JobId,
        /// What it does not have.
        what: String,
    },
    /// Nothing is known of a checkpoint.
    #[error("job {job} has no checkpoint {checkpoint} that is remembered; list its checkpoints")]
    NoCheckpoint {
        /// The job.
        job: JobId,
        /// The checkpoint.
        checkpoint: u64,
    },
    /// Nothing is known of a trigger.
    #[error(
        "job {job} has no operation {trigger:?}; triggers are forgotten when the job manager is started again"
    )]
    NoTrigger {
        /// The job.
        job: JobId,
        /// The trigger.
        trigger: String,
    },
    /// There is no such log file.
    #[error("there is no log file {file:?} of job {job}; list its logs to see which there are")]
    NoLog {
        /// The job.
        job: JobId,
        /// The file.
        file: String,
    },
    /// There is no such executable.
    #[error("there is no artifact {artifact}; upload it, or list the artifacts to see which there are")]
    NoArtifact {
        /// Its digest.
        artifact: ArtifactId,
    },
    /// No such task manager is attached.
    #[error("no task manager {task_manager:?} is attached; list the task managers to see which there are", task_manager = .task_manager.as_str())]
    NoTaskManager {
        /// Its id.
        task_manager: TaskManagerId,
    },
    /// A job has ended.
    #[error("job {job} is {state} and can not be {wanted}")]
    JobEnded {
        /// The job.
        job: JobId,
        /// Its state.
        state: String,
        /// What was to be done with it.
        wanted: &'static str,
    },
    /// An idempotency key was used for another request.
    #[error(
        "the idempotency key was used for job {job} with another request; repeat that request unchanged, or choose another key"
    )]
    KeyTaken {
        /// The job.
        job: JobId,
    },
    /// An executable is in use.
    #[error("artifact {artifact} is run by job {job}; cancel the job first")]
    ArtifactInUse {
        /// The executable.
        artifact: ArtifactId,
        /// A job that runs it.
        job: JobId,
    },
    /// An upload has more bytes than are taken.
    #[error(
        "the executable has more than {limit} bytes; strip it, or raise the job manager's limit for artifacts"
    )]
    ArtifactTooLarge {
        /// The limit.
        limit: u64,
    },
    /// An upload broke off.
    #[error("the upload broke off after {received} bytes: {reason}; upload it again")]
    UploadBroken {
        /// How far it came.
        received: u64,
        /// Why.
        reason: String,
    },
    /// An upload has another digest than was announced.
    #[error("the executable has the digest {actual}, not {expected} as announced; upload it again")]
    DigestDiffers {
        /// What was announced.
        expected: ArtifactId,
        /// What came.
        actual: ArtifactId,
    },
    /// Bytes are no executable that could run here.
    #[error("{0}")]
    NotExecutable(String),
    /// An executable cannot be described, or not with these arguments.
    #[error("{0}")]
    NotDescribed(String),
    /// An executable refuses the arguments that it was given.
    #[error("the executable refuses its arguments: {0}")]
    ArgumentsRefused(String),
    /// What a job is to start from cannot be used.
    #[error("{0}")]
    Start(String),
    /// Nobody can describe or run it at the moment.
    #[error(
        "no task manager for {target} is attached; start one, with --job-manager pointing here, and ask again"
    )]
    NoTaskManagers {
        /// What for.
        target: String,
    },
    /// A task manager did not answer.
    #[error("task manager {task_manager} did not answer: {reason}; ask again")]
    TaskManagerSilent {
        /// Which.
        task_manager: TaskManagerId,
        /// Why, as far as it is known.
        reason: String,
    },
    /// Too much is going on.
    #[error("{what}; ask again when some of them are done")]
    TooMany {
        /// What there is too much of.
        what: String,
    },
    /// The job manager is starting or ending.
    #[error("the job manager is {0}; ask again later")]
    NotReady(&'static str),
    /// The store failed.
    #[error("the store failed: {0}; ask again, and look at the store if it stays so")]
    Storage(String),
}

impl ClusterError {
    /// What whoever asked can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Id(_) | Self::Field { .. } | Self::UploadBroken { .. } => ErrorKind::Invalid,
            Self::NoJob { .. }
            | Self::NoVertex { .. }
            | Self::NoCheckpoint { .. }
            | Self::NoTrigger { .. }
            | Self::NoLog { .. }
            | Self::NoArtifact { .. }
            | Self::NoTaskManager { .. } => ErrorKind::NotFound,
            Self::JobEnded { .. } | Self::KeyTaken { .. } | Self::ArtifactInUse { .. } => ErrorKind::Conflict,
            Self::ArtifactTooLarge { .. } => ErrorKind::TooLarge,
            Self::DigestDiffers { .. }
            | Self::NotExecutable(_)
            | Self::NotDescribed(_)
            | Self::ArgumentsRefused(_)
            | Self::Start(_) => ErrorKind::Unusable,
            Self::TooMany { .. } => ErrorKind::Busy,
            Self::NoTaskManagers { .. } | Self::TaskManagerSilent { .. } | Self::NotReady(_) => {
                ErrorKind::Unavailable
            }
            Self::Storage(_) => ErrorKind::Storage,
        }
    }

    /// A name of the error that stays the same from release to release, in kebab case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Id(_) => "invalid-id",
            Self::Field { .. } => "invalid-field",
            Self::NoJob { .. } => "job-not-found",
            Self::NoVertex { .. } => "vertex-not-found",
            Self::NoCheckpoint { .. } => "checkpoint-not-found",
            Self::NoTrigger { .. } => "trigger-not-found",
            Self::NoLog { .. } => "log-not-found",
            Self::NoArtifact { .. } => "artifact-not-found",
            Self::NoTaskManager { .. } => "task-manager-not-found",
            Self::JobEnded { .. } => "job-ended",
            Self::KeyTaken { .. } => "idempotency-key-taken",
            Self::ArtifactInUse { .. } => "artifact-in-use",
            Self::ArtifactTooLarge { .. } => "artifact-too-large",
            Self::UploadBroken { .. } => "upload-broken",
            Self::DigestDiffers { .. } => "digest-differs",
            Self::NotExecutable(_) => "not-executable",
            Self::NotDescribed(_) => "not-described",
            Self::ArgumentsRefused(_) => "arguments-refused",
            Self::Start(_) => "start-refused",
            Self::NoTaskManagers { .. } => "no-task-managers",
            Self::TaskManagerSilent { .. } => "task-manager-silent",
            Self::TooMany { .. } => "too-many-requests",
            Self::NotReady(_) => "not-ready",
            Self::Storage(_) => "storage-failed",
        }
    }

    /// The field of the request that is at fault, if it is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::Id(invalid) => Some(invalid.of),
            Self::Start(_) => Some("savepointPath"),
            Self::ArgumentsRefused(_) => Some("programArgsList"),
            _ => None,
        }
    }
}

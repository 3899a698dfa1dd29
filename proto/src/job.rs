//! What a cluster keeps of a job.

use tidegate_core::{ArtifactId, Epoch, JobId};

use crate::{
    convert::{bad, checked},
    generated as wire,
    object::DecodeReason,
};

/// `jobs/<job>/job.pb`: what it takes to run the job again, and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobRecord {
    /// Its id.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Its executable.
    pub artifact: ArtifactId,
    /// How many bytes the executable has.
    pub artifact_size_bytes: u64,
    /// What the executable was compiled for.
    pub target: String,
    /// Its graph as the executable described it, as JSON.
    pub graph: String,
    /// Its own arguments.
    pub arguments: Vec<String>,
    /// The parallelism of operators that do not say otherwise.
    pub parallelism: u32,
    /// Where the savepoint or checkpoint lies that it starts from; `None` if it starts from nothing.
    pub savepoint: Option<String>,
    /// Whether state that no operator claims is dropped rather than refused.
    pub allow_non_restored_state: bool,
    /// The driver's settings that were asked for, as JSON.
    pub settings: String,
    /// The digest of the request, in hexadecimal.
    pub request_digest: String,
    /// When it was submitted, in milliseconds since the Unix epoch.
    pub submitted_at_ms: i64,
    /// Whether somebody wants it canceled.
    pub cancel_wanted: bool,
    /// How it ended, if it has.
    pub end: Option<JobEnd>,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobEnd {
    /// For better or for worse.
    pub kind: JobEndKind,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why, if it did not finish; otherwise empty.
    pub cause: String,
    /// The last claimed epoch.
    pub epoch: Option<Epoch>,
}

/// In which state a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEndKind {
    /// All its input had ended, and everything was committed.
    Finished,
    /// It was stopped with a savepoint.
    Suspended,
    /// Somebody ended it.
    Canceled,
    /// It failed for good.
    Failed,
}

impl From<&JobRecord> for wire::JobRecord {
    fn from(record: &JobRecord) -> Self {
        Self {
            job: record.job.to_string(),
            name: record.name.clone(),
            artifact: record.artifact.to_string(),
            artifact_size_bytes: record.artifact_size_bytes,
            target: record.target.clone(),
            graph: record.graph.clone(),
            arguments: record.arguments.clone(),
            parallelism: record.parallelism,
            savepoint: record.savepoint.clone(),
            allow_non_restored_state: record.allow_non_restored_state,
            settings: record.settings.clone(),
            request_digest: record.request_digest.clone(),
            submitted_at_ms: record.submitted_at_ms,
            cancel_wanted: record.cancel_wanted,
            end: record.end.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<wire::JobRecord> for JobRecord {
    type Error = DecodeReason;

    fn try_from(record: wire::JobRecord) -> Result<Self, DecodeReason> {
        Ok(Self {
            job: checked("job", &record.job, JobId::parse)?,
            name: record.name,
            artifact: checked("artifact", &record.artifact, ArtifactId::parse)?,
            artifact_size_bytes: record.artifact_size_bytes,
            target: record.target,
            graph: record.graph,
            arguments: record.arguments,
            parallelism: record.parallelism,
            savepoint: record.savepoint,
            allow_non_restored_state: record.allow_non_restored_state,
            settings: record.settings,
            request_digest: record.request_digest,
            submitted_at_ms: record.submitted_at_ms,
            cancel_wanted: record.cancel_wanted,
            end: record.end.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&JobEnd> for wire::JobEnd {
    fn from(end: &JobEnd) -> Self {
        let kind = match end.kind {
            JobEndKind::Finished => wire::JobEndKind::Finished,
            JobEndKind::Suspended => wire::JobEndKind::Suspended,
            JobEndKind::Canceled => wire::JobEndKind::Canceled,
            JobEndKind::Failed => wire::JobEndKind::Failed,
        };
        Self {
            kind: kind.into(),
            at_ms: end.at_ms,
            cause: end.cause.clone(),
            epoch: end.epoch.map(|epoch| epoch.0),
        }
    }
}

impl TryFrom<wire::JobEnd> for JobEnd {
    type Error = DecodeReason;

    fn try_from(end: wire::JobEnd) -> Result<Self, DecodeReason> {
        let kind = match end.kind() {
            wire::JobEndKind::Finished => JobEndKind::Finished,
            wire::JobEndKind::Suspended => JobEndKind::Suspended,
            wire::JobEndKind::Canceled => JobEndKind::Canceled,
            wire::JobEndKind::Failed => JobEndKind::Failed,
            wire::JobEndKind::Unspecified => return Err(bad("end.kind", end.kind)),
        };
        Ok(Self {
            kind,
            at_ms: end.at_ms,
            cause: end.cause,
            epoch: end.epoch.map(Epoch),
        })
    }
}

//! Parameters in the path and the query: ids that are checked before anything is done with them.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use tidegate_core::{ArtifactId, JobId, TaskManagerId};
use utoipa::IntoParams;

use super::problem::{Problem, ProblemKind};

/// Parameters in the path.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

/// Parameters in the query; those that the operation does not know are refused.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(ProblemKind::InvalidParameter, rejection.body_text()))?;
        // One way to read parameters: as they are in a query.
        let pairs = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&parameters)
            .finish();
        parse("path", &pairs).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse("query", parts.uri.query().unwrap_or("")).map(Self)
    }
}

/// Reads parameters; a problem names the one at fault.
fn parse<T: DeserializeOwned>(place: &str, pairs: &str) -> Result<T, Problem> {
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(pairs.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let detail = format!(
            "the {place} does not fit: {}; see this operation in /v1/openapi.json",
            error.inner()
        );
        let problem = Problem::new(ProblemKind::InvalidParameter, detail);
        // A path of nothing but the root says nothing.
        if path == "." { problem } else { problem.at(path) }
    })
}

/// An executable.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ArtifactPath {
    /// The SHA-256 of its bytes, in 64 lower-case hexadecimal digits.
    #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub(crate) artifact: ArtifactId,
}

/// A job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct JobPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
}

/// One of a job's checkpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct CheckpointPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
    /// The checkpoint's id.
    pub(crate) checkpoint: u64,
}

/// Something that was triggered for a job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TriggerPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
    /// The `request-id` that the trigger was answered with.
    pub(crate) trigger: String,
}

/// One of a job's vertices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct VertexPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
    /// The vertex's number in the plan.
    pub(crate) vertex: u32,
}

/// One task of a vertex.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SubtaskPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
    /// The vertex's number in the plan.
    pub(crate) vertex: u32,
    /// Which of its tasks, from 0.
    pub(crate) subtask: u32,
}

/// One of a job's log files.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct LogPath {
    /// The job's id: 32 lower-case hexadecimal digits.
    #[serde(deserialize_with = "job_id")]
    #[param(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub(crate) job: JobId,
    /// The task manager that has the file.
    #[param(value_type = String, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    pub(crate) taskmanager: TaskManagerId,
    /// The file's name there.
    pub(crate) file: String,
}

/// A task manager.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TaskManagerPath {
    /// The task manager's id.
    #[param(value_type = String, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    pub(crate) taskmanager: TaskManagerId,
}

/// A job's id as it is in a cluster; by itself the type takes any text.
fn job_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JobId, D::Error> {
    let text = String::deserialize(deserializer)?;
    JobId::parse(&text).map_err(D::Error::custom)
}

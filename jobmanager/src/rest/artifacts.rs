//! Executables: upload, list, delete, run.

use std::num::NonZeroU32;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderMap,
};
use serde::{Deserialize, Serialize};
use tidegate_core::ArtifactId;
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{JsonBody, require_media_type, stream_body},
    parameters::{ArtifactPath, InPath, InQuery},
    problem::{Problem, ProblemKind},
    router::Context,
};
use crate::cluster::{
    JobSettings, RunRequest,
    view::{ArtifactList, ArtifactView, Submitted},
};

/// The header that makes a submission safe to repeat.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Done, and there is nothing to say about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {}

/// What an upload may say about itself.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announcement {
    /// The SHA-256 that the executable should have, in 64 lower-case hexadecimal digits; another one is refused.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    sha256: Option<ArtifactId>,
}

/// How an executable is to be run. All fields may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunBody {
    /// The job's own arguments.
    #[serde(default)]
    program_args_list: Vec<String>,
    /// The parallelism of operators that do not say otherwise; without it, the cluster's default.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    parallelism: Option<NonZeroU32>,
    /// Where a savepoint or a retained checkpoint lies that the job starts from.
    #[serde(default)]
    savepoint_path: Option<String>,
    /// Whether state that no operator claims is dropped rather than refused.
    #[serde(default)]
    allow_non_restored_state: bool,
    /// Settings that differ from the cluster's: of checkpoints and of restarts.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: JobSettings,
}

impl RunBody {
    pub(crate) fn request(self, artifact: ArtifactId, idempotency_key: Option<String>) -> RunRequest {
        RunRequest {
            artifact,
            program_arguments: self.program_args_list,
            parallelism: self.parallelism.map(NonZeroU32::get),
            savepoint: self.savepoint_path,
            allow_non_restored_state: self.allow_non_restored_state,
            idempotency_key,
            settings: self.settings,
        }
    }
}

/// All executables
#[utoipa::path(get, path = "/v1/artifacts", operation_id = "listArtifacts", tag = "artifacts",
    responses((status = 200, description = "The executables", body = ArtifactList), Problem))]
pub(crate) async fn list(State(context): State<Context>) -> Result<Json<ArtifactList>, Problem> {
    Ok(Json(context.cluster.artifacts().await?))
}

/// Uploads an executable
///
/// The body is the executable itself, as `application/octet-stream`. What is there already is not stored twice.
#[utoipa::path(post, path = "/v1/artifacts", operation_id = "uploadArtifact", tag = "artifacts", params(Announcement),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The executable"),
    responses((status = 200, description = "It is stored", body = ArtifactView), Problem))]
pub(crate) async fn upload(
    State(context): State<Context>,
    InQuery(announcement): InQuery<Announcement>,
    request: Request,
) -> Result<Json<ArtifactView>, Problem> {
    require_media_type(request.headers(), "application/octet-stream")?;
    let _place = context.intake.enter().await?;
    let bytes = stream_body(request.into_body());
    let stored = context
        .cluster
        .upload_artifact(bytes, announcement.sha256.as_ref())
        .await?;
    Ok(Json(stored))
}

/// Deletes an executable
///
/// Refused while a job that has not ended runs it.
#[utoipa::path(delete, path = "/v1/artifacts/{artifact}", operation_id = "deleteArtifact", tag = "artifacts", params(ArtifactPath),
    responses((status = 200, description = "It is gone", body = Done), Problem))]
pub(crate) async fn delete(
    State(context): State<Context>,
    InPath(path): InPath<ArtifactPath>,
) -> Result<Json<Done>, Problem> {
    context.cluster.delete_artifact(&path.artifact).await?;
    Ok(Json(Done {}))
}

/// Runs an executable as a job
///
/// The job is written down when this answers. With an idempotency key, repeating the request yields the same job.
#[utoipa::path(post, path = "/v1/artifacts/{artifact}/run", operation_id = "runArtifact", tag = "artifacts",
    params(ArtifactPath, ("idempotency-key" = Option<String>, Header,
        description = "Any text of 1 to 256 visible ASCII characters: makes the request safe to repeat")),
    request_body = RunBody,
    responses((status = 200, description = "The job", body = Submitted), Problem))]
pub(crate) async fn run(
    State(context): State<Context>,
    InPath(path): InPath<ArtifactPath>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RunBody>,
) -> Result<Json<Submitted>, Problem> {
    let key = idempotency_key(&headers)?;
    let _place = context.intake.enter().await?;
    let job = context.cluster.run(body.request(path.artifact, key)).await?;
    Ok(Json(Submitted {
        jobid: job.to_string(),
    }))
}

/// The key that makes a submission safe to repeat, if the request has one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let is_sound = (1..=crate::cluster::MAX_IDEMPOTENCY_KEY).contains(&key.len())
        && key.as_bytes().iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(key) if is_sound => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!(
                "an idempotency key has 1 to {} visible ASCII characters; choose another one",
                crate::cluster::MAX_IDEMPOTENCY_KEY
            );
            Err(Problem::new(ProblemKind::InvalidParameter, detail).at(IDEMPOTENCY_KEY))
        }
    }
}

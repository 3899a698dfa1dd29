//! Savepoints: taken now, looked up later.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    body::JsonBody,
    parameters::{InPath, JobPath, TriggerPath},
    problem::Problem,
    router::Context,
};
use crate::cluster::{
    SavepointRequest,
    view::{SavepointStatus, Triggered},
};

/// Which savepoint is to be taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavepointBody {
    /// What to call it among the job's savepoints; without it, a name is minted.
    #[serde(default)]
    name: Option<String>,
}

impl From<SavepointBody> for SavepointRequest {
    fn from(body: SavepointBody) -> Self {
        Self { name: body.name }
    }
}

/// Stops a job with a savepoint
///
/// Everything up to the savepoint is published; windows that are open stay open in it. Ask how far it is with the
/// `request-id`.
#[utoipa::path(post, path = "/v1/jobs/{job}/stop", operation_id = "stopJob", tag = "savepoints", params(JobPath), request_body = SavepointBody,
    responses((status = 202, description = "It is being stopped", body = Triggered), Problem))]
pub(crate) async fn stop(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
    JsonBody(body): JsonBody<SavepointBody>,
) -> Result<(StatusCode, Json<Triggered>), Problem> {
    let triggered = context
        .cluster
        .stop_with_savepoint(&path.job, body.into())
        .await?;
    Ok((StatusCode::ACCEPTED, Json(triggered)))
}

/// Takes a savepoint of a job that goes on
#[utoipa::path(post, path = "/v1/jobs/{job}/savepoints", operation_id = "triggerSavepoint", tag = "savepoints", params(JobPath),
    request_body = SavepointBody,
    responses((status = 202, description = "It is being taken", body = Triggered), Problem))]
pub(crate) async fn trigger(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
    JsonBody(body): JsonBody<SavepointBody>,
) -> Result<(StatusCode, Json<Triggered>), Problem> {
    let triggered = context.cluster.savepoint(&path.job, body.into()).await?;
    Ok((StatusCode::ACCEPTED, Json(triggered)))
}

/// How far a savepoint is
#[utoipa::path(get, path = "/v1/jobs/{job}/savepoints/{trigger}", operation_id = "getSavepointStatus", tag = "savepoints", params(TriggerPath),
    responses((status = 200, description = "How far it is", body = SavepointStatus), Problem))]
pub(crate) async fn status(
    State(context): State<Context>,
    InPath(path): InPath<TriggerPath>,
) -> Result<Json<SavepointStatus>, Problem> {
    Ok(Json(
        context.cluster.savepoint_status(&path.job, &path.trigger).await?,
    ))
}

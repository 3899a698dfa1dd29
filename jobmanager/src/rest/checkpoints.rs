//! Checkpoints: their history, one in detail, one out of turn.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    body::JsonBody,
    parameters::{CheckpointPath, InPath, JobPath, TriggerPath},
    problem::Problem,
    router::Context,
};
use crate::cluster::view::{CheckpointDetails, CheckpointHistory, SavepointStatus, Triggered};

/// Nothing is to be said about a checkpoint that is to be taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointBody {}

/// A job's checkpoints
#[utoipa::path(get, path = "/v1/jobs/{job}/checkpoints", operation_id = "getCheckpoints", tag = "checkpoints", params(JobPath),
    responses((status = 200, description = "Counts, the latest, and the history", body = CheckpointHistory), Problem))]
pub(crate) async fn list(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
) -> Result<Json<CheckpointHistory>, Problem> {
    Ok(Json(context.cluster.checkpoints(&path.job).await?))
}

/// Takes a checkpoint before its time
#[utoipa::path(post, path = "/v1/jobs/{job}/checkpoints", operation_id = "triggerCheckpoint", tag = "checkpoints", params(JobPath),
    request_body = CheckpointBody,
    responses((status = 202, description = "It is being taken", body = Triggered), Problem))]
pub(crate) async fn trigger(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
    JsonBody(CheckpointBody {}): JsonBody<CheckpointBody>,
) -> Result<(StatusCode, Json<Triggered>), Problem> {
    let triggered = context.cluster.trigger_checkpoint(&path.job).await?;
    Ok((StatusCode::ACCEPTED, Json(triggered)))
}

/// How far a checkpoint is that was asked for
#[utoipa::path(get, path = "/v1/jobs/{job}/checkpoints/{trigger}", operation_id = "getCheckpointStatus", tag = "checkpoints", params(TriggerPath),
    responses((status = 200, description = "How far it is", body = SavepointStatus), Problem))]
pub(crate) async fn status(
    State(context): State<Context>,
    InPath(path): InPath<TriggerPath>,
) -> Result<Json<SavepointStatus>, Problem> {
    Ok(Json(
        context.cluster.savepoint_status(&path.job, &path.trigger).await?,
    ))
}

/// One checkpoint with its tasks
#[utoipa::path(get, path = "/v1/jobs/{job}/checkpoints/details/{checkpoint}", operation_id = "getCheckpoint", tag = "checkpoints",
    params(CheckpointPath),
    responses((status = 200, description = "The checkpoint", body = CheckpointDetails), Problem))]
pub(crate) async fn details(
    State(context): State<Context>,
    InPath(path): InPath<CheckpointPath>,
) -> Result<Json<CheckpointDetails>, Problem> {
    let details = context
        .cluster
        .checkpoint_details(&path.job, path.checkpoint)
        .await?;
    Ok(Json(details))
}

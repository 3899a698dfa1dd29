//! What a job's workers have written to their standard streams.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    parameters::{InPath, InQuery, JobPath, LogPath},
    problem::Problem,
    router::Context,
};
use crate::cluster::view::LogFiles;

/// The most bytes of a file in one answer.
const MAX_CHUNK_BYTES: u32 = 1024 * 1024;
/// The header that says how long the file is.
const SIZE: HeaderName = HeaderName::from_static("x-file-size");

/// Which piece of a file is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// From which byte.
    #[serde(default)]
    offset: u64,
    /// How many bytes at most; never more than 1 MiB.
    #[serde(default)]
    limit: Option<u32>,
}

/// The log files of a job on all task managers
#[utoipa::path(get, path = "/v1/jobs/{job}/logs", operation_id = "listLogs", tag = "logs", params(JobPath),
    responses((status = 200, description = "The files", body = LogFiles), Problem))]
pub(crate) async fn list(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
) -> Result<Json<LogFiles>, Problem> {
    Ok(Json(context.cluster.logs(&path.job).await?))
}

/// A piece of a log file
#[utoipa::path(get, path = "/v1/jobs/{job}/logs/{taskmanager}/{file}", operation_id = "readLog", tag = "logs", params(LogPath, Piece),
    responses((status = 200, description = "The piece", body = String, content_type = "text/plain",
        headers(("x-file-size" = u64, description = "How many bytes the file has in all"))), Problem))]
pub(crate) async fn read(
    State(context): State<Context>,
    InPath(path): InPath<LogPath>,
    InQuery(piece): InQuery<Piece>,
) -> Result<impl IntoResponse, Problem> {
    let limit = piece.limit.unwrap_or(MAX_CHUNK_BYTES).min(MAX_CHUNK_BYTES);
    let chunk = context
        .cluster
        .read_log(&path.job, &path.taskmanager, &path.file, piece.offset, limit)
        .await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        // What a job writes is not the cluster's own page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (SIZE, chunk.size.to_string()),
    ];
    Ok((headers, chunk.bytes))
}

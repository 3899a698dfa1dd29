//! Vertices of a job and their tasks: what was measured of them.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    parameters::{InPath, InQuery, SubtaskPath, VertexPath},
    problem::{Problem, ProblemKind},
    router::Context,
};
use crate::cluster::view::{SubtaskView, TaskMetricsView, VertexBackpressure, VertexDetails, WatermarkView};

/// Which metrics are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Ids, separated by commas; without it, all.
    #[serde(default)]
    get: Option<String>,
}

/// Something that was measured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metric {
    /// What; for the tasks of a vertex with the task's number and a dot before it.
    id: String,
    /// How much.
    value: String,
}

impl Wanted {
    fn has(&self, id: &str) -> bool {
        self.get
            .as_ref()
            .is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == id))
    }
}

/// A vertex with its tasks
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}", operation_id = "getVertex", tag = "vertices", params(VertexPath),
    responses((status = 200, description = "The vertex", body = VertexDetails), Problem))]
pub(crate) async fn details(
    State(context): State<Context>,
    InPath(path): InPath<VertexPath>,
) -> Result<Json<VertexDetails>, Problem> {
    Ok(Json(context.cluster.vertex(&path.job, path.vertex).await?))
}

/// What was measured of the tasks of a vertex
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}/metrics", operation_id = "getVertexMetrics", tag = "vertices", params(VertexPath, Wanted),
    responses((status = 200, description = "The metrics", body = Vec<Metric>), Problem))]
pub(crate) async fn metrics(
    State(context): State<Context>,
    InPath(path): InPath<VertexPath>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<Vec<Metric>>, Problem> {
    let vertex = context.cluster.vertex(&path.job, path.vertex).await?;
    let mut metrics = Vec::new();
    for task in &vertex.subtasks {
        let prefix = format!("{}.", task.subtask);
        metrics.extend(list_metrics(&prefix, &task.metrics)?);
    }
    metrics.retain(|metric| wanted.has(&metric.id));
    Ok(Json(metrics))
}

/// How much the tasks of a vertex are held up by those behind them
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}/backpressure", operation_id = "getBackpressure", tag = "vertices", params(VertexPath),
    responses((status = 200, description = "How much", body = VertexBackpressure), Problem))]
pub(crate) async fn backpressure(
    State(context): State<Context>,
    InPath(path): InPath<VertexPath>,
) -> Result<Json<VertexBackpressure>, Problem> {
    Ok(Json(context.cluster.backpressure(&path.job, path.vertex).await?))
}

/// How far event time has come in the tasks of a vertex
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}/watermarks", operation_id = "getWatermarks", tag = "vertices", params(VertexPath),
    responses((status = 200, description = "The watermarks", body = Vec<WatermarkView>), Problem))]
pub(crate) async fn watermarks(
    State(context): State<Context>,
    InPath(path): InPath<VertexPath>,
) -> Result<Json<Vec<WatermarkView>>, Problem> {
    Ok(Json(context.cluster.watermarks(&path.job, path.vertex).await?))
}

/// One task of a vertex
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}/subtasks/{subtask}", operation_id = "getSubtask", tag = "vertices",
    params(SubtaskPath),
    responses((status = 200, description = "The task", body = SubtaskView), Problem))]
pub(crate) async fn subtask(
    State(context): State<Context>,
    InPath(path): InPath<SubtaskPath>,
) -> Result<Json<SubtaskView>, Problem> {
    let task = context
        .cluster
        .subtask(&path.job, path.vertex, path.subtask)
        .await?;
    Ok(Json(task))
}

/// What was measured of a task
#[utoipa::path(get, path = "/v1/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/metrics", operation_id = "getSubtaskMetrics", tag = "vertices",
    params(SubtaskPath, Wanted),
    responses((status = 200, description = "The metrics", body = Vec<Metric>), Problem))]
pub(crate) async fn subtask_metrics(
    State(context): State<Context>,
    InPath(path): InPath<SubtaskPath>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<Vec<Metric>>, Problem> {
    let task = context
        .cluster
        .subtask(&path.job, path.vertex, path.subtask)
        .await?;
    let mut metrics = list_metrics("", &task.metrics)?;
    metrics.retain(|metric| wanted.has(&metric.id));
    Ok(Json(metrics))
}

/// Metrics by the names that they have as fields.
fn list_metrics(prefix: &str, metrics: &TaskMetricsView) -> Result<Vec<Metric>, Problem> {
    let fields = serde_json::to_value(metrics)
        .map_err(|error| Problem::new(ProblemKind::Internal, error.to_string()))?;
    let fields = fields.as_object().into_iter().flatten();
    Ok(fields
        .map(|(name, value)| Metric {
            id: format!("{prefix}{name}"),
            value: value.to_string(),
        })
        .collect())
}

//! Jobs: list, describe, cancel.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    artifacts::Done,
    parameters::{InPath, InQuery, JobPath},
    problem::Problem,
    router::Context,
};
use crate::cluster::view::{JobDetails, JobExceptions, JobIds, JobOverview, PlanView};

/// A job's plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobPlan {
    /// The plan.
    plan: PlanView,
}

/// How a job is to be ended.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ending {
    /// How: `cancel` stops its tasks. To keep its state, stop it with a savepoint instead.
    #[serde(default)]
    #[param(inline)]
    mode: EndingMode,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndingMode {
    /// Its tasks are stopped; what has been claimed is committed first.
    #[default]
    Cancel,
}

/// All jobs by id
#[utoipa::path(get, path = "/v1/jobs", operation_id = "listJobs", tag = "jobs",
    responses((status = 200, description = "The jobs", body = JobIds), Problem))]
pub(crate) async fn list(State(context): State<Context>) -> Json<JobIds> {
    Json(context.cluster.jobs().await)
}

/// All jobs at a glance
#[utoipa::path(get, path = "/v1/jobs/overview", operation_id = "getJobsOverview", tag = "jobs",
    responses((status = 200, description = "The jobs", body = JobOverview), Problem))]
pub(crate) async fn overview(State(context): State<Context>) -> Json<JobOverview> {
    Json(context.cluster.jobs_overview().await)
}

/// Everything about a job
#[utoipa::path(get, path = "/v1/jobs/{job}", operation_id = "getJob", tag = "jobs", params(JobPath),
    responses((status = 200, description = "The job", body = JobDetails), Problem))]
pub(crate) async fn details(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
) -> Result<Json<JobDetails>, Problem> {
    Ok(Json(context.cluster.job(&path.job).await?))
}

/// Cancels a job
///
/// The wish is written down when this answers, and comes true then. Repeating it does nothing.
#[utoipa::path(patch, path = "/v1/jobs/{job}", operation_id = "cancelJob", tag = "jobs", params(JobPath, Ending),
    responses((status = 202, description = "It is being cancelled", body = Done), Problem))]
pub(crate) async fn cancel(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
    InQuery(ending): InQuery<Ending>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    match ending.mode {
        EndingMode::Cancel => context.cluster.cancel(&path.job).await?,
    }
    Ok((StatusCode::ACCEPTED, Json(Done {})))
}

/// A job's plan
#[utoipa::path(get, path = "/v1/jobs/{job}/plan", operation_id = "getPlan", tag = "jobs", params(JobPath),
    responses((status = 200, description = "The plan", body = JobPlan), Problem))]
pub(crate) async fn plan(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
) -> Result<Json<JobPlan>, Problem> {
    let plan = context.cluster.plan(&path.job).await?;
    Ok(Json(JobPlan { plan }))
}

/// What went wrong in a job
#[utoipa::path(get, path = "/v1/jobs/{job}/exceptions", operation_id = "getExceptions", tag = "jobs", params(JobPath),
    responses((status = 200, description = "What is remembered, newest first", body = JobExceptions), Problem))]
pub(crate) async fn exceptions(
    State(context): State<Context>,
    InPath(path): InPath<JobPath>,
) -> Result<Json<JobExceptions>, Problem> {
    Ok(Json(context.cluster.exceptions(&path.job).await?))
}

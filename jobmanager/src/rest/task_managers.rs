//! The processes that offer slots.

use axum::{Json, extract::State};

use super::{
    parameters::{InPath, TaskManagerPath},
    problem::Problem,
    router::Context,
};
use crate::cluster::view::{TaskManagerDetails, TaskManagerList};

/// All task managers
#[utoipa::path(get, path = "/v1/taskmanagers", operation_id = "listTaskManagers", tag = "task managers",
    responses((status = 200, description = "Those that are attached", body = TaskManagerList), Problem))]
pub(crate) async fn list(State(context): State<Context>) -> Json<TaskManagerList> {
    Json(context.cluster.task_managers().await)
}

/// One task manager with its workers
#[utoipa::path(get, path = "/v1/taskmanagers/{taskmanager}", operation_id = "getTaskManager", tag = "task managers", params(TaskManagerPath),
    responses((status = 200, description = "The task manager", body = TaskManagerDetails), Problem))]
pub(crate) async fn details(
    State(context): State<Context>,
    InPath(path): InPath<TaskManagerPath>,
) -> Result<Json<TaskManagerDetails>, Problem> {
    Ok(Json(context.cluster.task_manager(&path.taskmanager).await?))
}

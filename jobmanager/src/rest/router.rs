//! Which operation is behind which path and method, and what every request goes through.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::{catch_panic::CatchPanicLayer, decompression::RequestDecompressionLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    artifacts, checkpoints, cluster,
    gate::{self, Gate},
    intake::Intake,
    jobs, logs, openapi, probes,
    problem::{self, Problem, ProblemKind},
    savepoints, submissions, task_managers, vertices,
};
use crate::cluster::ClusterHandle;

/// What operations work with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) cluster: ClusterHandle,
    pub(crate) intake: Intake,
    pub(crate) shown_settings: Arc<serde_json::Value>,
}

/// All operations, with their description.
pub(crate) fn operations() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(cluster::overview))
        .routes(routes!(cluster::config))
        .routes(routes!(cluster::openapi))
        .routes(routes!(artifacts::list, artifacts::upload))
        .routes(routes!(artifacts::delete))
        .routes(routes!(artifacts::run))
        .routes(routes!(jobs::list, submissions::submit))
        .routes(routes!(jobs::overview))
        .routes(routes!(jobs::details, jobs::cancel))
        .routes(routes!(jobs::plan))
        .routes(routes!(jobs::exceptions))
        .routes(routes!(savepoints::stop))
        .routes(routes!(savepoints::trigger))
        .routes(routes!(savepoints::status))
        .routes(routes!(checkpoints::list, checkpoints::trigger))
        .routes(routes!(checkpoints::status))
        .routes(routes!(checkpoints::details))
        .routes(routes!(vertices::details))
        .routes(routes!(vertices::metrics))
        .routes(routes!(vertices::backpressure))
        .routes(routes!(vertices::watermarks))
        .routes(routes!(vertices::subtask))
        .routes(routes!(vertices::subtask_metrics))
        .routes(routes!(logs::list))
        .routes(routes!(logs::read))
        .routes(routes!(task_managers::list))
        .routes(routes!(task_managers::details))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
}

/// The whole service.
pub(crate) fn router(cluster: ClusterHandle, gate: Gate, shown_settings: serde_json::Value) -> Router {
    let context = Context {
        cluster,
        intake: Intake::new(),
        shown_settings: Arc::new(shown_settings),
    };
    let (router, _) = operations().split_for_parts();
    // The last layer is the first that a request meets.
    router
        .fallback(unknown_path)
        .with_state(context)
        // Every operation has a limit of its own, for what arrives and for what it decompresses to.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestDecompressionLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(answer_options))
        .layer(middleware::from_fn_with_state(Arc::new(gate), gate::guard))
        .layer(middleware::map_response(problem::document_refusals))
}

async fn unknown_path(request: Request) -> Problem {
    let detail = format!(
        "nothing is at {:?}; see what is in /v1/openapi.json",
        request.uri().path()
    );
    Problem::new(ProblemKind::UnknownPath, detail)
}

/// `OPTIONS` of a path says which methods it takes.
async fn answer_options(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::OPTIONS;
    let response = next.run(request).await;
    if !asks || response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allowed = response.headers().get(header::ALLOW).cloned();
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if let Some(allowed) = allowed {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}

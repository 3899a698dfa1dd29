//! For those who watch the process: is it alive, can it work, what does it measure.

use axum::{extract::State, http::header, response::IntoResponse};

use super::{problem::Problem, router::Context};

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process is alive
///
/// Asks for no token.
#[utoipa::path(get, path = "/healthz", operation_id = "getHealth", tag = "probes", security(()),
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"), Problem))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the cluster takes requests
///
/// Asks for no token.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "probes", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"), Problem))]
pub(crate) async fn readyz(State(context): State<Context>) -> Result<&'static str, Problem> {
    context.cluster.ready().await?;
    Ok("ready\n")
}

/// Everything that is measured, for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "probes",
    responses((status = 200, description = "In the OpenMetrics text format", body = String,
        content_type = "application/openmetrics-text"), Problem))]
pub(crate) async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    let text = context.cluster.metrics().await;
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

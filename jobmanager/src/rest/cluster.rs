//! The cluster as a whole.

use std::sync::LazyLock;

use axum::{Json, extract::State, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::{openapi::openapi_document, problem::Problem, router::Context};
use crate::cluster::view::ClusterOverview;

/// The description does not change while the process lives.
static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_document);

/// The effective settings of the job manager.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Config {
    /// The release of the job manager.
    version: &'static str,
    /// All settings as they are in effect; secrets are redacted.
    #[schema(value_type = Object)]
    settings: serde_json::Value,
}

/// The cluster at a glance
#[utoipa::path(get, path = "/v1/overview", operation_id = "getOverview", tag = "cluster",
    responses((status = 200, description = "The cluster", body = ClusterOverview), Problem))]
pub(crate) async fn overview(State(context): State<Context>) -> Json<ClusterOverview> {
    Json(context.cluster.overview().await)
}

/// The effective settings of the job manager
#[utoipa::path(get, path = "/v1/config", operation_id = "getConfig", tag = "cluster",
    responses((status = 200, description = "The settings, secrets redacted", body = Config), Problem))]
pub(crate) async fn config(State(context): State<Context>) -> Json<Config> {
    Json(Config {
        version: env!("CARGO_PKG_VERSION"),
        settings: context.shown_settings.as_ref().clone(),
    })
}

/// This description
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "getOpenApi", tag = "cluster",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), Problem))]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

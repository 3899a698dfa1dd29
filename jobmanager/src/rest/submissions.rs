//! A job in one request: its executable and how to run it.

use axum::{
    Json,
    body::Body,
    extract::{
        FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::HeaderMap,
};
use tidegate_core::ArtifactId;
use utoipa::ToSchema;

use super::{
    artifacts::{RunBody, idempotency_key},
    body::{self, require_media_type, stream_body},
    problem::{Problem, ProblemKind},
    router::Context,
};
use crate::cluster::view::{ArtifactView, Submitted};

/// The parts of a submission, in any order.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "it describes the parts, which are taken one by one as they arrive"
)]
pub(crate) struct Submission {
    /// The executable.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    artifact: Vec<u8>,
    /// How it is to be run.
    #[schema(nullable = false)]
    request: Option<RunBody>,
}

/// Uploads an executable and runs it
///
/// The same as uploading it and running it, in one request.
#[utoipa::path(post, path = "/v1/jobs", operation_id = "submitJob", tag = "jobs",
    params(("idempotency-key" = Option<String>, Header,
        description = "Any text of 1 to 256 visible ASCII characters: makes the request safe to repeat")),
    request_body(content = Submission, content_type = "multipart/form-data"),
    responses((status = 200, description = "The job", body = Submitted), Problem))]
pub(crate) async fn submit(
    State(context): State<Context>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Submitted>, Problem> {
    require_media_type(&headers, "multipart/form-data")?;
    let key = idempotency_key(&headers)?;
    let _place = context.intake.enter().await?;
    let request = request.map(|body| Body::from_stream(stream_body(body)));
    let mut parts = Multipart::from_request(request, &context)
        .await
        .map_err(|rejection| Problem::new(ProblemKind::InvalidBody, rejection.body_text()))?;
    let mut artifact = None;
    let mut run = None;
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        match part.name() {
            Some("artifact") if artifact.is_none() => artifact = Some(store(&context, part).await?),
            Some("request") if run.is_none() => run = Some(body::parse(&collect(part).await?)?),
            name => {
                let detail = format!(
                    "a submission has one part \"artifact\" and at most one part \"request\", and this one has another \
                     part {:?}; leave it out",
                    name.unwrap_or("")
                );
                return Err(Problem::new(ProblemKind::InvalidBody, detail));
            }
        }
    }
    let Some(artifact) = artifact else {
        let detail = "a submission has a part \"artifact\" and this one has none; send the executable as curl does with -F \
                      artifact=@FILE";
        return Err(Problem::new(ProblemKind::InvalidBody, detail).at("artifact"));
    };
    let artifact = ArtifactId::parse(&artifact.id)
        .map_err(|error| Problem::new(ProblemKind::Internal, error.to_string()))?;
    let run: RunBody = run.unwrap_or_default();
    let job = context.cluster.run(run.request(artifact, key)).await?;
    Ok(Json(Submitted {
        jobid: job.to_string(),
    }))
}

async fn store(context: &Context, part: Field<'_>) -> Result<ArtifactView, Problem> {
    Ok(context.cluster.upload_artifact(part, None).await?)
}

/// A part that is small enough to hold.
async fn collect(mut part: Field<'_>) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > body::MAX_JSON_BYTES {
            return Err(body::too_long().at("request"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(error: MultipartError) -> Problem {
    let detail = format!(
        "the parts of the body cannot be read: {}; send it again",
        error.body_text()
    );
    Problem::new(ProblemKind::InvalidBody, detail)
}

//! Bodies of requests: JSON that is checked to the last field, and bytes that are too many to hold.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures::{Stream, TryStreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Problem, ProblemKind};

/// How long a JSON body may be, decompressed.
pub(crate) const MAX_JSON_BYTES: usize = 1024 * 1024;
/// How long a JSON body may take to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a streamed body may pause.
const STREAM_PAUSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. No body at all counts as `{}`. Takes no parameters in the query: whoever puts them there would be
/// surprised to see them ignored.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            let detail = "this operation takes no parameters in the query; put them into the body";
            return Err(Problem::new(ProblemKind::InvalidParameter, detail));
        }
        let (parts, body) = request.into_parts();
        let bytes = timeout(JSON_TIMEOUT, collect(body)).await.map_err(|_| late())??;
        if bytes.is_empty() && !parts.headers.contains_key(header::CONTENT_TYPE) {
            return parse(b"{}").map(Self);
        }
        require_media_type(&parts.headers, "application/json")?;
        parse(&bytes).map(Self)
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, MAX_JSON_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => Err(broken(&*error)),
    }
}

/// Reads a value; a problem names the field at fault.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be taken for the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let detail = "the body is no JSON object; see this operation in /v1/openapi.json";
        return Err(Problem::new(ProblemKind::InvalidBody, detail));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let problem = Problem::new(
            ProblemKind::InvalidBody,
            format!(
                "the body does not fit: {}; see this operation in /v1/openapi.json",
                error.inner()
            ),
        );
        // A path of nothing but the root says nothing.
        if path == "." { problem } else { problem.at(path) }
    })?;
    reader.end().map_err(|error| {
        let detail = format!("the body goes on after its JSON value: {error}; send one value");
        Problem::new(ProblemKind::InvalidBody, detail)
    })?;
    Ok(value)
}

/// Refuses a body that says it is of another media type, or does not say.
pub(crate) fn require_media_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let said = headers
        .get(header::CONTENT_TYPE)
        .and_then(|said| said.to_str().ok())
        .unwrap_or("");
    let essence = said.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail =
        format!("this operation takes a body of {expected}, not of {said:?}; set the header content-type");
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail).at("content-type"))
}

/// The body as it arrives. Ends with an error if the client goes away or pauses for too long.
pub(crate) fn stream_body(body: Body) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let chunks = TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other);
    stream::try_unfold(Box::pin(chunks), |mut chunks| async move {
        match timeout(STREAM_PAUSE_TIMEOUT, chunks.try_next()).await {
            Ok(chunk) => Ok(chunk?.map(|chunk| (chunk, chunks))),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    })
}

pub(crate) fn too_long() -> Problem {
    let detail =
        format!("the body is longer than the {MAX_JSON_BYTES} bytes that a request takes; shorten it");
    Problem::new(ProblemKind::BodyTooLarge, detail)
}

fn late() -> Problem {
    let detail = format!(
        "the body did not arrive within {} s; send the request again",
        JSON_TIMEOUT.as_secs()
    );
    Problem::new(ProblemKind::RequestTimeout, detail)
}

/// A body that broke off, or cannot be decompressed.
fn broken(error: &dyn std::error::Error) -> Problem {
    let detail = format!("the body cannot be read: {error}; send the request again");
    Problem::new(ProblemKind::MalformedRequest, detail)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[serde(default)]
        parallelism: Option<u16>,
        #[serde(default)]
        arguments: Vec<String>,
    }

    async fn take(kind: Option<&str>, body: impl Into<Body>) -> Result<Wish, Problem> {
        let mut request = Request::builder().uri("/");
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).unwrap();
        JsonBody::from_request(request, &()).await.map(|body| body.0)
    }

    const JSON: Option<&str> = Some("application/json");

    #[tokio::test]
    async fn json_is_taken_and_nothing_counts_as_an_empty_object() {
        let nothing = Wish {
            parallelism: None,
            arguments: Vec::new(),
        };
        assert_eq!(take(None, "").await.unwrap(), nothing);
        assert_eq!(take(JSON, "{}").await.unwrap(), nothing);
        let kind = Some("Application/JSON; charset=utf-8");
        assert_eq!(
            take(kind, r#"{"parallelism":2}"#).await.unwrap().parallelism,
            Some(2)
        );
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_with_the_field() {
        let cases = [
            (
                JSON,
                r#"{"parallelism":"2"}"#,
                ProblemKind::InvalidBody,
                Some("parallelism"),
            ),
            (
                JSON,
                r#"{"parallelism":-1}"#,
                ProblemKind::InvalidBody,
                Some("parallelism"),
            ),
            (
                JSON,
                r#"{"paralelism":1}"#,
                ProblemKind::InvalidBody,
                Some("paralelism"),
            ),
            (
                JSON,
                r#"{"arguments":["a",1]}"#,
                ProblemKind::InvalidBody,
                Some("arguments[1]"),
            ),
            (
                JSON,
                r#"{"parallelism":1,"parallelism":1}"#,
                ProblemKind::InvalidBody,
                None,
            ),
            (JSON, "{} {}", ProblemKind::InvalidBody, None),
            (JSON, "", ProblemKind::InvalidBody, None),
            (JSON, "\u{0}", ProblemKind::InvalidBody, None),
            (JSON, "[]", ProblemKind::InvalidBody, None),
            (
                None,
                "{}",
                ProblemKind::UnsupportedMediaType,
                Some("content-type"),
            ),
            (
                Some("text/plain"),
                "{}",
                ProblemKind::UnsupportedMediaType,
                Some("content-type"),
            ),
        ];
        for (kind, body, expected, field) in cases {
            let problem = take(kind, body).await.unwrap_err();
            assert_eq!(problem.kind(), expected, "{body}");
            assert_eq!(problem.field(), field, "{body}: {problem}");
        }
        let deep = "{\"arguments\":".repeat(50_000);
        assert_eq!(
            take(JSON, deep).await.unwrap_err().kind(),
            ProblemKind::InvalidBody
        );
        let long = format!("{{\"arguments\":[\"{}\"]}}", "x".repeat(MAX_JSON_BYTES));
        assert_eq!(
            take(JSON, long).await.unwrap_err().kind(),
            ProblemKind::BodyTooLarge
        );
    }

    #[tokio::test]
    async fn parameters_in_the_query_are_not_ignored() {
        let request = Request::builder()
            .uri("/?parallelism=2")
            .body(Body::empty())
            .unwrap();
        let problem = JsonBody::<Wish>::from_request(request, &()).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::InvalidParameter);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up() {
        let never = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        assert_eq!(
            take(JSON, never).await.unwrap_err().kind(),
            ProblemKind::RequestTimeout
        );
        let never = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        let error = Box::pin(stream_body(never)).try_next().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}

//! What a client is told when a request cannot be answered: problem documents as in RFC 9457.

use std::{collections::BTreeMap, fmt};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{self, ContentBuilder, RefOr, ResponseBuilder},
};

use crate::cluster::{ClusterError, ErrorKind};

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// What the `type` of every problem starts with.
const TYPE_PREFIX: &str = "urn:tidegate:problem:";

/// What kind of problem a request met. A kind's name, title and status never change. A refusal of the cluster keeps its
/// own name ([`ClusterError::code`]) under the title and status of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProblemKind {
    /// The request is no request: its path or headers cannot be read.
    MalformedRequest,
    /// The body is not what the operation takes.
    InvalidBody,
    /// A parameter in the path or the query is not what the operation takes.
    InvalidParameter,
    /// The bearer token is missing or another.
    Unauthorized,
    /// The request was made by a page of another site.
    ForeignOrigin,
    /// Nothing is at this path.
    UnknownPath,
    /// There is no such thing: a job, an artifact, a checkpoint, …
    NotFound,
    /// There is something at this path, but not with this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// What is asked for does not fit the state that things are in.
    Conflict,
    /// The body, or what it decompresses to, is longer than the operation takes.
    BodyTooLarge,
    /// The body is of a media type, or in an encoding, that the operation does not take.
    UnsupportedMediaType,
    /// The artifact, its graph or the job made of it cannot run here.
    Unprocessable,
    /// The path is too long.
    PathTooLong,
    /// Too much is going on already.
    Busy,
    /// The headers are too many or too long.
    HeadersTooLarge,
    /// A defect of the job manager.
    Internal,
    /// The cluster cannot do it now: it starts, ends, or lacks the task managers it takes.
    Unavailable,
    /// The object store does not do what it is asked to.
    Storage,
}

impl ProblemKind {
    /// All kinds, in the order of their status.
    pub const ALL: [Self; 19] = [
        Self::MalformedRequest,
        Self::InvalidBody,
        Self::InvalidParameter,
        Self::Unauthorized,
        Self::ForeignOrigin,
        Self::UnknownPath,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::BodyTooLarge,
        Self::PathTooLong,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::Busy,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::Storage,
    ];

    fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedRequest => (
                "malformed-request",
                StatusCode::BAD_REQUEST,
                "The request cannot be read",
            ),
            Self::InvalidBody => ("invalid-body", StatusCode::BAD_REQUEST, "The body is not valid"),
            Self::InvalidParameter => (
                "invalid-parameter",
                StatusCode::BAD_REQUEST,
                "A parameter is not valid",
            ),
            Self::Unauthorized => (
                "unauthorized",
                StatusCode::UNAUTHORIZED,
                "The bearer token is missing or wrong",
            ),
            Self::ForeignOrigin => (
                "foreign-origin",
                StatusCode::FORBIDDEN,
                "The request comes from a page of another site",
            ),
            Self::UnknownPath => ("unknown-path", StatusCode::NOT_FOUND, "Nothing is at this path"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "This path does not take this method",
            ),
            Self::RequestTimeout => (
                "request-timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The request took too long to arrive",
            ),
            Self::Conflict => (
                "conflict",
                StatusCode::CONFLICT,
                "The state of things does not allow it",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::PathTooLong => ("path-too-long", StatusCode::URI_TOO_LONG, "The path is too long"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body's media type or encoding is not taken",
            ),
            Self::Unprocessable => (
                "unprocessable",
                StatusCode::UNPROCESSABLE_ENTITY,
                "This cannot run here",
            ),
            Self::Busy => (
                "too-many-requests",
                StatusCode::TOO_MANY_REQUESTS,
                "Too much is going on already",
            ),
            Self::HeadersTooLarge => (
                "headers-too-large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are too large",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The job manager has a defect",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The cluster cannot do this now",
            ),
            Self::Storage => (
                "storage-failed",
                StatusCode::BAD_GATEWAY,
                "The object store fails",
            ),
        }
    }

    /// The last part of the problem's `type`.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The status that comes with it.
    pub fn status(self) -> StatusCode {
        self.facts().1
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// The kind that a bare status stands for, such as one that the framework has answered with.
    fn of_status(status: StatusCode) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.status() == status)
            .unwrap_or(if status.is_server_error() {
                Self::Internal
            } else {
                Self::MalformedRequest
            })
    }
}

/// Why a request is not answered as asked. Becomes a response with a [`ProblemDocument`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    kind: ProblemKind,
    name: &'static str,
    detail: String,
    field: Option<String>,
}

impl Problem {
    /// A problem; the detail says what, which and what to do.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            name: kind.name(),
            detail: detail.into(),
            field: None,
        }
    }

    /// Names the field, parameter or header at fault.
    pub fn at(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// The field, parameter or header at fault, if it is one.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    fn document(&self) -> ProblemDocument {
        ProblemDocument {
            kind: format!("{TYPE_PREFIX}{}", self.name),
            title: self.kind.title().to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            field: self.field.clone(),
        }
    }
}

impl From<ClusterError> for Problem {
    fn from(error: ClusterError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid => ProblemKind::InvalidBody,
            ErrorKind::NotFound => ProblemKind::NotFound,
            ErrorKind::Conflict => ProblemKind::Conflict,
            ErrorKind::TooLarge => ProblemKind::BodyTooLarge,
            ErrorKind::Unusable => ProblemKind::Unprocessable,
            ErrorKind::Busy => ProblemKind::Busy,
            ErrorKind::Unavailable => ProblemKind::Unavailable,
            ErrorKind::Storage => ProblemKind::Storage,
        };
        Self {
            kind,
            name: error.code(),
            detail: error.to_string(),
            field: error.field().map(str::to_owned),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A problem document as in RFC 9457.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// Which problem: `urn:tidegate:problem:` and its name. Stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:tidegate:problem:invalid-body")]
    kind: String,
    /// What problems of this kind are called. Stable.
    #[schema(example = "The body is not valid")]
    title: String,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong here, with what, and what to do about it.
    detail: String,
    /// The field of the body, the parameter or the header at fault, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
}

impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let document = ContentBuilder::new()
            .schema(Some(RefOr::from(openapi::Ref::from_schema_name(
                "ProblemDocument",
            ))))
            .build();
        let response = ResponseBuilder::new()
            .description("Why it was not done")
            .content(MEDIA_TYPE, document)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

/// Turns what the framework answers by itself into problem documents; keeps headers such as `Allow`.
pub(crate) async fn document_refusals(response: Response) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_document = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == MEDIA_TYPE.as_bytes());
    if !is_refusal || is_document {
        return response;
    }
    let kind = ProblemKind::of_status(status);
    let detail = match kind {
        ProblemKind::MethodNotAllowed => "use one of the methods in the header allow",
        ProblemKind::UnsupportedMediaType => {
            "send the body as it is or with content-encoding gzip, and with the content-type that the operation takes"
        }
        ProblemKind::Internal => "report it with what the job manager has logged",
        _ => "see the operations in /v1/openapi.json",
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut documented = Problem::new(kind, detail).into_response();
    for (name, value) in &parts.headers {
        documented.headers_mut().append(name, value.clone());
    }
    documented
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_a_status_of_refusal() {
        let names: BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
        let statuses: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.status()).collect();
        assert!(statuses.iter().all(|status| status.as_u16() >= 400));
    }

    #[tokio::test]
    async fn bare_refusals_become_documents_and_keep_their_headers() {
        let bare = (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response();
        let documented = document_refusals(bare).await;
        assert_eq!(documented.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(documented.headers()[header::ALLOW], "GET");
        assert_eq!(documented.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let fine = document_refusals(StatusCode::OK.into_response()).await;
        assert!(!fine.headers().contains_key(header::CONTENT_TYPE));
    }

    #[test]
    fn a_document_leaves_out_what_it_does_not_have() {
        let problem = Problem::new(ProblemKind::NotFound, "no job \"a\"; list them");
        let text = serde_json::to_string(&problem.document()).unwrap();
        assert_eq!(
            text,
            r#"{"type":"urn:tidegate:problem:not-found","title":"There is no such thing","status":404,"detail":"no job \"a\"; list them"}"#
        );
        let text = serde_json::to_string(&problem.at("job").document()).unwrap();
        assert!(text.contains(r#""field":"job""#), "{text}");
    }
}

//! The description of the interface, generated from the code.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{problem::ProblemDocument, router};

/// What the description says before its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate job manager",
        description = "Submit jobs to a Tidegate cluster, watch them and end them. Paths and fields are named as in Flink's REST \
                       API wherever the concept is the same. Times are milliseconds since the Unix epoch, durations \
                       milliseconds, sizes bytes; -1 stands for a time that has not come. Every refusal is a problem document.",
    ),
    components(schemas(ProblemDocument)),
    modifiers(&Security),
    tags(
        (name = "cluster", description = "The cluster as a whole"),
        (name = "artifacts", description = "Executables of jobs"),
        (name = "jobs", description = "Jobs, from submission to end"),
        (name = "savepoints", description = "Copies of a job's state that it can be started from"),
        (name = "checkpoints", description = "What recovery would start from"),
        (name = "vertices", description = "Chains of operators and their tasks"),
        (name = "logs", description = "What workers have written"),
        (name = "task managers", description = "The processes that offer slots"),
        (name = "probes", description = "For those who watch the process"),
    )
)]
struct Frame;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        // Nothing, or the token: which of them, the cluster's settings say.
        document.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new::<_, [&str; 0], &str>("token", []),
        ]);
    }
}

pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// The description of the whole interface (OpenAPI 3.1), as it is served at `/v1/openapi.json`.
pub fn openapi_document() -> String {
    let document = router::operations().into_openapi();
    let mut text = document
        .to_pretty_json()
        .expect("a description holds nothing that JSON cannot");
    text.push('\n');
    text
}

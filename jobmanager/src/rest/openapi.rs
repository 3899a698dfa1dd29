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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_that_is_checked_in_is_the_one_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == openapi_document(),
            "openapi.json is not what the code says; run `cargo run -p tidegate-jobmanager -- openapi > jobmanager/openapi.json`"
        );
    }

    #[test]
    fn the_pages_name_every_operation_and_every_problem() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rest.md");
        let page = fs::read_to_string(page).unwrap();
        let document: Value = serde_json::from_str(&openapi_document()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let operation = format!("| `{} {path}` |", method.to_uppercase());
                assert!(
                    page.contains(&operation),
                    "docs/rest.md has no row for {operation}"
                );
            }
        }
        for kind in crate::rest::ProblemKind::ALL {
            assert!(
                page.contains(&format!("`{}`", kind.name())),
                "docs/rest.md lacks {kind:?}"
            );
        }
    }

    #[test]
    fn every_operation_is_named_and_says_how_it_refuses() {
        let document: Value = serde_json::from_str(&openapi_document()).unwrap();
        let mut names = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let place = format!("{method} {path}");
                assert!(
                    names.insert(operation["operationId"].as_str().unwrap().to_owned()),
                    "{place}"
                );
                assert!(operation["summary"].is_string(), "{place}");
                assert!(operation["responses"]["default"].is_object(), "{place}");
            }
        }
        assert!(names.len() >= 30, "{names:?}");
    }
}

//! What a client may rely on.

use tidegate_jobmanager::rest::{Exposure, RestError, RestOptions, RestServer};

use crate::support::{Server, TOKEN};

const NO_JOB: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_empty_cluster_is_described() {
    let server = Server::start().await;
    let overview = server.ask("GET", "/v1/overview").await;
    assert_eq!(overview.status, 200, "{overview:?}");
    assert_eq!(overview.json()["taskmanagers"], 0);
    for (path, field) in [
        ("/v1/jobs", "jobs"),
        ("/v1/jobs/overview", "jobs"),
        ("/v1/artifacts", "artifacts"),
        ("/v1/taskmanagers", "taskmanagers"),
    ] {
        let list = server.ask("GET", path).await;
        assert_eq!(list.status, 200, "{list:?}");
        assert_eq!(list.json()[field].as_array().unwrap().len(), 0, "{path}");
    }
    for (path, kind) in [
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        (
            "/metrics",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("/v1/openapi.json", "application/json"),
        ("/v1/config", "application/json"),
    ] {
        let answer = server.ask("GET", path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(kind)),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_of_its_own() {
    let server = Server::start().await;
    let no_artifact = "0".repeat(64);
    let cases = [
        ("GET", "/".to_owned(), 404, "unknown-path"),
        ("GET", "/v2/jobs".to_owned(), 404, "unknown-path"),
        ("GET", "/v1/jobs/".to_owned(), 404, "unknown-path"),
        ("GET", format!("/v1/jobs/{NO_JOB}"), 404, "job-not-found"),
        ("GET", format!("/v1/jobs/{NO_JOB}/plan"), 404, "job-not-found"),
        (
            "GET",
            format!("/v1/jobs/{NO_JOB}/checkpoints/details/1"),
            404,
            "job-not-found",
        ),
        (
            "GET",
            format!("/v1/jobs/{NO_JOB}/vertices/0/subtasks/0/metrics"),
            404,
            "job-not-found",
        ),
        ("GET", format!("/v1/jobs/{NO_JOB}/logs"), 404, "job-not-found"),
        (
            "PATCH",
            format!("/v1/jobs/{NO_JOB}?mode=cancel"),
            404,
            "job-not-found",
        ),
        (
            "POST",
            format!("/v1/jobs/{NO_JOB}/savepoints"),
            404,
            "job-not-found",
        ),
        ("POST", format!("/v1/jobs/{NO_JOB}/stop"), 404, "job-not-found"),
        (
            "DELETE",
            format!("/v1/artifacts/{no_artifact}"),
            404,
            "artifact-not-found",
        ),
        (
            "POST",
            format!("/v1/artifacts/{no_artifact}/run"),
            404,
            "artifact-not-found",
        ),
        (
            "GET",
            "/v1/taskmanagers/nobody".to_owned(),
            404,
            "task-manager-not-found",
        ),
        ("PUT", "/v1/jobs".to_owned(), 405, "method-not-allowed"),
        ("DELETE", "/healthz".to_owned(), 405, "method-not-allowed"),
        ("BREW", "/v1/overview".to_owned(), 405, "method-not-allowed"),
    ];
    for (method, target, status, name) in cases {
        let answer = server.ask(method, &target).await;
        println!("{method} {target}");
        answer.assert_problem(status, name);
        assert_eq!(answer.header("allow").is_some(), status == 405, "{answer:?}");
    }
}

#[tokio::test]
async fn head_and_options_say_what_get_would() {
    let server = Server::start().await;
    let head = server.ask("HEAD", "/v1/jobs").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), Some("application/json"));
    let options = server.ask("OPTIONS", "/v1/jobs").await;
    assert_eq!(options.status, 204, "{options:?}");
    assert_eq!(options.header("allow"), Some("get,head,post"));
    server
        .ask("OPTIONS", "/v1/nothing")
        .await
        .assert_problem(404, "unknown-path");
}

#[tokio::test]
async fn with_a_token_everything_but_probes_asks_for_it() {
    let server = Server::with_token().await;
    let with = |authorization: &str| {
        format!(
            "GET /v1/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\n\r\n"
        )
    };
    let right = server.send(with(&format!("Bearer {TOKEN}")).as_bytes()).await;
    assert_eq!(right.status, 200, "{right:?}");
    for wrong in ["Bearer wrong", "Bearer ", "Basic MDEyMw==", ""] {
        let answer = server.send(with(wrong).as_bytes()).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"), "{answer:?}");
    }
    for target in ["/v1/jobs", "/metrics", "/v1/openapi.json", "/nothing"] {
        server
            .ask("GET", target)
            .await
            .assert_problem(401, "unauthorized");
    }
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(server.ask("GET", probe).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_token_only_this_machine_is_served() {
    let open = RestOptions {
        listen: ([0, 0, 0, 0], 0).into(),
        ..RestOptions::default()
    };
    let refused = RestServer::bind(open.clone()).await.err().unwrap();
    assert!(matches!(refused, RestError::Open { .. }), "{refused}");
    let insecure = RestOptions {
        exposure: Exposure::Insecure,
        ..open
    };
    RestServer::bind(insecure).await.unwrap();
}

#[tokio::test]
async fn pages_of_other_sites_cannot_reach_in() {
    let server = Server::start().await;
    for headers in [
        "host: evil.example",
        "host: localhost\r\norigin: http://evil.example",
    ] {
        let request = format!("GET /v1/jobs HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        server
            .send(request.as_bytes())
            .await
            .assert_problem(403, "foreign-origin");
    }
}

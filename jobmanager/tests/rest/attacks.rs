//! Requests that nobody should send.

use std::{
    env,
    fs::File,
    io::{Read, Write},
};

use flate2::{Compression, write::GzEncoder};

use crate::support::Server;

const NO_JOB: &str = "0123456789abcdef0123456789abcdef";
const NO_ARTIFACT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const JSON: &str = "content-type: application/json\r\n";
const OCTETS: &str = "content-type: application/octet-stream\r\n";
const GIBIBYTE: u64 = 1 << 30;

/// How an executable begins, so that the door lets it in.
fn beginning() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let mut executable = File::open(env::current_exe().unwrap()).unwrap();
    executable.read_exact(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn names_that_lead_elsewhere_lead_nowhere() {
    let server = Server::start().await;
    let names = [
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "..%5c..%5cwindows",
        "%00",
        "%ff%fe",
        "%",
        "a%0d%0ax:y",
        ".hidden",
        "%252e%252e",
        "ABCDEF0123456789ABCDEF0123456789",
    ];
    let long = "a".repeat(5_000);
    for name in names.into_iter().chain([long.as_str()]) {
        for target in [
            format!("/v1/jobs/{name}"),
            format!("/v1/jobs/{name}/logs"),
            format!("/v1/artifacts/{name}/run"),
            format!("/v1/taskmanagers/{name}/x"),
            format!("/v1/jobs/{NO_JOB}/savepoints/{name}"),
            format!("/v1/jobs/{NO_JOB}/logs/{name}/out"),
            format!("/v1/jobs/{NO_JOB}/logs/tm/{name}"),
            format!("/v1/jobs/{NO_JOB}/checkpoints/details/{name}"),
            format!("/v1/jobs/{NO_JOB}/vertices/{name}"),
            format!("/{name}"),
        ] {
            let answer = server.ask("GET", &target).await;
            assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut_off() {
    let server = Server::with(|_, cluster| cluster.artifact_limit_bytes = 100_000).await;
    let head = |target: &str, kind: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {GIBIBYTE}\r\n{kind}\r\n"
        )
        .into_bytes()
    };
    let mut request = head(&format!("/v1/artifacts/{NO_ARTIFACT}/run"), JSON);
    request.resize(request.len() + (4 << 20), b' ');
    server.send(&request).await.assert_problem(413, "body-too-large");
    let mut request = head("/v1/artifacts", OCTETS);
    request.extend(beginning());
    request.resize(request.len() + (4 << 20), 0);
    server
        .send(&request)
        .await
        .assert_problem(413, "artifact-too-large");
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_a_large_one_is_cut_off() {
    let server = Server::with(|_, cluster| cluster.artifact_limit_bytes = 100_000).await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&beginning()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20, "it should fit below the limit as it is");
    let packed = |kind: &str| format!("{kind}content-encoding: gzip\r\n");
    let run = format!("/v1/artifacts/{NO_ARTIFACT}/run");
    let answer = server.post(&run, &packed(JSON), &bomb).await;
    answer.assert_problem(413, "body-too-large");
    let answer = server.post("/v1/artifacts", &packed(OCTETS), &bomb).await;
    answer.assert_problem(413, "artifact-too-large");

    let answer = server.post(&run, &packed(JSON), b"this is not gzip").await;
    answer.assert_problem(400, "malformed-request");
    let other = format!("{JSON}content-encoding: br\r\n");
    server
        .post(&run, &other, b"{}")
        .await
        .assert_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_field() {
    let server = Server::start().await;
    let run = format!("/v1/artifacts/{NO_ARTIFACT}/run");
    let savepoint = format!("/v1/jobs/{NO_JOB}/savepoints");
    let cases = [
        (&run, r#"{"parallelism":"4"}"#, "parallelism"),
        (&run, r#"{"parallelism":4.5}"#, "parallelism"),
        (&run, r#"{"parallelism":99999999999}"#, "parallelism"),
        (&run, r#"{"parallelism":0}"#, "parallelism"),
        (&run, r#"{"programArgsList":"--help"}"#, "programArgsList"),
        (&run, r#"{"programArgsList":[{}]}"#, "programArgsList[0]"),
        (
            &run,
            r#"{"allowNonRestoredState":"yes"}"#,
            "allowNonRestoredState",
        ),
        (&run, r#"{"entryClass":"Main"}"#, "entryClass"),
        (&savepoint, r#"{"name":7}"#, "name"),
        (&savepoint, r#"{"cancel-job":true}"#, "cancel-job"),
    ];
    for (target, body, field) in cases {
        let answer = server.post_json(target, body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(answer.json()["field"], field, "{body}: {answer:?}");
    }
    for body in ["", "null", "[]", "{", "\"\"", "{}{}", "\u{feff}{}", "NaN"] {
        server
            .post_json(&run, body)
            .await
            .assert_problem(400, "invalid-body");
    }
    server
        .post(&run, "", b"{}")
        .await
        .assert_problem(415, "unsupported-media-type");
    let queries = [
        ("PATCH", format!("/v1/jobs/{NO_JOB}?mode=explode"), "mode"),
        ("PATCH", format!("/v1/jobs/{NO_JOB}?mood=cancel"), "mood"),
        ("GET", format!("/v1/jobs/{NO_JOB}/logs/tm/f?offset=-1"), "offset"),
        ("GET", format!("/v1/jobs/{NO_JOB}/logs/tm/f?limit=many"), "limit"),
        ("GET", format!("/v1/jobs/{NO_JOB}/vertices/-1"), "vertex"),
        (
            "GET",
            format!("/v1/jobs/{NO_JOB}/vertices/99999999999999999999"),
            "vertex",
        ),
        ("GET", "/v1/jobs/x".to_owned(), "job"),
    ];
    for (method, target, field) in queries {
        let answer = server.ask(method, &target).await;
        answer.assert_problem(400, "invalid-parameter");
        assert_eq!(answer.json()["field"], field, "{target}: {answer:?}");
    }
    let long = "k".repeat(257);
    for key in ["two words", "", long.as_str()] {
        let answer = server
            .post(&run, &format!("{JSON}idempotency-key: {key}\r\n"), b"{}")
            .await;
        answer.assert_problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn uploads_that_are_no_executables_are_refused() {
    let server = Server::start().await;
    let text = server
        .post("/v1/artifacts", OCTETS, b"#!/bin/sh\nrm -rf /\n")
        .await;
    assert_eq!(text.status, 422, "{text:?}");
    let nothing = server.post("/v1/artifacts", OCTETS, b"").await;
    assert_eq!(nothing.status, 422, "{nothing:?}");
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    server
        .post("/v1/artifacts", form, b"x")
        .await
        .assert_problem(415, "unsupported-media-type");
    assert_eq!(
        server.ask("GET", "/v1/artifacts").await.json()["artifacts"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn submissions_in_parts_are_checked_part_by_part() {
    let server = Server::start().await;
    let kind = "content-type: multipart/form-data; boundary=edge\r\n";
    let part = |name: &str, body: &str| {
        format!(
            "--edge\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"../../x\"\r\n\r\n{body}\r\n"
        )
    };
    let cases = [
        ("--edge--\r\n".to_owned(), 400),
        (part("request", "{}") + "--edge--\r\n", 400),
        (part("request", r#"{"paralelism":1}"#) + "--edge--\r\n", 400),
        (part("request", &"[".repeat(2 << 20)) + "--edge--\r\n", 413),
        (part("other", "{}") + "--edge--\r\n", 400),
        (part("artifact", "no executable") + "--edge--\r\n", 422),
        (part("artifact", "cut off"), 400),
        ("no part at all".to_owned(), 400),
    ];
    for (body, status) in cases {
        let answer = server.post("/v1/jobs", kind, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["detail"].is_string());
    }
    let no_boundary = "content-type: multipart/form-data\r\n";
    server
        .post("/v1/jobs", no_boundary, b"x")
        .await
        .assert_problem(400, "invalid-body");
}

#[tokio::test]
async fn absurd_heads_are_refused() {
    let server = Server::start().await;
    let many: String = (0..1_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let request = format!("GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        let answer = server.send(request.as_bytes()).await;
        assert_eq!(answer.status, 431, "{answer:?}");
    }
    let path = format!("/{}", "a".repeat(1 << 20));
    let answer = server.ask("GET", &path).await;
    assert!([414, 431].contains(&answer.status), "{answer:?}");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on: TLS\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"POST /v1/artifacts HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/artifacts HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ] {
        let answer = server.send(garbage).await;
        assert!((400..500).contains(&answer.status), "{garbage:?}: {answer:?}");
    }
    // Another protocol is hung up on.
    assert_eq!(server.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.status, 0);
    assert_eq!(server.ask("GET", "/healthz").await.status, 200);
}

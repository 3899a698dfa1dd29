//! `run` and `artifacts`.

use std::fs;

use serde_json::{Value, json};

use crate::script::{JOB, Script, problem};

/// The id of another executable.
const DIGEST: &str = "e9d9d7b7e2b5b2b5f9b0f1e3f6a3f7e5d3c0f0e6a6a0d1c1b3a5d7f9e1c3b5a7";

fn executable() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job");
    fs::write(&path, "abc").unwrap();
    let path = path.display().to_string();
    (directory, path)
}

/// The SHA-256 of `abc`, from FIPS 180-4.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn submits(script: Script) -> Script {
    script.on(&format!("POST /v1/artifacts/{ABC}/run"), json!({"jobid": JOB}))
}

fn lists(script: Script, ids: &[&str]) -> Script {
    let artifacts: Vec<Value> = ids.iter().map(|id| json!({"id": id, "size": 3})).collect();
    script.on("GET /v1/artifacts", json!({"artifacts": artifacts}))
}

#[test]
fn an_executable_is_uploaded_and_run() {
    let (_directory, path) = executable();
    let script = submits(lists(Script::new(), &[DIGEST])).on(
        &format!("POST /v1/artifacts?sha256={ABC}"),
        json!({"id": ABC, "size": 3}),
    );
    let out = script
        .run(&[
            "run",
            &path,
            "-p",
            "4",
            "--from-savepoint",
            "s3://b/s",
            "--set",
            "checkpoints.interval=5s",
            "--set",
            "checkpoints.retained=3",
            "--",
            "--input",
            "a b",
        ])
        .done();
    assert_eq!(out, format!("{JOB}\n"));
    let uploads = script.asked_for("POST /v1/artifacts?");
    assert_eq!(uploads[0].body, b"abc");
    assert_eq!(uploads[0].headers["content-length"], "3");
    assert_eq!(uploads[0].headers["content-type"], "application/octet-stream");
    let runs = script.asked_for(&format!("POST /v1/artifacts/{ABC}/run"));
    assert_eq!(
        runs[0].json(),
        json!({
            "programArgsList": ["--input", "a b"],
            "parallelism": 4,
            "savepointPath": "s3://b/s",
            "settings": {"checkpoints": {"interval": "5s", "retained": 3}},
        })
    );
    assert_eq!(runs[0].headers["idempotency-key"].len(), 32);
}

#[test]
fn what_is_there_is_not_uploaded_again() {
    let (_directory, path) = executable();
    let script = submits(lists(Script::new(), &[ABC]));
    script.run(&["run", &path]).done();
    script.run(&["run", ABC, "--idempotency-key", "mine"]).done();
    assert!(script.asked_for("POST /v1/artifacts?").is_empty());
    let runs = script.asked_for("POST /v1/artifacts/");
    assert_eq!(runs[0].json(), json!({}));
    assert_eq!(runs[1].headers["idempotency-key"], "mine");
}

#[test]
fn a_submission_is_repeated_under_the_same_key() {
    let (_directory, path) = executable();
    let run = format!("POST /v1/artifacts/{ABC}/run");
    let script =
        lists(Script::new(), &[ABC]).answer(&run, 503, problem("not-ready", 503, "it starts; ask again"));
    let script = submits(script);
    script.run(&["run", &path]).done();
    let runs = script.asked_for(&run);
    assert_eq!(runs.len(), 2);
    assert_eq!(
        runs[0].headers["idempotency-key"],
        runs[1].headers["idempotency-key"]
    );
}

#[test]
fn waiting_ends_with_the_job_and_with_its_code() {
    let (_directory, path) = executable();
    for (state, cause, code, told) in [
        ("FINISHED", None, 0, "has finished"),
        ("FAILED", Some("disk full\n\u{1b}[2J"), 1, "has failed: disk full"),
        ("CANCELED", None, 5, "is CANCELED"),
        ("SUSPENDED", None, 5, "is SUSPENDED"),
    ] {
        let job = |state: &str, cause: Option<&str>| json!({"jid": JOB, "name": "flights", "state": state, "cause": cause});
        let what = format!("GET /v1/jobs/{JOB}");
        let waits =
            json!({"jid": JOB, "name": "flights", "state": "CREATED", "waits-for": "2 slots are missing"});
        let script = submits(lists(Script::new(), &[ABC]))
            .on(&what, waits)
            .answer(&what, 503, problem("not-ready", 503, "it starts; ask again"))
            .on(&what, job("RUNNING", None))
            .on(&what, job(state, cause));
        let ran = script.run(&["run", &path, "--wait"]);
        assert_eq!(ran.out, format!("{JOB}\n"));
        assert!(
            ran.err.contains("flights CREATED waits: 2 slots are missing\n"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
        ran.refused(code, told);

        let ran = script.run(&["run", &path, "--wait", "-o", "json"]);
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["state"], state);
    }
}

#[test]
fn artifacts_are_listed_and_deleted() {
    let script = Script::new()
        .on(
            "GET /v1/artifacts",
            json!({"artifacts": [
                {"id": ABC, "size": 1536, "uploaded": 0, "target": "x86_64-linux", "name": "flights", "jobs": [JOB]},
                {"id": DIGEST, "size": 3},
            ]}),
        )
        .on(&format!("DELETE /v1/artifacts/{DIGEST}"), json!({}))
        .answer(
            &format!("DELETE /v1/artifacts/{ABC}"),
            409,
            problem("artifact-in-use", 409, "a job runs it; cancel the job first"),
        );
    let out = script.run(&["artifacts", "ls"]).done();
    let row = out.lines().nth(1).unwrap();
    for cell in [ABC, "flights", "1.50 KiB", "x86_64-linux", "1970-01-01T00:00:00Z"] {
        assert!(row.contains(cell), "{row}");
    }
    script.run(&["artifacts", "rm", "e9d9"]).done();
    script.run(&["artifacts", "rm", ABC]).refused(
        3,
        "error: It was refused (artifact-in-use, status 409)\n  a job runs it; cancel the job first",
    );
    script
        .run(&["artifacts", "rm", "77"])
        .refused(2, "no artifact's id begins with `77`");
}

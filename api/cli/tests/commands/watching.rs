//! `logs` and `doctor`.

use serde_json::{Value, json};

use crate::script::{JOB, Script, problem};

#[test]
fn logs_are_listed_and_shown() {
    let piece = |file: &str| format!("GET /v1/jobs/{JOB}/logs/one/{file}?offset=0&limit=1048576");
    let script = Script::new()
        .on(
            &format!("GET /v1/jobs/{JOB}/logs"),
            json!({"logs": [
                {"task-manager": "one", "name": "one-1.log", "size": 6},
                {"task-manager": "one", "name": "one-2.log", "size": 5},
            ], "unreachable": ["two did not answer"]}),
        )
        .on(&piece("one-1.log"), Value::String("hello\n".to_owned()))
        .on(&piece("one-2.log"), Value::String("world".to_owned()))
        .on(
            &format!("GET /v1/jobs/{JOB}/logs/one/one-1.log?offset=4&limit=1048576"),
            Value::String("o\n".to_owned()),
        );
    let ran = script.run(&["logs", JOB]);
    assert!(ran.err.contains("warning: two did not answer"), "{}", ran.err);
    assert_eq!(
        ran.done(),
        "==> one one-1.log <==\nhello\n==> one one-2.log <==\nworld"
    );
    assert_eq!(script.run(&["logs", JOB, "--file", "one-2.log"]).done(), "world");
    assert_eq!(
        script
            .run(&["logs", JOB, "--file", "one-1.log", "--tail", "2"])
            .done(),
        "o\n"
    );
    assert!(script.run(&["logs", JOB, "--list"]).done().contains("one-2.log"));
    script
        .run(&["logs", JOB, "--file", "no.log"])
        .refused(2, "no such log file");
}

#[test]
fn logs_are_followed_until_the_job_has_ended() {
    let files = format!("GET /v1/jobs/{JOB}/logs");
    let job = format!("GET /v1/jobs/{JOB}");
    let list = |size: u64| json!({"logs": [{"task-manager": "one", "name": "one-1.log", "size": size}]});
    let piece = |offset: u64| format!("GET /v1/jobs/{JOB}/logs/one/one-1.log?offset={offset}&limit=1048576");
    let script = Script::new()
        .on(&job, json!({"jid": JOB, "state": "RUNNING"}))
        .on(&job, json!({"jid": JOB, "state": "FINISHED"}))
        .on(&files, list(3))
        .on(&files, list(6))
        .on(&piece(0), Value::String("one".to_owned()))
        .on(&piece(3), Value::String("two".to_owned()));
    assert_eq!(script.run(&["logs", "--follow", JOB]).done(), "onetwo");
}

/// A cluster in which all is well.
fn healthy(slots_available: u64, taskmanagers: u64) -> Script {
    let overview = json!({"taskmanagers": taskmanagers, "slots-total": 4, "slots-available": slots_available,
                          "jobs-running": 1, "version": env!("CARGO_PKG_VERSION"), "generation": 3,
                          "storage": "s3://b/c"});
    let task_manager = json!({"id": "one", "version": env!("CARGO_PKG_VERSION")});
    Script::new()
        .on("GET /healthz", json!("healthz is no JSON"))
        .on("GET /v1/overview", overview)
        .on("GET /v1/config", json!({"settings": {"rest": {}}}))
        .on("GET /v1/taskmanagers", json!({"taskmanagers": [task_manager]}))
        .on(
            "GET /v1/jobs/overview",
            json!({"jobs": [{"jid": JOB, "name": "flights", "state": "CREATED"}]}),
        )
}

#[test]
fn the_doctor_finds_a_healthy_cluster_sound() {
    let script = healthy(2, 1).on("GET /readyz", json!("readyz is no JSON")).on(
        &format!("GET /v1/jobs/{JOB}"),
        json!({"jid": JOB, "state": "RUNNING"}),
    );
    let out = script.run(&["doctor"]).done();
    for part in [
        "address        ok       http://127.0.0.1",
        "environment variable TIDEGATE_ADDRESS",
        "s3://b/c takes conditional writes (generation 3)",
        "2 of 4 are free",
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    assert!(!out.contains("broken") && !out.contains("warning"), "{out}");
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let script = healthy(0, 1)
        .answer(
            "GET /readyz",
            502,
            problem("storage-failed", 502, "the bucket is missing"),
        )
        .on(
            &format!("GET /v1/jobs/{JOB}"),
            json!({"jid": JOB, "state": "CREATED", "waits-for": "1 slot is missing"}),
        );
    let ran = script.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    for part in [
        "the bucket is missing",
        "the next job waits; start more task managers",
        "flights waits: 1 slot is missing",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in {}", ran.out);
    }

    let ran = healthy(0, 0)
        .on("GET /readyz", json!("readyz is no JSON"))
        .run(&["doctor", "-o", "json"]);
    assert_eq!(ran.code, 1);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["sound"], false);
    let checks = document["checks"].as_array().unwrap();
    assert!(
        checks
            .iter()
            .any(|check| check["check"] == "task managers" && check["finding"] == "broken")
    );

    let script = Script::new()
        .on("GET /healthz", json!("healthz is no JSON"))
        .answer(
            "GET /v1/overview",
            401,
            problem("unauthorized", 401, "send the token"),
        );
    let ran = script.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("set TIDEGATE_TOKEN to the value of"),
        "{}",
        ran.out
    );
}

//! `list`, `describe`, `plan`, `savepoint`, `stop`, `cancel`, `checkpoints`, `task-managers`.

use serde_json::{Value, json};

use crate::script::{JOB, Script, problem};

const OTHER: &str = "ffffffffffffffffffffffffffffffff";

fn overview(script: Script) -> Script {
    script.on(
        "GET /v1/jobs/overview",
        json!({"jobs": [
            {"jid": JOB, "name": "flights", "state": "RUNNING", "start-time": 0, "end-time": -1, "duration": 61_000,
             "last-modification": 0, "tasks": {"total": 4, "running": 3, "a-new-state": 1}, "a-new-field": 7},
            {"jid": OTHER, "name": "delays", "state": "FAILED", "start-time": 0, "duration": 5, "tasks": {}},
        ]}),
    )
}

#[test]
fn jobs_are_listed() {
    let script = overview(Script::new());
    let out = script.run(&["list"]).done();
    let row = out.lines().nth(1).unwrap();
    for cell in [JOB, "flights", "RUNNING", "3/4", "1970-01-01T00:00:00Z", "1m 1s"] {
        assert!(row.contains(cell), "{row}");
    }
    assert_eq!(out.lines().count(), 3);
    assert_eq!(script.run(&["list", "--running"]).done().lines().count(), 2);
    let document: Value = serde_json::from_str(&script.run(&["list", "-o", "json"]).done()).unwrap();
    assert_eq!(
        document["jobs"][0]["a-new-field"], 7,
        "documents are passed on as they came"
    );
}

#[test]
fn a_job_is_described_by_its_name() {
    let script = overview(Script::new())
        .on(
            &format!("GET /v1/jobs/{JOB}"),
            json!({"jid": JOB, "name": "flights", "state": "RUNNING", "start-time": 0, "end-time": -1, "duration": 5,
                   "restarts": 2, "epoch": 17, "parallelism": 2, "slots": 2, "artifact": "abc",
                   "program-arguments": ["--input", "x"],
                   "vertices": [{"id": "0", "name": "source → map", "parallelism": 2, "status": "RUNNING",
                                 "metrics": {"read-records": 12_345, "accumulated-busy-time": 30,
                                             "accumulated-idle-time": 70, "current-watermark": 1000}}]}),
        )
        .on(
            &format!("GET /v1/jobs/{JOB}/exceptions"),
            json!({"root-exception": null, "timestamp": null, "exceptionHistory": {"truncated": false, "entries": [
                {"exceptionName": "worker one-1 was killed by SIGKILL", "timestamp": 1000, "attempt": 1, "worker": "one-1",
                 "taskManagerId": "one"}]}}),
        );
    let out = script.run(&["describe", "flights"]).done();
    for part in [
        "restarts     2\n",
        "epoch        17\n",
        "arguments    --input x\n",
        "source → map",
        "12345",
        "30%",
        "1970-01-01T00:00:01Z",
        "attempt 1 on one-1: worker one-1 was killed by SIGKILL",
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    let document: Value = serde_json::from_str(&script.run(&["describe", JOB, "-o", "json"]).done()).unwrap();
    assert_eq!(document["job"]["epoch"], 17);
}

#[test]
fn the_tasks_of_a_vertex_are_shown() {
    let script = Script::new().on(
        &format!("GET /v1/jobs/{JOB}/vertices/3"),
        json!({"id": "3", "subtasks": [
            {"subtask": 0, "status": "RUNNING", "worker": "one-1", "taskmanager-id": "one",
             "metrics": {"read-records": 5, "accumulated-backpressured-time": 1, "accumulated-idle-time": 3}},
            {"subtask": 1, "status": "DEPLOYING"},
        ]}),
    );
    let out = script.run(&["describe", JOB, "--vertex", "3"]).done();
    let row = |index: usize| {
        out.lines()
            .nth(index)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        row(1),
        [
            "0", "RUNNING", "one-1", "one", "5", "0", "0%", "25%", "0", "B", "-"
        ]
    );
    assert_eq!(row(2)[..4], ["1", "DEPLOYING", "-", "-"]);
}

#[test]
fn a_plan_is_drawn() {
    let script = Script::new().on(
        &format!("GET /v1/jobs/{JOB}/plan"),
        json!({"plan": {"jid": JOB, "name": "flights", "type": "STREAMING", "nodes": [
            {"id": "0", "parallelism": 1, "operators": ["read"], "description": "read"},
            {"id": "1", "parallelism": 4, "operators": ["sum", "write"], "description": "sum → write",
             "inputs": [{"num": 0, "id": "0", "ship_strategy": "HASH", "exchange": "pipelined_bounded"}]},
        ]}}),
    );
    let out = script.run(&["plan", JOB]).done();
    assert_eq!(out, "0 × 1  read\n1 × 4  sum → write\n    ← 0 (HASH)\n");
}

#[test]
fn savepoints_are_waited_for() {
    let status = format!("GET /v1/jobs/{JOB}/savepoints/r1");
    let script = Script::new()
        .answer(
            &format!("POST /v1/jobs/{JOB}/savepoints"),
            202,
            json!({"request-id": "r1"}),
        )
        .on(&status, json!({"status": {"id": "IN_PROGRESS"}}))
        .on(
            &status,
            json!({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/s"}}),
        );
    assert_eq!(script.run(&["savepoint", JOB]).done(), "r1\n");
    assert_eq!(
        script.run(&["savepoint", JOB, "--name", "mine", "--wait"]).done(),
        "s3://b/s\n"
    );
    let asked = script.asked_for("POST");
    assert_eq!(asked[0].json(), json!({}));
    assert_eq!(asked[1].json(), json!({"name": "mine"}));
    assert_eq!(
        script.run(&["savepoint", JOB, "--status", "r1"]).done(),
        "s3://b/s\n"
    );

    let script = Script::new().on(
        &status,
        json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": "a task failed"}}),
    );
    script
        .run(&["savepoint", JOB, "--status", "r1"])
        .refused(1, "it was not taken: a task failed");
}

#[test]
fn a_job_is_stopped_and_cancelled() {
    let job = format!("GET /v1/jobs/{JOB}");
    let script = Script::new()
        .answer(
            &format!("POST /v1/jobs/{JOB}/stop"),
            202,
            json!({"request-id": "r1"}),
        )
        .on(
            &format!("GET /v1/jobs/{JOB}/savepoints/r1"),
            json!({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/s"}}),
        )
        .on(&job, json!({"jid": JOB, "state": "RUNNING"}))
        .on(&job, json!({"jid": JOB, "state": "SUSPENDED"}));
    assert_eq!(script.run(&["stop", JOB, "--wait"]).done(), "s3://b/s\n");
    assert_eq!(
        script
            .asked_for("GET /v1/jobs/0123456789abcdef0123456789abcdef")
            .len(),
        3
    );

    let script = Script::new()
        .answer(&format!("PATCH /v1/jobs/{JOB}?mode=cancel"), 202, json!({}))
        .on(&job, json!({"jid": JOB, "state": "CANCELLING"}))
        .on(&job, json!({"jid": JOB, "state": "CANCELED"}));
    assert_eq!(
        script.run(&["cancel", JOB]).done(),
        format!("{JOB} is being cancelled\n")
    );
    assert_eq!(
        script.run(&["cancel", JOB, "--wait"]).done(),
        format!("{JOB} is CANCELED\n")
    );
}

#[test]
fn checkpoints_are_listed_and_verified() {
    let details = |number| format!("GET /v1/jobs/{JOB}/checkpoints/details/{number}");
    let script = Script::new()
        .on(
            &format!("GET /v1/jobs/{JOB}/checkpoints"),
            json!({"counts": {}, "latest": {}, "history": [
                {"id": 9, "status": "FAILED", "is_savepoint": false, "failure_message": "it took too long"},
                {"id": 8, "status": "COMPLETED", "epoch": 4, "is_savepoint": true, "state_size": 2048,
                 "external_path": "s3://b/8"},
                {"id": 7, "status": "COMPLETED", "epoch": 3, "is_savepoint": false, "external_path": "s3://b/7"},
                {"id": 6, "status": "COMPLETED", "epoch": 2, "is_savepoint": false},
                {"id": 5, "status": "COMPLETED", "epoch": 1, "is_savepoint": false, "external_path": "s3://b/5"},
            ]}),
        )
        .on(&details(8), json!({"id": 8, "status": "COMPLETED", "segments": 3, "tasks": [
            {"vertex": 1, "subtask": 2, "alignment-us": 1500, "sync-us": 7, "scan-us": 0, "ended": true}, {}]}))
        .on(&details(5), json!({"id": 5, "status": "COMPLETED", "tasks": [], "segments": 0}))
        .answer(&details(7), 502, problem("storage-failed", 502, "the manifest is damaged"));
    let out = script.run(&["checkpoints", "ls", JOB]).done();
    for part in ["it took too long", "savepoint", "2.00 KiB", "s3://b/7"] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    let out = script.run(&["checkpoints", "describe", JOB, "8"]).done();
    let row: Vec<_> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["1", "2", "1ms", "500us", "7us", "0s", "has", "ended"]);
    let out = script.run(&["checkpoints", "describe", JOB, "5"]).done();
    assert!(out.contains("not retained any more"), "{out}");
    let ran = script.run(&["checkpoints", "verify", JOB]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("8  sound: 2 tasks, 3 segments"), "{}", ran.out);
    assert!(
        ran.out
            .contains("7  unusable: It was refused: the manifest is damaged"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("5  not retained any more"), "{}", ran.out);
    assert_eq!(
        ran.out.lines().count(),
        4,
        "what is not retained cannot be verified"
    );
}

#[test]
fn task_managers_are_listed_and_shown() {
    let one = json!({"id": "one", "host": "here", "timeSinceLastHeartbeat": 0, "slotsNumber": 4, "freeSlots": 1,
                     "target": "x86_64-linux", "version": "0.1.0", "physicalMemory": 1024, "usedMemory": 512,
                     "workers": [{"worker": "one-1", "job": JOB, "memory": 3, "cpu-millicores": 1042}]});
    let script = Script::new()
        .on("GET /v1/taskmanagers", json!({"taskmanagers": [one]}))
        .on("GET /v1/taskmanagers/one", one.clone());
    let out = script.run(&["task-managers"]).done();
    for part in ["one", "1/4", "512 B of 1.00 KiB"] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    let out = script.run(&["task-managers", "one"]).done();
    assert!(
        out.contains("one-1") && out.contains(JOB) && out.contains("1.042"),
        "{out}"
    );
}

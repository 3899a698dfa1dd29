//! `cluster` on this machine, with programs that stand in for the real ones.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::script::{Ran, Script, problem, tidegate};

/// A place with programs in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(job_manager: &str, task_manager: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory };
        fs::create_dir(place.path("bin")).unwrap();
        for (name, script) in [
            ("tidegate-jobmanager", job_manager),
            ("tidegate-taskmanager", task_manager),
        ] {
            let path = place.path("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, words: &[&str], address: &str) -> Ran {
        let dir = self.path("cluster").display().to_string();
        let mut words = words.to_vec();
        words.extend(["--dir", &dir]);
        tidegate(&words, address, &[])
    }

    fn start(&self, address: &str) -> Ran {
        let bin = self.path("bin").display().to_string();
        let words = [
            "cluster",
            "start",
            "--task-managers",
            "2",
            "--bin-dir",
            &bin,
            "--ready-within",
            "30s",
        ];
        self.run(&words, address)
    }

    fn pids(&self) -> Vec<i64> {
        let text = fs::read_to_string(self.path("cluster").join("cluster.json")).unwrap();
        let note: Value = serde_json::from_str(&text).unwrap();
        let members = note["members"].as_array().unwrap();
        members
            .iter()
            .map(|member| member["pid"].as_i64().unwrap())
            .collect()
    }
}

fn is_alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn kill(pid: i64) {
    let ended = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(ended.unwrap().success());
    while is_alive(pid) {
        std::thread::yield_now();
    }
}

/// Waits as a program does that is asked to end at some time.
const WAITS: &str = "echo started \"$@\"; exec sleep 600";

/// An address that is free as far as can be known.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_last_words_and_nothing_is_left() {
    let place = Place::new("echo 'the bucket is missing' >&2; exit 4", WAITS);
    let ran = place.start(&free_address());
    ran.refused(6, "the bucket is missing");
    assert!(!place.path("cluster").join("cluster.json").exists());
}

#[test]
fn what_does_not_become_ready_is_ended() {
    let place = Place::new(WAITS, WAITS);
    let bin = place.path("bin").display().to_string();
    let words = ["cluster", "start", "--bin-dir", &bin, "--ready-within", "200ms"];
    place
        .run(&words, &free_address())
        .refused(4, "the job manager did not listen");
    assert!(!place.path("cluster").join("cluster.json").exists());
    let log = fs::read_to_string(place.path("cluster").join("logs/jobmanager.log")).unwrap();
    assert!(log.contains("started --storage"), "{log}");
}

#[test]
fn programs_that_are_missing_are_named() {
    let place = Place::new(WAITS, WAITS);
    fs::remove_file(place.path("bin").join("tidegate-jobmanager")).unwrap();
    place
        .start(&free_address())
        .refused(6, "there is no tidegate-jobmanager in");
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let script = Script::new().on("GET /healthz", json!("healthz is no JSON"));
    let place = Place::new(WAITS, WAITS);
    let address = script_address(&script);
    place.start(&address).refused(2, "something answers at");
}

fn script_address(script: &Script) -> String {
    let out = script.run(&["config", "print"]).done();
    let line = out.lines().find(|line| line.starts_with("address")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_cluster_is_started_watched_and_ended() {
    let script = Script::new()
        .answer("GET /readyz", 503, problem("not-ready", 503, "it starts"))
        .on("GET /readyz", json!("readyz is no JSON"))
        .on(
            "GET /v1/taskmanagers",
            json!({"taskmanagers": [{"id": "taskmanager-1"}]}),
        )
        .on(
            "GET /v1/taskmanagers",
            json!({"taskmanagers": [{"id": "taskmanager-1"}, {"id": "taskmanager-2"}]}),
        );
    let address = script_address(&script);
    let announces = format!("echo rest http://{address}; echo cluster http://127.0.0.1:1; {WAITS}");
    let place = Place::new(&announces, WAITS);
    let out = place.start("127.0.0.1:0").done();
    assert!(out.contains(&format!("address http://{address}\n")), "{out}");

    let pids = place.pids();
    assert_eq!(pids.len(), 3);
    let log = |name: &str| fs::read_to_string(place.path("cluster/logs").join(name)).unwrap();
    assert!(log("jobmanager.log").contains("--rest-address 127.0.0.1:0 --cluster-address 127.0.0.1:6123"));
    let of_second = log("taskmanager-2.log");
    assert!(
        of_second.contains("--id taskmanager-2 --job-manager http://127.0.0.1:1 --slots 2"),
        "{of_second}"
    );

    let out = place.run(&["cluster", "status"], "127.0.0.1:0").done();
    assert_eq!(out.matches("alive").count(), 3, "{out}");
    place.start("127.0.0.1:0").refused(2, "a cluster runs in");

    kill(pids[2]);
    let ran = place.start("127.0.0.1:0");
    assert!(
        ran.err.contains("taskmanager-2 is gone and is started again"),
        "{}",
        ran.err
    );
    ran.done();
    let pids_now = place.pids();
    assert_eq!(pids_now[..2], pids[..2]);
    assert_eq!(
        log("taskmanager-2.log"),
        of_second.repeat(2),
        "it is started as it was"
    );
    let pids = pids_now;

    place.run(&["cluster", "stop"], "127.0.0.1:0").done();
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn a_later_process_of_the_same_number_is_left_alone() {
    let place = Place::new(WAITS, WAITS);
    let directory = place.path("cluster");
    fs::create_dir_all(&directory).unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let own = i64::from(child.id());
    let stranger = std::process::id();
    note(
        &directory,
        &[(own, &started(own)), (i64::from(stranger), "another time")],
    );
    assert_eq!(place.pids().len(), 2);

    let status = place.run(&["cluster", "status"], "127.0.0.1:1");
    assert_eq!(status.code, 1, "one of them is gone");
    assert!(
        status.out.contains("alive") && status.out.contains("gone"),
        "{}",
        status.out
    );
    place.run(&["cluster", "stop"], "127.0.0.1:1").done();
    assert!(!is_alive(own), "it was ended");
    assert!(
        is_alive(i64::from(stranger)),
        "a later process of the same number is left alone"
    );
    child.wait().unwrap();
    assert!(
        place
            .run(&["cluster", "stop"], "127.0.0.1:1")
            .done()
            .contains("no cluster was started")
    );
    assert_eq!(place.run(&["cluster", "status"], "127.0.0.1:1").code, 1);
}

fn started(pid: i64) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    format!("{}:{}", boot.trim(), fields[19])
}

fn note(directory: &Path, members: &[(i64, &str)]) {
    let members: Vec<Value> = members
        .iter()
        .map(|(pid, started)| json!({"name": "jobmanager", "pid": pid, "started": started, "log": "x", "program": "x", "arguments": []}))
        .collect();
    let note = json!({"address": "http://127.0.0.1:1", "storage": "x", "members": members});
    fs::write(directory.join("cluster.json"), note.to_string()).unwrap();
}

//! What cannot work is refused at the earliest point, with what, which and what to do.

use std::{collections::BTreeMap, process::Command};

use tidegate_sandbox::{
    BUCKET, Binaries, ClusterOptions, ClusterSandbox, Expectation, JobRequest, RestError, s3::S3Server,
};

/// What a job manager ends with whose storage cannot be used.
const STORAGE: i32 = 4;

#[test]
fn a_job_manager_names_what_is_wrong_with_its_storage() {
    let server = S3Server::with_bucket(BUCKET).unwrap();
    server.buckets().create_foreign("theirs");
    let own = BTreeMap::from(server.environment());
    let with = |name: &'static str, value: &str| {
        let mut environment = own.clone();
        environment.insert(name, value.to_owned());
        environment
    };
    for (storage, environment, expected) in [
        ("s3://elsewhere/root", own.clone(), "there is no such bucket"),
        ("s3://theirs/root", own.clone(), "refuses access"),
        (
            "s3://tidegate/root",
            with("AWS_SECRET_ACCESS_KEY", "guessed"),
            "does not accept the credentials",
        ),
        (
            "s3://tidegate/root",
            with("AWS_ACCESS_KEY_ID", "nobody"),
            "does not accept the credentials",
        ),
        ("/dev/null/root", own.clone(), "cannot be opened"),
        ("ftp://host/root", own.clone(), "cannot be used"),
    ] {
        let mut command = Command::new(Binaries::find().path("tidegate-jobmanager"));
        command
            .args(["--storage", storage])
            .args([
                "--rest-address",
                "127.0.0.1:0",
                "--cluster-address",
                "127.0.0.1:0",
            ])
            .envs(environment);
        let ended = command.output().unwrap();
        let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(STORAGE), "{storage}: {errors}");
        assert!(errors.contains(expected), "{storage}: {errors}");
    }
}

#[test]
fn executables_and_jobs_that_cannot_run_are_refused_in_words() {
    let cluster = ClusterSandbox::start(ClusterOptions::default());
    let folder = cluster.folder();
    for (name, contents, expected) in [
        ("text", "#!/bin/sh\nexit 0\n", "executable"),
        ("empty", "", "empty"),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, contents).unwrap();
        let refused = cluster.rest().upload(&path).map(|_| ());
        assert_refused(refused, 400..500, expected);
    }
    // A program that is no job of ours.
    let stranger = cluster.rest().upload(&std::env::current_exe().unwrap());
    let submitted = stranger.and_then(|artifact| {
        let path = format!("/v1/artifacts/{artifact}/run");
        cluster.rest().post(&path, &serde_json::json!({})).map(|_| ())
    });
    assert_refused(submitted, 400..500, "");
    // A job whose arguments make no sense.
    let request = JobRequest {
        program: "ledger_job".to_owned(),
        arguments: vec!["--entries".to_owned(), "many".to_owned()],
        parallelism: 1,
        ..JobRequest::default()
    };
    let refused = cluster.try_submit(&request).map(|_| ());
    assert_refused(refused, 400..500, "many");
    cluster.assert_hygiene(Expectation::Quiet);
}

fn assert_refused(answer: Result<(), RestError>, statuses: std::ops::Range<u16>, expected: &str) {
    match answer {
        Err(RestError::Refused { status, problem, .. }) => {
            let text = problem.to_string();
            assert!(statuses.contains(&status), "{status}: {text}");
            assert!(text.contains(expected), "{expected:?} is not in {text}");
            assert!(problem["type"].is_string(), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

//! The job's output equals that of a plain sequential program: at every size, and when its process is killed on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use tidegate_example_tests::{Job, data, has_files};

use support::{published, reference};

/// The job over the real data.
fn job(place: &Path) -> Job<'_> {
    let flights = data().join("flights*.csv*");
    let airlines = data().join("airlines.csv");
    Job::new(env!("CARGO_BIN_EXE_carrier_delays"), place).with(&[
        "--flights",
        &flights.to_string_lossy(),
        "--airlines",
        &airlines.to_string_lossy(),
    ])
}

#[test]
fn every_size_computes_what_a_sequential_program_computes() {
    let expected = reference();
    assert!(!expected.malformed.is_empty() && expected.cancelled.len() > 8000);
    for (workers, parallelism) in [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1"), ("2", "2")] {
        let place = tempfile::tempdir().unwrap();
        let job = job(place.path());
        job.succeeds(&[
            "--workers",
            workers,
            "--parallelism",
            parallelism,
            "--interval",
            "300ms",
        ]);
        let what = format!("{workers} workers × {parallelism}");
        published(&job.output()).assert_same(&expected, &what);
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_at_any_size() {
    let expected = reference();
    let place = tempfile::tempdir().unwrap();
    let job = job(place.path());
    let slow = ["--throttle", "60000", "--interval", "100ms"];
    for (workers, parallelism) in [("2", "1"), ("1", "3"), ("2", "2")] {
        let size = ["--workers", workers, "--parallelism", parallelism];
        job.kill_after(3, &[&slow[..], &size].concat());
    }
    job.succeeds(&["--workers", "2", "--parallelism", "1"]);
    published(&job.output()).assert_same(&expected, "killed");

    let words = job.succeeds(&[]);
    assert!(words.contains("had finished before"), "{words}");
    published(&job.output()).assert_same(&expected, "started once more");
}

#[test]
fn results_wait_in_state_until_their_airline_is_known() {
    let expected = reference();
    let place = tempfile::tempdir().unwrap();
    let job = job(place.path());
    let output = job.output();
    // Routes are published when all flights have been read; the carriers then wait, and so survive that they are killed.
    let late = [
        "--airlines-after-ms",
        "3600000",
        "--interval",
        "100ms",
        "--parallelism",
        "2",
    ];
    job.kill_when(&late, || has_files(&output.join("routes")));
    assert!(
        !has_files(&output.join("carriers")),
        "there is nothing to wait for"
    );
    job.succeeds(&[]);
    published(&output).assert_same(&expected, "waiting");
}

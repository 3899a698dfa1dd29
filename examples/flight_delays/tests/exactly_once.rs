//! With a bound that no flight exceeds, the job's output equals that of a plain sequential program: at every size, and when
//! its process is killed on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use tidegate_example_tests::{Job, data};

use support::{Published, Reference, input};

/// The job over the real data, which waits for a day.
fn job(place: &Path) -> Job<'_> {
    let flights = data().join("flights*.csv*");
    let airlines = data().join("airlines.csv");
    Job::new(env!("CARGO_BIN_EXE_flight_delays"), place).with(&[
        "--flights",
        &flights.to_string_lossy(),
        "--airlines",
        &airlines.to_string_lossy(),
    ])
}

#[test]
fn every_size_computes_what_a_sequential_program_computes() {
    let input = input();
    assert!(!input.malformed.is_empty() && input.rows.len() > 300_000);
    let expected = Reference::of(input);
    for (workers, parallelism) in [("1", "1"), ("1", "3"), ("2", "2")] {
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
        Published::read(&job.output()).assert_same(&expected, &what);
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_at_any_size() {
    let place = tempfile::tempdir().unwrap();
    let job = job(place.path());
    let slow = ["--throttle", "60000", "--interval", "100ms"];
    for (workers, parallelism) in [("2", "1"), ("1", "3"), ("2", "2")] {
        job.kill_after(
            3,
            &[&slow[..], &["--workers", workers, "--parallelism", parallelism]].concat(),
        );
    }
    job.succeeds(&["--workers", "2", "--parallelism", "1"]);
    Published::read(&job.output()).assert_same(&Reference::of(input()), "killed");

    let words = job.succeeds(&[]);
    assert!(words.contains("had finished before"), "{words}");
}

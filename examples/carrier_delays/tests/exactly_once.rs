//! The job's output equals that of a plain sequential program: at every size, and when its process is killed on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{data, published, reference};

/// How long a condition may take to come true before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The job over the real data, with everything it leaves in `place`.
fn job(place: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrier_delays"));
    command
        .arg("--flights")
        .arg(data().join("flights*.csv*"))
        .arg("--airlines")
        .arg(data().join("airlines.csv"))
        .arg("--output")
        .arg(place.join("output"))
        .arg("--checkpoint-dir")
        .arg(place.join("checkpoints"))
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn succeeds(mut job: Command) -> String {
    let output = job.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {words}", output.status);
    words
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn epochs(place: &Path) -> usize {
    fs::read_dir(place.join("checkpoints/epochs")).map_or(0, |entries| {
        entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name())
            .max()
            .map_or(0, number)
    })
}

fn number(name: std::ffi::OsString) -> usize {
    name.to_string_lossy().parse().unwrap_or(0)
}

/// Starts the job and kills it, in the cruel way, as soon as a condition holds.
fn kill_when(place: &Path, options: &[&str], condition: impl Fn() -> bool) {
    let mut running = Running(job(place, options).spawn().unwrap());
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "the time to kill never came");
        if let Some(status) = running.0.try_wait().unwrap() {
            panic!("the job ended before it could be killed: {status}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    running.0.kill().unwrap();
    running.0.wait().unwrap();
}

/// Kills the job when it has claimed `more` epochs.
fn kill_after(place: &Path, more: usize, options: &[&str]) {
    let until = epochs(place) + more;
    kill_when(place, options, || epochs(place) >= until);
}

fn has_files(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with("part-"))
}

#[test]
fn every_size_computes_what_a_sequential_program_computes() {
    let expected = reference();
    assert!(!expected.malformed.is_empty() && expected.cancelled.len() > 8000);
    for (workers, parallelism) in [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1"), ("2", "2")] {
        let place = tempfile::tempdir().unwrap();
        let options = [
            "--workers",
            workers,
            "--parallelism",
            parallelism,
            "--interval",
            "300ms",
        ];
        succeeds(job(place.path(), &options));
        let what = format!("{workers} workers × {parallelism}");
        published(&place.path().join("output")).assert_same(&expected, &what);
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_at_any_size() {
    let expected = reference();
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let slow = ["--throttle", "60000", "--interval", "100ms"];
    kill_after(
        place,
        3,
        &[&slow[..], &["--workers", "2", "--parallelism", "1"]].concat(),
    );
    kill_after(
        place,
        3,
        &[&slow[..], &["--workers", "1", "--parallelism", "3"]].concat(),
    );
    kill_after(
        place,
        3,
        &[&slow[..], &["--workers", "2", "--parallelism", "2"]].concat(),
    );
    succeeds(job(place, &["--workers", "2", "--parallelism", "1"]));
    published(&place.join("output")).assert_same(&expected, "killed");

    let words = succeeds(job(place, &[]));
    assert!(words.contains("had finished before"), "{words}");
    published(&place.join("output")).assert_same(&expected, "started once more");
}

#[test]
fn results_wait_in_state_until_their_airline_is_known() {
    let expected = reference();
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    // Routes are published when all flights have been read; the carriers then wait, and so survive that they are killed.
    let late = [
        "--airlines-after-ms",
        "3600000",
        "--interval",
        "100ms",
        "--parallelism",
        "2",
    ];
    kill_when(place, &late, || has_files(&place.join("output/routes")));
    assert!(
        !has_files(&place.join("output/carriers")),
        "there is nothing to wait for"
    );
    succeeds(job(place, &[]));
    published(&place.join("output")).assert_same(&expected, "waiting");
}

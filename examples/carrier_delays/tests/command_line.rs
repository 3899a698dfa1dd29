//! What the job's command line does: plans, suspends, takes savepoints, and ends with the code that says why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tidegate_example_tests::{PATIENCE, data};

use support::{published, reference};

fn job(place: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrier_delays"));
    command
        .args(words)
        .current_dir(place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The words of `run`, over the real data.
fn run(options: &[&str]) -> Vec<String> {
    let flights = data().join("flights*.csv*").to_string_lossy().into_owned();
    let airlines = data().join("airlines.csv").to_string_lossy().into_owned();
    let own = [
        "--flights",
        &flights,
        "--airlines",
        &airlines,
        "--output",
        "output",
    ];
    own.iter().chain(options).map(|word| (*word).to_owned()).collect()
}

fn output(place: &Path, words: &[String]) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    job(place, &words).output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
}

/// A job that reads slowly; it does not outlive the test.
struct Running(Child);

impl Running {
    fn start(place: &Path, options: &[&str]) -> Self {
        let words = run(&[&["--throttle", "40000", "--interval", "100ms"], options].concat());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let running = Self(job(place, &words).spawn().unwrap());
        let started = Instant::now();
        while fs::read_dir(place.join("checkpoints/epochs")).map_or(0, Iterator::count) < 2 {
            assert!(started.elapsed() < PATIENCE, "no checkpoints came");
            std::thread::sleep(Duration::from_millis(1));
        }
        running
    }

    fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has said something on standard error, which is not part of its output then.
    fn says(&mut self, words: &str) {
        let mut said = String::new();
        let mut stderr = BufReader::new(self.0.stderr.as_mut().unwrap());
        while !said.contains(words) {
            let read = stderr.read_line(&mut said).unwrap();
            assert!(read > 0, "{said:?} does not say {words:?}");
        }
    }

    fn output(mut self) -> Output {
        let child = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap());
        child.wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_interrupted_job_is_suspended_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let running = Running::start(
        place,
        &["--checkpoint-dir", "checkpoints", "--progress", "always"],
    );
    running.interrupt();
    expect(&running.output(), 0, &["suspending", "is suspended at epoch"]);
    assert!(!place.join("checkpoints/running.json").exists());
    expect(
        &output(place, &run(&["--checkpoint-dir", "checkpoints"])),
        0,
        &["has finished"],
    );
    published(&place.join("output")).assert_same(&reference(), "interrupted");
}

#[test]
fn a_job_that_is_interrupted_twice_ends_at_once_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let options = [
        "--checkpoint-dir",
        "checkpoints",
        "--tolerable-failures",
        "1000000",
    ];
    let mut running = Running::start(place, &options);
    // Where manifests are kept there is a file: no checkpoint succeeds, so the job cannot be suspended.
    let (manifests, aside) = (place.join("checkpoints/checkpoints"), place.join("aside"));
    running.signal("-STOP");
    fs::rename(&manifests, &aside).unwrap();
    fs::write(&manifests, "").unwrap();
    running.signal("-CONT");
    running.interrupt();
    running.says("suspending");
    running.interrupt();
    running.says("stopped at once");
    expect(&running.output(), 130, &[]);
    fs::remove_file(&manifests).unwrap();
    fs::rename(&aside, &manifests).unwrap();
    expect(
        &output(place, &run(&["--checkpoint-dir", "checkpoints"])),
        0,
        &["has finished"],
    );
    published(&place.join("output")).assert_same(&reference(), "interrupted twice");
}

#[test]
fn a_savepoint_is_taken_from_another_process_and_started_from() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let take = words(&[
        "savepoint",
        "--checkpoint-dir",
        "checkpoints",
        "take",
        "first",
        "--suspend",
    ]);
    expect(&output(place, &take), 2, &["no process is running the job"]);

    let running = Running::start(place, &["--checkpoint-dir", "checkpoints"]);
    expect(&output(place, &take), 0, &["savepoint \"first\""]);
    expect(&running.output(), 0, &["is suspended"]);
    let list = words(&["savepoint", "--checkpoint-dir", "checkpoints", "ls"]);
    expect(&output(place, &list), 0, &["first"]);
    let list = words(&["checkpoints", "--checkpoint-dir", "checkpoints", "ls"]);
    expect(
        &output(place, &list),
        0,
        &["epoch", "suspend, savepoint", "committed"],
    );

    // What was published before the savepoint stays; the new lineage publishes the rest.
    let from = ["--checkpoint-dir", "checkpoints", "--from-savepoint", "first"];
    expect(&output(place, &run(&from)), 0, &["has finished"]);
    published(&place.join("output")).assert_same(&reference(), "from savepoint");
}

#[test]
fn every_failure_has_its_code_and_says_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    fs::write(place.join("file"), "").unwrap();
    let cases: [(&[&str], i32, &[&str]); 5] = [
        (&["--nonsense"], 2, &["--nonsense"]),
        (&["--parallelism", "0"], 2, &["--parallelism"]),
        (&["--checkpoint-dir", "file"], 4, &["\"file\""]),
        (
            &["--checkpoint-dir", "a", "--from-savepoint", "missing"],
            3,
            &["no savepoint", "\"missing\""],
        ),
        (
            &[
                "--checkpoint-dir",
                "b",
                "--restart",
                "none",
                "--flights",
                "nothing*.csv",
            ],
            1,
            &["nothing*.csv", "\"flights\""],
        ),
    ];
    for (options, code, words) in cases {
        let mut all = run(options);
        if options.contains(&"--flights") {
            all.drain(..2);
        }
        expect(&output(place, &all), code, words);
    }
}

#[test]
fn a_damaged_link_of_the_chain_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let words = run(&["--checkpoint-dir", "checkpoints"]);
    expect(&output(place, &words), 0, &["has finished"]);
    let epochs = fs::read_dir(place.join("checkpoints/epochs")).unwrap();
    let last = epochs.map(|entry| entry.unwrap().path()).max().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&last, bytes).unwrap();
    let name = last.file_name().unwrap().to_string_lossy().into_owned();
    expect(&output(place, &words), 3, &[&name]);
}

#[test]
fn the_plan_is_shown_for_people_and_for_programs() {
    let place = tempfile::tempdir().unwrap();
    let plan = |words: &[&str]| {
        output(
            place.path(),
            &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
        )
    };
    expect(
        &plan(&["plan", "--parallelism", "3"]),
        0,
        &["chain 0 × 3", "delays-per-carrier", "broadcast from chain"],
    );
    let json = plan(&["plan", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["job"], "carrier-delays");
    assert_eq!(plan(&["plan"]).stdout, plan(&["plan"]).stdout);
}

#[test]
fn progress_lines_say_how_the_job_is_doing() {
    let place = tempfile::tempdir().unwrap();
    let options = [
        "--checkpoint-dir",
        "checkpoints",
        "--throttle",
        "150000",
        "--interval",
        "100ms",
    ];
    let shown = output(
        place.path(),
        &run(&[&options[..], &["--progress", "always"]].concat()),
    );
    expect(
        &shown,
        0,
        &[
            "running · in ",
            "/s · epoch ",
            " old, ",
            " · state ",
            " malformed",
        ],
    );
    let place = tempfile::tempdir().unwrap();
    let silent = output(place.path(), &run(&["--checkpoint-dir", "checkpoints"]));
    assert!(
        !String::from_utf8_lossy(&silent.stderr).contains("/s · "),
        "a pipe got progress lines"
    );
}

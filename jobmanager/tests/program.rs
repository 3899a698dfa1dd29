//! The program `tidegate-jobmanager` as whoever starts it sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate-jobmanager");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    // Nothing of the environment that the tests run in.
    command.env_clear().args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A job manager that serves. Killed when it is dropped.
struct Serving {
    process: Child,
    rest: String,
    log: ChildStderr,
}

impl Serving {
    fn start(storage: &Path) -> Self {
        let mut process = command(&["--rest-address=127.0.0.1:0", "--cluster-address=127.0.0.1:0"])
            .arg("--storage")
            .arg(storage)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = process.stderr.take().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut announced = |what: &str| {
            let line = lines.next().unwrap().unwrap();
            let (name, address) = line.split_once(" http://").unwrap();
            assert_eq!(name, what, "{line}");
            address.to_owned()
        };
        let rest = announced("rest");
        announced("cluster");
        Self { process, rest, log }
    }

    /// How it ends, and what it has logged.
    fn wait(&mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().code(), log)
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_cannot_be_done_ends_with_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let below_a_file = file.join("storage");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&[], 2, "`storage`"),
        (&["--config", "/nowhere/at/all.toml"], 2, "/nowhere/at/all.toml"),
        (&["--storage", storage, "--log-filter", "=,="], 2, "log.filter"),
        (
            &["--storage", storage, "--rest-address", "0.0.0.0:0"],
            2,
            "without a bearer token",
        ),
        (
            &[
                "--storage",
                storage,
                "--cluster-address",
                "0.0.0.0:0",
                "--rest-address",
                "127.0.0.1:0",
            ],
            2,
            "secret",
        ),
        (&["--storage", storage, "--rest-address", &taken], 3, &taken),
        (
            &[
                "--storage",
                below_a_file.to_str().unwrap(),
                "--rest-address",
                "127.0.0.1:0",
            ],
            4,
            "storage",
        ),
    ];
    for (arguments, code, says) in cases {
        let ended = run(arguments);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn settings_come_from_all_layers_and_secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobmanager.toml");
    std::fs::write(
        &file,
        "storage = \"s3://bucket/path\"\n[rest]\nmax-connections = 7\n",
    )
    .unwrap();
    let shown = command(&["config", "print", "--config"])
        .arg(&file)
        .env("TIDEGATE_TOKEN", "0123456789abcdef")
        .env("TIDEGATE_JOBMANAGER_CHECKPOINTS_INTERVAL", "3s")
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}");
    for line in [
        "storage = \"s3://bucket/path\"",
        "max-connections = 7",
        "interval = \"3s\"",
        "token = \"(redacted)\"",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("0123456789abcdef"), "{text}");
    std::fs::write(&file, "[rest]\nadress = \"127.0.0.1:1\"\n").unwrap();
    let refused = run(&["config", "print", "--config", file.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said.contains("`rest.adress`") && said.contains("`rest.address`"),
        "{said}"
    );
}

#[test]
fn help_says_what_is_worth_knowing() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for word in [
        "TIDEGATE_TOKEN",
        "SIGTERM",
        "Exit codes",
        "--storage",
        "--rest-address",
        "config",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn it_ends_in_good_order_when_it_is_told_to() {
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut serving = Serving::start(folder.path());
        // A client that has asked nothing does not hold it up.
        let _idle = std::net::TcpStream::connect(&serving.rest).unwrap();
        serving.signal(signal);
        let (code, log) = serving.wait();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn the_one_that_was_started_last_leads() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Serving::start(folder.path());
    let second = Serving::start(folder.path());
    let (code, log) = first.wait();
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains("another job manager has taken over"), "{log}");
    drop(second);
}

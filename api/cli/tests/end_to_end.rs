//! A cluster of the real programs on this machine, from its start to its end, with nothing but the command.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tidegate_cluster_tests::{expected, read_rows};
use tidegate_sandbox::{BUCKET, Binaries, eventually, s3::S3Server};

/// What every account of the ledger comes to is known for these.
const ACCOUNTS: u64 = 50;

/// A cluster, which ends with the test.
struct Cluster {
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
    storage: Option<String>,
}

/// How the command ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

impl Cluster {
    fn start(storage: Option<String>, environment: &[(&str, String)]) -> Self {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let mut cluster = Self {
            directory: tempfile::tempdir().unwrap(),
            environment,
            storage,
        };
        cluster.bring_up();
        let status: Value = cluster.json(&["cluster", "status"]);
        let address = status["address"].as_str().unwrap().to_owned();
        cluster.environment.push(("TIDEGATE_ADDRESS".to_owned(), address));
        cluster
    }

    /// Starts the cluster, or what is gone of it.
    fn bring_up(&self) {
        let programs = Binaries::find().folder().display().to_string();
        let mut words = vec![
            "cluster",
            "start",
            "--task-managers",
            "2",
            "--slots",
            "2",
            "--bin-dir",
            &programs,
        ];
        words.extend(["--address", "127.0.0.1:0", "--control-address", "127.0.0.1:0"]);
        if let Some(storage) = &self.storage {
            words.extend(["--storage", storage]);
        }
        // While a process is gone, the system may lend its port to a connection of another test.
        eventually("a cluster that is whole", || match self.run(&words) {
            ran if ran.err.contains("jobmanager has ended") => {
                eprintln!("{}", ran.err);
                None
            }
            ran => Some(ran.done()),
        });
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .args(words)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.directory.path());
        if words[0] == "cluster" {
            command.arg("--dir").arg(self.directory.path().join("cluster"));
        }
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    fn json(&self, words: &[&str]) -> Value {
        let mut words = words.to_vec();
        words.extend(["-o", "json"]);
        serde_json::from_str(&self.run(&words).done()).unwrap()
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// The words that run the ledger.
    fn ledger(&self, options: &[&str], entries: u64, rate: u64) -> Vec<String> {
        let job = Binaries::find().path("ledger_job").display().to_string();
        let mut words = vec![
            "run".to_owned(),
            job,
            "--set".to_owned(),
            "checkpoints.interval=100ms".to_owned(),
        ];
        words.extend(options.iter().map(|&word| word.to_owned()));
        let output = self.output().display().to_string();
        words.extend(["--", "--output"].map(str::to_owned));
        words.push(output);
        words.extend([
            format!("--entries={entries}"),
            format!("--rate={rate}"),
            format!("--accounts={ACCOUNTS}"),
        ]);
        words
    }

    fn run_ledger(&self, options: &[&str], entries: u64, rate: u64) -> Ran {
        let words = self.ledger(options, entries, rate);
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn spawn_ledger(&self, options: &[&str], entries: u64, rate: u64) -> Child {
        let words = self.ledger(options, entries, rate);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = self.command(&words);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Waits until the ledger has completed some checkpoints.
    fn wait_for_checkpoints(&self, count: usize) {
        eventually("checkpoints of the ledger", || {
            let ran = self.run(&["checkpoints", "ls", "ledger"]);
            (ran.out.matches("COMPLETED").count() >= count).then_some(())
        });
    }

    fn assert_exact(&self, entries: u64) {
        assert_eq!(read_rows(&self.output()).unwrap(), expected(1, entries, ACCOUNTS));
    }

    fn pid(&self, name: &str) -> String {
        let status: Value =
            serde_json::from_str(&self.run(&["cluster", "status", "-o", "json"]).out).unwrap();
        let members = status["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["name"] == name).unwrap();
        member["pid"].to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = self.run(&["cluster", "stop"]);
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("cluster/logs/jobmanager.log"));
            eprintln!("{}{}{}", ended.out, ended.err, log.unwrap_or_default());
        }
    }
}

#[test]
fn a_job_runs_on_a_cluster_of_this_machine() {
    let cluster = Cluster::start(None, &[]);
    cluster.run(&["doctor"]).done();

    let entries = 4_000;
    let id = cluster
        .run_ledger(&["--parallelism", "3", "--wait"], entries, 40_000)
        .done();
    let id = id.trim();
    cluster.assert_exact(entries);
    let jobs = cluster.json(&["list"]);
    assert_eq!(jobs["jobs"][0]["jid"], id);
    assert_eq!(jobs["jobs"][0]["state"], "FINISHED");
    assert!(cluster.run(&["describe", "ledger"]).done().contains("FINISHED"));
    assert!(cluster.run(&["plan", id]).done().contains("entries"));
    assert!(
        cluster
            .run(&["logs", id, "--list"])
            .done()
            .contains("taskmanager-")
    );

    let artifacts = cluster.json(&["artifacts", "ls"]);
    let artifact = artifacts["artifacts"][0]["id"].as_str().unwrap();
    cluster.run(&["artifacts", "rm", &artifact[..8]]).done();
    assert_eq!(
        cluster.json(&["artifacts", "ls"])["artifacts"],
        serde_json::json!([])
    );
}

#[test]
fn a_job_is_stopped_and_goes_on_at_another_size_behind_closed_ports_in_a_bucket() {
    let s3 = S3Server::with_bucket(BUCKET).unwrap();
    let mut environment = s3.environment().to_vec();
    environment.push(("TIDEGATE_TOKEN", "a-token-of-the-tests".to_owned()));
    environment.push(("TIDEGATE_CLUSTER_SECRET", "a-secret-of-the-tests".to_owned()));
    let cluster = Cluster::start(Some(format!("s3://{BUCKET}/cluster")), &environment);

    let mut stranger = cluster.command(&["list"]);
    let refused = stranger.env_remove("TIDEGATE_TOKEN").output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "a stranger gets nothing");

    let entries = 12_000;
    cluster.run_ledger(&["--parallelism", "2"], entries, 4_000).done();
    cluster.wait_for_checkpoints(2);
    let savepoint = cluster.run(&["stop", "ledger", "--wait"]).done();
    assert!(
        savepoint.starts_with(&format!("s3://{BUCKET}/cluster/jobs/")),
        "{savepoint}"
    );
    assert!(
        read_rows(&cluster.output()).unwrap() != expected(1, entries, ACCOUNTS),
        "it was stopped midway"
    );

    let options = [
        "--parallelism",
        "4",
        "--wait",
        "--from-savepoint",
        savepoint.trim(),
    ];
    cluster.run_ledger(&options, entries, 40_000).done();
    cluster.assert_exact(entries);
}

#[test]
fn waiting_survives_the_job_manager() {
    let cluster = Cluster::start(None, &[]);
    let entries = 16_000;
    let mut waiting = cluster.spawn_ledger(&["--parallelism", "4", "--wait"], entries, 4_000);
    cluster.wait_for_checkpoints(2);
    let killed = Command::new("kill")
        .args(["-9", &cluster.pid("jobmanager")])
        .status()
        .unwrap();
    assert!(killed.success());
    eventually("the end of the job manager", || {
        (cluster.run(&["cluster", "status"]).code == 1).then_some(())
    });
    cluster.bring_up();
    assert!(waiting.wait().unwrap().success());
    cluster.assert_exact(entries);
}

#[test]
fn bad_input_is_refused_with_what_to_do() {
    let cluster = Cluster::start(None, &[]);
    let text = cluster.directory.path().join("text");
    fs::write(&text, "no program").unwrap();
    let cases = [
        (text.display().to_string(), "no executable of Linux"),
        ("/bin/sleep".to_owned(), "job"),
    ];
    for (path, told) in cases {
        let ran = cluster.run(&["run", &path]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    let ran = cluster.run_ledger(&["--from-savepoint", "/nowhere"], 10, 10);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("at: savepointPath"), "{}", ran.err);

    cluster.run_ledger(&["--parallelism", "5"], 10, 10).done();
    eventually("a job that waits for slots", || {
        let seen = cluster.run(&["doctor"]).done();
        seen.contains("ledger waits: ").then_some(())
    });
    cluster.run(&["cancel", "ledger", "--wait"]).done();
    let ran = cluster.run(&["cancel", "ledger"]);
    assert!(
        ran.code == 0 || ran.err.contains("(job-ended, status 409)"),
        "{}",
        ran.err
    );
}

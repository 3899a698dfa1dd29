//! A measured job on a cluster, and in a process of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_benchmarks::BenchmarkError;
use tidegate_sandbox::{Binaries, ClusterSandbox, Job, JobRequest, Rest, RestError};

use crate::progress::Progress;

/// The executable under test.
pub(crate) const PROGRAM: &str = "measured_job";
/// After which something will not happen any more.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A folder that a job's tasks tell their progress in.
pub(crate) struct Told {
    folder: TempDir,
}

impl Told {
    pub(crate) fn new() -> Result<Self, BenchmarkError> {
        let folder = tempfile::tempdir().map_err(machine("there is no folder for progress"))?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn progress(&self) -> Result<Progress, BenchmarkError> {
        Progress::read(self.path()).map_err(machine("the progress of a job cannot be read"))
    }

    /// The job's arguments.
    pub(crate) fn arguments(&self, kind: &str, more: &[(&str, u64)]) -> Vec<String> {
        let mut arguments = vec![format!("--kind={kind}")];
        arguments.push(format!("--marks={}", self.path().display()));
        arguments.extend(more.iter().map(|(name, value)| format!("--{name}={value}")));
        arguments
    }
}

/// What is submitted.
pub(crate) fn request(arguments: Vec<String>, parallelism: u32, interval: &str) -> JobRequest {
    JobRequest {
        program: PROGRAM.to_owned(),
        arguments,
        parallelism,
        savepoint: None,
        settings: BTreeMap::from([
            ("checkpoints".to_owned(), json!({ "interval": interval })),
            // Every failure is as the first is by default: whoever kills again and again would else measure the delay.
            (
                "restart".to_owned(),
                json!({ "strategy": "fixed-delay", "delay": "50ms", "attempts": 1_000 }),
            ),
        ]),
    }
}

/// Waits for a condition on a job of a cluster; fails if the job ends otherwise, or takes too long.
pub(crate) fn wait<T>(
    id: &'static str,
    cluster: &ClusterSandbox,
    job: &Job,
    what: &str,
    mut condition: impl FnMut(&Rest) -> Result<Option<T>, BenchmarkError>,
) -> Result<T, BenchmarkError> {
    let rest = cluster.rest();
    let start = Instant::now();
    let mut looked = Instant::now();
    loop {
        if let Some(value) = condition(rest)? {
            return Ok(value);
        }
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            let state = job.state(rest).unwrap_or_default();
            if matches!(state.as_str(), "FAILED" | "CANCELED" | "FINISHED") {
                let exceptions = job.exceptions(rest).unwrap_or_default();
                return Err(failed(id, format!("it is {state} before {what}: {exceptions}")));
            }
        }
        if start.elapsed() > PATIENCE {
            return Err(failed(
                id,
                format!("not within {PATIENCE:?}: {what}\n{}", cluster.logs()),
            ));
        }
        thread::sleep(LOOK);
    }
}

/// Waits until a job is in a state.
pub(crate) fn reach(
    id: &'static str,
    cluster: &ClusterSandbox,
    job: &Job,
    state: &str,
) -> Result<(), BenchmarkError> {
    wait(id, cluster, job, state, |rest| {
        Ok((job.state(rest).as_deref() == Some(state)).then_some(()))
    })
}

/// Waits until so many more checkpoints are complete.
pub(crate) fn checkpoints(
    id: &'static str,
    cluster: &ClusterSandbox,
    job: &Job,
    more: u64,
) -> Result<(), BenchmarkError> {
    let before = job.completed_checkpoints(cluster.rest());
    wait(id, cluster, job, "a checkpoint", |rest| {
        Ok((job.completed_checkpoints(rest) >= before + more).then_some(()))
    })
}

/// Ends a job without a savepoint.
pub(crate) fn cancel(id: &'static str, cluster: &ClusterSandbox, job: &Job) -> Result<(), BenchmarkError> {
    let path = format!("/v1/jobs/{}?mode=cancel", job.id);
    cluster.rest().patch(&path).map_err(refused(id))?;
    wait(id, cluster, job, "its cancellation", |rest| {
        Ok((job.state(rest).as_deref() == Some("CANCELED")).then_some(()))
    })
}

/// What the job manager says of a path under the job.
pub(crate) fn view(
    id: &'static str,
    cluster: &ClusterSandbox,
    job: &Job,
    path: &str,
) -> Result<Value, BenchmarkError> {
    let path = format!("/v1/jobs/{}{path}", job.id);
    cluster.rest().get(&path).map_err(refused(id))
}

/// Runs a job embedded to its end, on two workers that exchange over loopback TCP.
pub(crate) fn run_embedded(
    id: &'static str,
    arguments: &[String],
    interval: &str,
) -> Result<(), BenchmarkError> {
    let program: PathBuf = Binaries::find().path(PROGRAM);
    let checkpoints = tempfile::tempdir().map_err(machine("there is no folder for checkpoints"))?;
    let status = Command::new(program)
        .args([
            "run",
            "--workers",
            "2",
            "--parallelism",
            "1",
            "--progress",
            "never",
        ])
        .args(["--interval", interval, "--checkpoint-dir"])
        .arg(checkpoints.path())
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(machine("the job cannot be started"))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(id, format!("embedded, it ended with {status}"))),
    }
}

pub(crate) fn failed(id: &'static str, why: String) -> BenchmarkError {
    BenchmarkError::Job {
        id,
        cause: why.into(),
    }
}

pub(crate) fn refused(id: &'static str) -> impl Fn(RestError) -> BenchmarkError {
    move |error| failed(id, error.to_string())
}

pub(crate) fn machine(what: &'static str) -> impl Fn(std::io::Error) -> BenchmarkError {
    move |cause| BenchmarkError::Machine { what, cause }
}

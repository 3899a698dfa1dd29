//! A job manager in the test's process, workers in processes of their own. Every process is killed by its handle when the
//! test ends.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tidegate_core::graph::JobGraph;
use tidegate_driver::{
    CheckpointSettings, Driver, DriverError, DriverHandle, DriverOptions, JobDescription, JobStatus,
    JobStore, Outcome, RequirementSetting, RestartSettings,
};
use tidegate_jobmanager::{HostedJob, WorkerPort, WorkerPortHandle, WorkerPortOptions};
use tokio::task::JoinHandle;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_counting_job");
/// Of these a run takes about two seconds.
const RECORDS: u64 = 20_000;
/// Few: all state is in manifests.
const KEYS: u64 = 97;
/// From one checkpoint to the next.
const INTERVAL: Duration = Duration::from_millis(50);
/// What a worker ends with that was refused or has lost its job manager.
pub(crate) const REFUSED: i32 = 5;
/// What a supervised worker ends with whose supervisor is gone.
pub(crate) const ORPHANED: i32 = 6;
/// After which a test has hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job manager with one job.
pub(crate) struct Cluster {
    folder: TempDir,
    keys: u64,
    interval: Duration,
    options: WorkerPortOptions,
    port: WorkerPortHandle,
    serving: Option<JoinHandle<()>>,
    driver: DriverHandle,
    running: Option<JoinHandle<Result<Outcome, DriverError>>>,
}

impl Cluster {
    pub(crate) fn start(options: WorkerPortOptions) -> Self {
        Self::start_with(options, KEYS, INTERVAL)
    }

    /// A cluster whose job takes checkpoints so rarely that each is too large for a manifest.
    pub(crate) fn with_large_checkpoints(options: WorkerPortOptions) -> Self {
        Self::start_with(options, RECORDS, Duration::from_millis(600))
    }

    fn start_with(options: WorkerPortOptions, keys: u64, interval: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, serving, driver, running) = host(&folder, keys, interval, &options);
        Self {
            folder,
            keys,
            interval,
            options,
            port,
            serving: Some(serving),
            driver,
            running: Some(running),
        }
    }

    /// A worker of the job, with more options.
    pub(crate) fn spawn_worker(&self, name: &str, options: &[&str]) -> Process {
        self.spawn(name, options, "--uid=counts", &[])
    }

    /// A worker with more options, another argument for the job, and more environment.
    pub(crate) fn spawn(
        &self,
        name: &str,
        options: &[&str],
        argument: &str,
        environment: &[(&str, &str)],
    ) -> Process {
        let errors = tempfile::Builder::new()
            .prefix(name)
            .tempfile_in(self.folder.path())
            .unwrap();
        let (file, errors) = errors.keep().unwrap();
        Process::start(
            Command::new(EXECUTABLE)
                .args(["worker", "--slots", "1", "--worker", name])
                .args(["--job", "counting-job", "--coordinator"])
                .arg(format!("http://{}", self.port.address()))
                .arg("--checkpoint-dir")
                .arg(self.folder.path().join("checkpoints"))
                .arg("--local-dir")
                .arg(self.local_folder())
                .args(options)
                .arg("--")
                .args(job_arguments(&self.folder, self.keys))
                .arg(argument)
                .env_remove("TIDEGATE_CLUSTER_SECRET")
                .envs(environment.iter().copied())
                .stdin(Stdio::piped()),
            file,
            errors,
        )
    }

    pub(crate) fn status(&self) -> JobStatus {
        self.driver.status().borrow().clone()
    }

    /// Waits for a condition.
    pub(crate) async fn reach(&self, condition: impl FnMut(&JobStatus) -> bool) {
        let mut status = self.driver.status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(condition)).await;
        let _ = reached
            .expect("the condition is reached in time")
            .expect("the driver lives");
    }

    /// Waits for the end of the job.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        let running = self.running.take().expect("the job is waited for once");
        let ended = tokio::time::timeout(PATIENCE, running).await;
        let ended =
            ended.unwrap_or_else(|_| panic!("the job does not end: {:?}\n{}", self.status(), self.logs()));
        ended.unwrap().unwrap()
    }

    /// Ends the job's driver where it stands, as the death of its process would, and the port.
    pub(crate) async fn die(&mut self) {
        let running = self.running.take().expect("the job runs");
        running.abort();
        let _ = running.await;
        self.port.shut_down();
        let serving = self.serving.take().expect("it is served");
        let ended = tokio::time::timeout(PATIENCE, serving).await;
        ended.expect("the port closes in time").expect("the port served");
    }

    /// A new job manager over what the old one left in the store, where the old one was.
    pub(crate) fn revive(&mut self) {
        self.revive_with(self.options.clone());
    }

    /// As [`revive`](Self::revive), and it is set up otherwise.
    pub(crate) fn revive_with(&mut self, options: WorkerPortOptions) {
        let options = WorkerPortOptions {
            listen: self.port.address(),
            ..options
        };
        let (port, serving, driver, running) = host(&self.folder, self.keys, self.interval, &options);
        self.port = port;
        self.serving = Some(serving);
        self.driver = driver;
        self.running = Some(running);
    }

    /// What all workers have said.
    fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.path()).into_iter().flatten();
        let files = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file());
        let logs = files.map(|path| format!("{}:\n{}", path.display(), fs::read_to_string(&path).unwrap()));
        logs.collect()
    }

    /// Where workers may keep copies.
    pub(crate) fn local_folder(&self) -> PathBuf {
        self.folder.path().join("local")
    }

    /// How often each row was written.
    pub(crate) fn rows(&self) -> BTreeMap<(u64, u64), u32> {
        let mut rows = BTreeMap::new();
        let files = fs::read_dir(self.folder.path().join("output"))
            .into_iter()
            .flatten();
        for file in files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
        {
            for line in fs::read_to_string(file).unwrap().lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let number = |name: &str| row[name].as_u64().expect("a number");
                *rows.entry((number("key"), number("count"))).or_default() += 1;
            }
        }
        rows
    }

    pub(crate) fn expected_rows(&self) -> BTreeMap<(u64, u64), u32> {
        (0..RECORDS)
            .map(|number| ((number % self.keys, number / self.keys + 1), 1))
            .collect()
    }
}

fn job_arguments(folder: &TempDir, keys: u64) -> Vec<String> {
    let output = folder.path().join("output");
    vec![
        format!("--records={RECORDS}"),
        format!("--keys={keys}"),
        format!("--rate={}", RECORDS / 2),
        format!("--output={}", output.display()),
    ]
}

/// Asks the executable what it is.
fn describe(folder: &TempDir, keys: u64) -> Value {
    let described = Command::new(EXECUTABLE)
        .args(["describe", "--"])
        .args(job_arguments(folder, keys))
        .output()
        .unwrap();
    assert!(
        described.status.success(),
        "{}",
        String::from_utf8_lossy(&described.stderr)
    );
    serde_json::from_slice(&described.stdout).unwrap()
}

type Hosted = (
    WorkerPortHandle,
    JoinHandle<()>,
    DriverHandle,
    JoinHandle<Result<Outcome, DriverError>>,
);

fn host(folder: &TempDir, keys: u64, interval: Duration, options: &WorkerPortOptions) -> Hosted {
    let described = describe(folder, keys);
    let graph: JobGraph = serde_json::from_value(described["graph"].clone()).unwrap();
    let graph_fingerprint = graph.fingerprint();
    let job = JobDescription {
        job: "counting-job".into(),
        graph: Arc::new(graph),
        default_parallelism: None,
        arguments: job_arguments(folder, keys),
    };
    let settings = DriverOptions {
        requirement: RequirementSetting::Workers(2),
        adoption: Some(PATIENCE),
        checkpoints: CheckpointSettings {
            interval,
            ..CheckpointSettings::default()
        },
        restart: RestartSettings::FixedDelay {
            delay: Duration::from_millis(10),
            attempts: 100,
        },
        ..DriverOptions::default()
    };
    let location = folder.path().join("checkpoints");
    let store = JobStore::open(location.to_str().expect("the path is UTF-8")).unwrap();
    let (driver, handle) = Driver::new(settings, job, store);
    let (port, workers) = WorkerPort::bind(options.clone()).unwrap();
    let serving = tokio::spawn(async { port.run().await.expect("the port serves") });
    workers
        .host(HostedJob {
            job: "counting-job".into(),
            graph_fingerprint,
            target: described["target"].as_str().map(str::to_owned),
            driver: handle.clone(),
        })
        .unwrap();
    (workers, serving, handle, tokio::spawn(driver.run()))
}

/// A process that does not outlive the test.
pub(crate) struct Process {
    child: Child,
    errors: PathBuf,
}

impl Process {
    fn start(command: &mut Command, file: File, errors: PathBuf) -> Self {
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, errors }
    }

    /// Kills it at once, as by SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().unwrap();
        let _ = self.exit_code().await;
    }

    /// Where its standard error goes.
    pub(crate) fn errors(&self) -> PathBuf {
        self.errors.clone()
    }

    /// Whoever started it and watches over it is gone, as far as it can tell.
    pub(crate) fn orphan(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end; what it ended with, unless by a signal.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("the process ends in time")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

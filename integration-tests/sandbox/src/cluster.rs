//! A whole cluster of real processes.

use std::{
    collections::BTreeMap,
    env, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    thread,
};

use tempfile::TempDir;

use crate::{
    Binaries, ChaosProxy, Rest, RestError, WorkerProcess, eventually,
    hygiene::{self, Expectation},
    job::{Job, JobRequest},
    process::Process,
    s3::S3Server,
};

/// The bucket of a cluster on S3.
pub const BUCKET: &str = "tidegate";

/// Where a worker with a data port that is known beforehand listens.
const DATA_PORT: u16 = 6121;

/// Where a cluster keeps everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageKind {
    /// A directory.
    Directory,
    /// The test's S3 server, behind a proxy.
    S3,
}

/// How a cluster is made up.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many task managers there are at first.
    pub task_managers: u32,
    /// How many slots each has.
    pub slots: u32,
    /// Where everything is kept.
    pub storage: StorageKind,
    /// Whether a proxy stands before the data port of each task manager's worker, too. Then a task manager runs one worker
    /// at a time.
    pub data_links: bool,
    /// More flags of the job manager.
    pub job_manager_flags: Vec<String>,
    /// More flags of the task managers.
    pub task_manager_flags: Vec<String>,
    /// More environment of all processes.
    pub environment: BTreeMap<String, String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            task_managers: 2,
            slots: 2,
            storage: StorageKind::Directory,
            data_links: false,
            job_manager_flags: Vec::new(),
            task_manager_flags: Vec::new(),
            environment: BTreeMap::new(),
        }
    }
}

/// A job manager, task managers, and between them proxies that do to the network what a test wants. All of it ends when
/// it is dropped.
pub struct ClusterSandbox {
    options: ClusterOptions,
    binaries: Binaries,
    s3: Option<S3Server>,
    /// Between everybody and the store.
    s3_proxy: Option<ChaosProxy>,
    /// Between the job manager and each task manager with its workers.
    links: BTreeMap<String, ChaosProxy>,
    /// Between the workers of each task manager and those of others who connect to them.
    data_links: BTreeMap<String, DataLink>,
    job_manager: Option<Process>,
    task_managers: BTreeMap<String, Process>,
    /// Those that have ended, for what they have written.
    ended: Vec<Process>,
    rest: Option<Rest>,
    control: Option<SocketAddr>,
    /// Dropped last: whoever is left finds its folder gone.
    folder: TempDir,
}

impl ClusterSandbox {
    /// Starts a cluster and waits until all its task managers are there.
    ///
    /// # Panics
    /// When a process cannot be started or is not ready in time; its log is in the message.
    pub fn start(options: ClusterOptions) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tidegate-sandbox-")
            .tempdir()
            .expect("there is room for temporary files");
        let (s3, s3_proxy) = match options.storage {
            StorageKind::Directory => (None, None),
            StorageKind::S3 => {
                let server = S3Server::with_bucket(BUCKET).expect("loopback has a free port");
                let proxy = ChaosProxy::start(server.address()).expect("loopback has a free port");
                (Some(server), Some(proxy))
            }
        };
        let mut cluster = Self {
            options,
            binaries: Binaries::find(),
            s3,
            s3_proxy,
            links: BTreeMap::new(),
            data_links: BTreeMap::new(),
            job_manager: None,
            task_managers: BTreeMap::new(),
            ended: Vec::new(),
            rest: None,
            control: None,
            folder,
        };
        cluster.start_job_manager();
        for number in 1..=cluster.options.task_managers {
            cluster.start_task_manager(&format!("tm{number}"));
        }
        cluster.wait_for_task_managers(cluster.options.task_managers);
        cluster
    }

    /// A folder for what jobs write, and whatever else a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store, if it is one over the network.
    ///
    /// # Panics
    /// When the cluster keeps everything in a directory.
    pub fn s3(&self) -> &S3Server {
        self.s3.as_ref().expect("the cluster is on S3")
    }

    /// What stands between everybody and the store.
    ///
    /// # Panics
    /// When the cluster keeps everything in a directory.
    pub fn s3_link(&self) -> &ChaosProxy {
        self.s3_proxy.as_ref().expect("the cluster is on S3")
    }

    /// What stands between the job manager and a task manager with its workers.
    ///
    /// # Panics
    /// When there is no such task manager.
    pub fn link(&self, task_manager: &str) -> &ChaosProxy {
        self.links
            .get(task_manager)
            .expect("there is such a task manager")
    }

    /// Where everything is kept.
    pub fn storage_kind(&self) -> StorageKind {
        self.options.storage
    }

    /// What stands before the data port of a task manager's worker.
    ///
    /// # Panics
    /// When there is no such task manager, or the cluster has no such proxies.
    pub fn data_link(&self, task_manager: &str) -> &ChaosProxy {
        let link = self.data_links.get(task_manager);
        &link.expect("there is a proxy before its data port").proxy
    }

    /// The location of the cluster's root.
    pub fn storage(&self) -> String {
        match self.options.storage {
            StorageKind::Directory => self.folder.path().join("storage").display().to_string(),
            StorageKind::S3 => format!("s3://{BUCKET}/cluster"),
        }
    }

    /// The REST interface.
    ///
    /// # Panics
    /// When there is no job manager.
    pub fn rest(&self) -> &Rest {
        self.rest.as_ref().expect("the job manager has been started")
    }

    /// The job manager's process.
    ///
    /// # Panics
    /// When there is none.
    pub fn job_manager(&mut self) -> &mut Process {
        self.job_manager.as_mut().expect("there is a job manager")
    }

    /// A task manager's process.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn task_manager(&mut self, name: &str) -> &mut Process {
        self.task_managers
            .get_mut(name)
            .expect("there is such a task manager")
    }

    /// The names of the task managers that have been started and not killed.
    pub fn task_manager_names(&self) -> Vec<String> {
        self.task_managers.keys().cloned().collect()
    }

    /// A task manager that has workers.
    ///
    /// # Panics
    /// When there is none.
    pub fn busy_task_manager(&self) -> String {
        let workers = self.workers();
        let mut names = self.task_managers.keys();
        let name = names.find(|name| workers.iter().any(|worker| worker.is_of(name)));
        name.expect("a task manager has workers").clone()
    }

    /// The folders in which workers keep copies of what they have uploaded.
    pub fn local_copies(&self) -> Vec<PathBuf> {
        let workers = self.workers().into_iter();
        let folders = workers.filter_map(|worker| {
            let name = self.links.keys().find(|name| worker.is_of(name))?;
            let work = self.folder.path().join(name).join("work").join(&worker.job);
            let copies = work.join(&worker.name).join(format!("segments-{}", worker.name));
            copies.is_dir().then_some(copies)
        });
        folders.collect()
    }

    /// The worker processes there are.
    pub fn workers(&self) -> Vec<WorkerProcess> {
        WorkerProcess::find(self.folder.path())
    }

    /// Uploads an executable and runs it.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub fn submit(&self, request: &JobRequest) -> Job {
        let submitted = self.try_submit(request);
        submitted.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()))
    }

    /// Uploads an executable and runs it, if the cluster does not refuse.
    ///
    /// # Errors
    /// What it says.
    pub fn try_submit(&self, request: &JobRequest) -> Result<Job, RestError> {
        request.submit(self.rest(), &self.binaries)
    }

    /// Kills the job manager, as by SIGKILL.
    pub fn kill_job_manager(&mut self) {
        if let Some(mut process) = self.job_manager.take() {
            process.kill();
            self.ended.push(process);
        }
    }

    /// Starts a job manager over what is in the store, and waits until it serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_job_manager(&mut self) {
        assert!(self.job_manager.is_none(), "there is a job manager");
        let mut command = self.command("tidegate-jobmanager");
        command
            .args(["--storage", &self.storage()])
            .args(["--rest-address", "127.0.0.1:0"])
            .args(["--cluster-address", "127.0.0.1:0"])
            .args(&self.options.job_manager_flags);
        let mut process = start("jobmanager", &mut command, &self.logs_folder());
        let (rest, control) = eventually("the job manager serves", || {
            if let Some(status) = process.ended() {
                panic!("the job manager ended with {status}:\n{}", process.output());
            }
            listening(&process.output())
        });
        let client = Rest::at(format!("http://{rest}"));
        eventually("the job manager is ready", || client.get("/readyz").ok());
        for link in self.links.values() {
            link.lead_to(control);
        }
        self.rest = Some(client);
        self.control = Some(control);
        self.job_manager = Some(process);
    }

    /// Starts another job manager over the same store and leads everybody to it; the elder, which runs on.
    ///
    /// # Panics
    /// When there is none, or the new one does not come up.
    pub fn replace_job_manager(&mut self) -> Process {
        let elder = self.job_manager.take().expect("there is a job manager");
        self.start_job_manager();
        elder
    }

    /// Kills a task manager, as by SIGKILL. Its workers notice by themselves.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn kill_task_manager(&mut self, name: &str) {
        let mut process = self
            .task_managers
            .remove(name)
            .expect("there is such a task manager");
        process.kill();
        self.ended.push(process);
    }

    /// Starts a task manager, under the name and in the directory of an earlier one if there was one of that name.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_task_manager(&mut self, name: &str) {
        let control = self.control.expect("the job manager has been started");
        let link = self
            .links
            .entry(name.to_owned())
            .or_insert_with(|| ChaosProxy::without_target().expect("loopback has a free port"));
        link.lead_to(control);
        let job_manager = format!("http://{}", link.address());
        let mut command = self.command("tidegate-taskmanager");
        command
            .args(["--id", name])
            .args(["--slots", &self.options.slots.to_string()])
            .args(["--job-manager", &job_manager])
            .args(["--metrics-address", "127.0.0.1:0"])
            .arg("--directory")
            .arg(self.folder.path().join(name))
            .args(&self.options.task_manager_flags);
        if self.options.data_links {
            let link = self
                .data_links
                .entry(name.to_owned())
                .or_insert_with(DataLink::new);
            command
                .args(["--workers-data-bind", &link.bind.to_string()])
                .args(["--workers-data-port", &link.proxy.address().port().to_string()]);
        }
        let process = start(name, &mut command, &self.logs_folder());
        self.task_managers.insert(name.to_owned(), process);
    }

    /// Waits until so many task managers are attached.
    ///
    /// # Panics
    /// When they are not in time.
    pub fn wait_for_task_managers(&mut self, count: u32) {
        let rest = self.rest().clone();
        eventually(&format!("{count} task managers are attached"), || {
            let processes = self.task_managers.values_mut().chain(&mut self.job_manager);
            for process in processes {
                if let Some(status) = process.ended() {
                    panic!("{} ended with {status}:\n{}", process.name(), process.output());
                }
            }
            let attached = rest.get("/v1/overview").ok()?["taskmanagers"].as_u64()?;
            (attached == u64::from(count)).then_some(())
        });
    }

    /// Kills everything at once: job manager, task managers, workers.
    pub fn kill_all(&mut self) {
        for worker in self.workers() {
            worker.kill();
        }
        self.kill_job_manager();
        for name in self.task_manager_names() {
            self.kill_task_manager(&name);
        }
    }

    /// Starts a job manager and all task managers again.
    pub fn start_all(&mut self) {
        self.start_job_manager();
        for number in 1..=self.options.task_managers {
            self.start_task_manager(&format!("tm{number}"));
        }
    }

    /// Holds what processes have written against what may have gone wrong.
    ///
    /// # Panics
    /// When there was a panic, or an error that no fault explains.
    pub fn assert_hygiene(&self, expectation: Expectation) {
        let complaints = hygiene::complaints(&self.log_files(), expectation);
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    /// Everything that all processes have written.
    pub fn logs(&self) -> String {
        let logs = self.log_files().into_iter().map(|path| {
            let text = std::fs::read(&path).unwrap_or_default();
            format!("--- {}\n{}", path.display(), String::from_utf8_lossy(&text))
        });
        logs.collect::<Vec<_>>().join("\n")
    }

    fn logs_folder(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// What the processes have written, and what task managers have kept of their workers.
    fn log_files(&self) -> Vec<PathBuf> {
        let mut files = hygiene::files_under(&self.logs_folder());
        for name in self.links.keys() {
            let kept = hygiene::files_under(&self.folder.path().join(name));
            files.extend(
                kept.into_iter()
                    .filter(|path| path.to_string_lossy().contains("/logs/")),
            );
        }
        files
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.path(program));
        // What is meant for the test, or for another cluster.
        let inherited = env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("TIDEGATE_")) {
            command.env_remove(name);
        }
        command.env_remove("RUST_LOG");
        if let Some(proxy) = &self.s3_proxy {
            command.envs(S3Server::environment_of(proxy.address()));
        }
        command.envs(&self.options.environment);
        command
    }
}

/// A proxy before a data port that is known beforehand.
struct DataLink {
    bind: SocketAddr,
    proxy: ChaosProxy,
}

impl DataLink {
    fn new() -> Self {
        static LINKS: AtomicU8 = AtomicU8::new(1);
        // A loopback address of its own has all its ports free.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = [127, 64 | high, low, LINKS.fetch_add(1, Relaxed)];
        let bind = SocketAddr::from((host, DATA_PORT));
        let proxy = ChaosProxy::start(bind).expect("loopback has a free port");
        Self { bind, proxy }
    }
}

impl Drop for ClusterSandbox {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
        // Without their task managers and job manager, workers that are left would end by themselves, unless a test has
        // stopped them where they stand.
        self.job_manager = None;
        self.task_managers.clear();
        for worker in self.workers() {
            worker.kill();
        }
    }
}

fn start(name: &str, command: &mut Command, logs: &Path) -> Process {
    let started: io::Result<Process> = Process::start(name, command, logs);
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// Where a job manager says that it listens, for people and for the cluster.
fn listening(output: &str) -> Option<(SocketAddr, SocketAddr)> {
    let address = |name: &str| {
        let mut lines = output.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" http://")?.parse().ok())
    };
    Some((address("rest")?, address("cluster")?))
}

//! A task manager with its job manager, and executables that do what they are told.
//!
//! The executables are the machine's shell: called with `worker …` or `describe …` it runs the script of that name in the
//! current folder, which runs the job's own first argument. So a test writes what a worker does where it starts it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidegate_core::{ArtifactId, JobId, TaskManagerId, WorkerName};
use tidegate_proto::taskmanager::{Order, Report, StartWorker, WorkerEnd};
use tidegate_taskmanager::{
    ArtifactOptions, DescribeOptions, LinkOptions, LogOptions, TaskManager, TaskManagerError,
    TaskManagerHandle, TaskManagerOptions, WorkerOptions,
};
use tokio::task::JoinHandle;

use crate::job_manager::{JobManager, PATIENCE, Session};

/// Runs the first of the job's own arguments.
const SCRIPT: &str = "while [ \"$1\" != -- ]; do shift; done\nshift\neval \"$1\"\n";

/// A folder with the scripts, which is the current one from then on.
pub(crate) fn scripts() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["worker", "describe"] {
            fs::write(folder.path().join(name), SCRIPT).unwrap();
        }
        std::env::set_current_dir(folder.path()).unwrap();
        folder
    });
    folder.path()
}

pub(crate) fn job() -> JobId {
    JobId::parse(&"0123456789abcdef".repeat(2)).unwrap()
}

pub(crate) fn worker(number: u64) -> WorkerName {
    WorkerName::of(&TaskManagerId::parse("tm").unwrap(), number)
}

/// An executable in the cluster's storage.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    pub(crate) artifact: ArtifactId,
    pub(crate) size_bytes: u64,
}

/// The cluster's storage.
pub(crate) struct Store(TempDir);

impl Store {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn path(&self, uploaded: &Uploaded) -> PathBuf {
        self.0.path().join("artifacts").join(uploaded.artifact.as_str())
    }

    pub(crate) fn upload(&self, bytes: &[u8]) -> Uploaded {
        let digest = Sha256::digest(bytes);
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let uploaded = Uploaded {
            artifact: ArtifactId::parse(&text).unwrap(),
            size_bytes: bytes.len() as u64,
        };
        fs::create_dir_all(self.0.path().join("artifacts")).unwrap();
        fs::write(self.path(&uploaded), bytes).unwrap();
        uploaded
    }

    pub(crate) fn upload_shell(&self) -> Uploaded {
        scripts();
        self.upload(&fs::read("/bin/sh").unwrap())
    }
}

/// A task manager.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) shell: Uploaded,
    pub(crate) job_manager: JobManager,
    pub(crate) handle: TaskManagerHandle,
    pub(crate) running: JoinHandle<Result<(), TaskManagerError>>,
}

pub(crate) fn options(folder: &Path, job_manager: &JobManager) -> TaskManagerOptions {
    TaskManagerOptions {
        id: Some(TaskManagerId::parse("tm").unwrap()),
        slots: 4,
        memory_bytes: 1 << 30,
        directory: folder.to_owned(),
        link: LinkOptions {
            heartbeat_interval: Duration::from_millis(50),
            ..LinkOptions::to(format!("http://{}", job_manager.address))
        },
        artifacts: ArtifactOptions::default(),
        workers: WorkerOptions::default(),
        logs: LogOptions::default(),
        describe: DescribeOptions::default(),
    }
}

impl Node {
    /// Starts one that is attached.
    pub(crate) async fn start() -> (Self, Session) {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut TaskManagerOptions)) -> (Self, Session) {
        let store = Store::new();
        let shell = store.upload_shell();
        let folder = tempfile::tempdir().unwrap();
        let mut job_manager = JobManager::start("127.0.0.1:0".parse().unwrap(), store.location()).await;
        let mut options = options(folder.path(), &job_manager);
        change(&mut options);
        let (task_manager, handle) = TaskManager::new(options).unwrap();
        let running = tokio::spawn(task_manager.run());
        let session = job_manager.session().await;
        let node = Self {
            folder,
            store,
            shell,
            job_manager,
            handle,
            running,
        };
        (node, session)
    }

    /// An order to start a worker that runs a script.
    pub(crate) fn start_order(&self, number: u64, script: &str) -> StartWorker {
        StartWorker {
            job: job(),
            worker: worker(number),
            artifact: self.shell.artifact.clone(),
            artifact_size_bytes: self.shell.size_bytes,
            arguments: vec![script.to_owned()],
            slots: 1,
            memory_limit_bytes: None,
        }
    }

    /// Starts a worker that runs a script; its process.
    pub(crate) async fn worker(&self, session: &mut Session, number: u64, script: &str) -> u32 {
        session
            .order(Order::StartWorker(self.start_order(number, script)))
            .await;
        started(session.report().await, number)
    }

    /// Waits for the end of the task manager.
    pub(crate) async fn ended(self) -> Result<(), TaskManagerError> {
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.expect("it ends in time").unwrap()
    }
}

pub(crate) fn started(report: Report, number: u64) -> u32 {
    match report {
        Report::WorkerStarted {
            job: of,
            worker: name,
            process_id,
        } if of == job() && name == worker(number) => process_id,
        other => panic!("worker {number} was to start: {other:?}"),
    }
}

/// How a worker ended, and its last words.
pub(crate) fn ended(report: Report, number: u64) -> (WorkerEnd, String) {
    match report {
        Report::WorkerEnded {
            job: of,
            worker: name,
            end,
            last_words,
        } if of == job() && name == worker(number) => (end, last_words),
        other => panic!("worker {number} was to end: {other:?}"),
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < until, "{what} never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process is there and is no zombie.
pub(crate) fn lives(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = status
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

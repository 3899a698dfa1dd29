//! The program itself, as a process.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tidegate_proto::taskmanager::{Order, StartWorker};

use crate::{
    job_manager::{JobManager, Policy, Session},
    node::{Store, Uploaded, ended, eventually, job, lives, scripts, started, worker},
};

/// A process that does not outlive the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let errors = File::create(folder.join("errors")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate-taskmanager"))
            .args(["--directory", folder.join("data").to_str().unwrap()])
            .args(arguments)
            .current_dir(scripts())
            .env_remove("TIDEGATE_CLUSTER_SECRET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.0.id() as i32).unwrap();
        kill_process(process, signal).unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the program", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

async fn run(session: &mut Session, number: u64, uploaded: &Uploaded, script: &str) -> u32 {
    let start = StartWorker {
        job: job(),
        worker: worker(number),
        artifact: uploaded.artifact.clone(),
        artifact_size_bytes: uploaded.size_bytes,
        arguments: vec![script.to_owned()],
        slots: 1,
        memory_limit_bytes: None,
    };
    session.order(Order::StartWorker(start)).await;
    started(session.report().await, number)
}

async fn job_manager(store: &Store) -> JobManager {
    JobManager::start("127.0.0.1:0".parse().unwrap(), store.location()).await
}

#[tokio::test]
async fn a_killed_task_manager_leaves_no_orphans() {
    let store = Store::new();
    let shell = store.upload_shell();
    let folder = tempfile::tempdir().unwrap();
    let mut job_manager = job_manager(&store).await;
    let address = format!("http://{}", job_manager.address);
    let mut program = Program::start(folder.path(), &["--job-manager", &address]);
    let mut session = job_manager.session().await;
    // Each ends with its standard input, whichever was started first: none holds the other's.
    let first = run(&mut session, 1, &shell, "cat; exit 6").await;
    let second = run(&mut session, 2, &shell, "cat; exit 6").await;
    assert!(lives(first) && lives(second));
    let incarnation = session.registration.incarnation;
    program.signal(Signal::KILL);
    program.ended().await;
    eventually("the end of the workers", || !lives(first) && !lives(second)).await;
    // It comes back under the same name as another process, with nothing.
    let _program = Program::start(folder.path(), &["--job-manager", &address]);
    let again = job_manager.session().await;
    assert_eq!(again.registration.task_manager, session.registration.task_manager);
    assert_ne!(again.registration.incarnation, incarnation);
    assert!(again.registration.workers.is_empty());
    let left = folder.path().join("data/work").read_dir().unwrap().count();
    assert_eq!(left, 0, "what the workers kept is removed");
}

#[tokio::test]
async fn sigterm_lets_it_leave_in_order() {
    let store = Store::new();
    let shell = store.upload_shell();
    let folder = tempfile::tempdir().unwrap();
    let mut job_manager = job_manager(&store).await;
    let address = job_manager.address.to_string();
    let mut program = Program::start(
        folder.path(),
        &["--job-manager", &address, "--id", "tm", "--slots", "3"],
    );
    let mut session = job_manager.session().await;
    assert_eq!(session.registration.task_manager.as_str(), "tm");
    assert_eq!(session.registration.slots, 3);
    let process = run(&mut session, 1, &shell, "cat").await;
    program.signal(Signal::TERM);
    assert_eq!(session.farewell().await, "it was told to end");
    drop(session);
    assert_eq!(program.ended().await.code(), Some(0));
    assert!(!lives(process));
}

#[tokio::test]
async fn exit_codes_say_what_is_wrong() {
    let store = Store::new();
    let folder = tempfile::tempdir().unwrap();
    let job_manager = job_manager(&store).await;
    let address = job_manager.address.to_string();
    job_manager
        .policy
        .send_replace(Policy::Refuse(tonic::Status::unauthenticated("another secret")));
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = occupied
        .local_addr()
        .map(|address| (occupied, address.to_string()));
    let (_listener, occupied) = occupied.unwrap();
    let file = folder.path().join("file");
    File::create(&file).unwrap();
    let cases = [
        (vec!["--job-manager", &address], 5, "another secret"),
        (vec!["--slots", "0"], 2, "slots"),
        (vec!["--slotz", "1"], 2, "--slots"),
        (vec!["--job-manager", "ftp://x:1"], 2, "ftp"),
        (vec!["--metrics-address", &occupied], 3, "metrics"),
    ];
    for (arguments, code, says) in cases {
        let mut program = Program::start(folder.path(), &arguments);
        let status = program.ended().await;
        let errors = std::fs::read_to_string(folder.path().join("errors")).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn it_is_watched_over_http() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let store = Store::new();
    let (node, mut session) = crate::node::Node::start().await;
    let endpoint = tidegate_taskmanager::MetricsEndpoint::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = endpoint.address();
    let serving = tokio::spawn(endpoint.serve(node.handle.clone()));
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    node.worker(&mut session, 1, "exit 3").await;
    ended(session.report().await, 1);
    node.worker(&mut session, 2, "cat").await;
    let metrics = get("/metrics").await;
    for line in [
        "tidegate_taskmanager_slots 4",
        "tidegate_taskmanager_slots_used 1",
        "tidegate_taskmanager_workers 1",
        "tidegate_taskmanager_connected 1",
        "tidegate_taskmanager_worker_ends_total{outcome=\"failed\"} 1",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").await.contains("attached to generation 1"));
    assert!(get("/other").await.starts_with("HTTP/1.1 404"));
    node.job_manager
        .policy
        .send_replace(Policy::Refuse(tonic::Status::unavailable("not now")));
    session.end(tonic::Status::unavailable("not now")).await;
    let mut attachment = node.handle.attachment();
    attachment
        .wait_for(|it| matches!(it, tidegate_taskmanager::Attachment::Detached { .. }))
        .await
        .unwrap();
    let unready = get("/readyz").await;
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.contains("not now"),
        "{unready}"
    );
    serving.abort();
    drop(store);
}

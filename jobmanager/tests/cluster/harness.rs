//! A job manager in the test's process, over a directory.

use std::time::Duration;

use futures::stream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_core::{
    ArtifactId, JobId, KeySpace, NodeId,
    graph::{GraphInput, GraphNode, JobGraph, NodeKind, Partitioning},
};
use tidegate_driver::{CheckpointSettings, RestartSettings};
use tidegate_jobmanager::{
    WorkerPortOptions,
    cluster::{ClusterHandle, ClusterOptions, JobManager, JobManagerError, RunRequest, view::JobPhase},
};
use tidegate_proto::control::{ProtocolRange, Registration};
use tokio::task::JoinHandle;

/// How long anything may take before a test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A job manager and its storage.
pub(crate) struct TestCluster {
    pub(crate) handle: ClusterHandle,
    running: JoinHandle<Result<(), JobManagerError>>,
    folder: TempDir,
}

impl TestCluster {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ClusterOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder);
        change(&mut options);
        let (handle, running) = lead(options).await;
        Self {
            handle,
            running,
            folder,
        }
    }

    /// The job manager dies, and another leads over what it has left.
    pub(crate) async fn die_and_restart(&mut self) {
        self.running.abort();
        let _ = (&mut self.running).await;
        (self.handle, self.running) = lead(options(&self.folder)).await;
    }

    /// Another job manager takes the lead while this one runs; it is this one from now on. Answers with how the first ends.
    pub(crate) async fn supersede(&mut self) -> Result<(), JobManagerError> {
        let (handle, running) = lead(options(&self.folder)).await;
        self.handle = handle;
        let first = std::mem::replace(&mut self.running, running);
        within(first).await.unwrap()
    }

    /// Uploads something that looks like an executable.
    pub(crate) async fn upload(&self) -> ArtifactId {
        let view = self
            .handle
            .upload_artifact(chunks(&executable(b"job")), None)
            .await
            .unwrap();
        ArtifactId::parse(&view.id).unwrap()
    }

    pub(crate) async fn run(&self, change: impl FnOnce(&mut RunRequest)) -> JobId {
        let mut request = RunRequest::of(self.upload().await);
        change(&mut request);
        self.handle.run(request).await.unwrap()
    }

    pub(crate) async fn reach(&self, job: &JobId, phase: JobPhase) {
        self.wait_until(job, |details| details.state == phase).await;
    }

    pub(crate) async fn wait_until(
        &self,
        job: &JobId,
        mut is_so: impl FnMut(&tidegate_jobmanager::cluster::view::JobDetails) -> bool,
    ) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let details = self.handle.job(job).await.unwrap();
            if is_so(&details) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{details:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn options(folder: &TempDir) -> ClusterOptions {
    let storage = folder.path().join("storage");
    ClusterOptions {
        port: WorkerPortOptions {
            heartbeat_interval: Duration::from_millis(50),
            heartbeat_timeout: Duration::from_secs(2),
            ..WorkerPortOptions::default()
        },
        checkpoints: CheckpointSettings {
            interval: Duration::from_millis(100),
            ..CheckpointSettings::default()
        },
        restart: RestartSettings::FixedDelay {
            delay: Duration::from_millis(10),
            attempts: 100,
        },
        answer_timeout: Duration::from_secs(5),
        ..ClusterOptions::at(storage.to_string_lossy())
    }
}

async fn lead(options: ClusterOptions) -> (ClusterHandle, JoinHandle<Result<(), JobManagerError>>) {
    let (manager, handle) = JobManager::start(options).await.unwrap();
    let running = tokio::spawn(manager.run());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while handle.ready().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it serves in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (handle, running)
}

/// What must come to be in time.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it comes in time")
}

/// The bytes of an upload, in pieces.
pub(crate) fn chunks(
    bytes: &[u8],
) -> impl stream::Stream<Item = Result<bytes::Bytes, std::io::Error>> + use<> {
    let pieces: Vec<_> = bytes
        .chunks(7)
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

/// Something that looks like an executable for this machine.
pub(crate) fn executable(content: &[u8]) -> Vec<u8> {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    [&own[..64], content].concat()
}

/// What an executable prints when it is asked what job it is.
pub(crate) fn description() -> Value {
    let protocol = ProtocolRange::worker_control();
    json!({
        "job": "counts",
        "graph": serde_json::to_value(graph()).unwrap(),
        "target": Registration::own_target(),
        "protocol": {"name": protocol.name, "oldest": protocol.oldest, "newest": protocol.newest},
    })
}

pub(crate) fn graph() -> JobGraph {
    let node = |id, kind, inputs| GraphNode {
        id: NodeId(id),
        uid: format!("node-{id}").as_str().into(),
        name: format!("node-{id}"),
        kind,
        named: true,
        parallelism: None,
        inputs,
    };
    let input = GraphInput {
        from: NodeId(0),
        port: 0,
        partitioning: Partitioning::Rebalance,
        slot: 0,
        blocking: false,
    };
    JobGraph {
        name: "counts".into(),
        space: KeySpace::DEFAULT,
        nodes: vec![
            node(0, NodeKind::Source, vec![]),
            node(1, NodeKind::Sink, vec![input]),
        ],
    }
}

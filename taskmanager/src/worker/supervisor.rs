//! Who starts a worker's process, watches it, and says how it ended.

use std::{fs, path::PathBuf, process::Stdio, sync::Arc};

use tidegate_proto::taskmanager::{StartWorker, WorkerEnd};
use tokio::{
    process::Child,
    sync::{mpsc, watch},
    time::timeout,
};

use super::command_line::{arguments, secret_variable};
use crate::{
    artifact::Artifact,
    child,
    control_group::WorkerGroup,
    log::{Capture, RotatedLog, capture},
    memory,
    node::{Node, OpenStorage},
};

/// A worker has a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Started {
    pub(crate) start: Arc<StartWorker>,
    pub(crate) process_id: u32,
}

/// How a worker ended and what it said last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ending {
    pub(crate) end: WorkerEnd,
    pub(crate) last_words: String,
}

impl Ending {
    pub(crate) fn not_started(reason: impl ToString) -> Self {
        Self {
            end: WorkerEnd::NotStarted {
                reason: reason.to_string(),
            },
            last_words: String::new(),
        }
    }

    fn stopped() -> Self {
        Self {
            end: WorkerEnd::Stopped,
            last_words: String::new(),
        }
    }
}

/// Tells a supervisor that its worker is to end.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    async fn given(&mut self) {
        // Whoever could give it being gone means the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// Runs one worker.
pub(crate) struct Supervisor {
    pub(crate) node: Arc<Node>,
    pub(crate) storage: OpenStorage,
    pub(crate) start: Arc<StartWorker>,
    pub(crate) started: mpsc::Sender<Started>,
    pub(crate) stop: StopSignal,
}

impl Supervisor {
    /// Until the worker has ended, however that comes.
    pub(crate) async fn run(mut self) -> Ending {
        let prepared = tokio::select! {
            biased;
            () = self.stop.given() => return Ending::stopped(),
            prepared = prepare(&self.node, &self.storage, &self.start) => prepared,
        };
        let ending = match prepared {
            Ok(artifact) => self.supervise(&artifact).await,
            Err(reason) => Ending::not_started(reason),
        };
        self.node
            .directories
            .remove_worker(&self.start.job, &self.start.worker);
        ending
    }

    async fn supervise(&mut self, artifact: &Artifact) -> Ending {
        let (mut child, captured) = match self.spawn(artifact).await {
            Ok(spawned) => spawned,
            Err(reason) => return Ending::not_started(reason),
        };
        // Its end is how the worker learns that this process is gone.
        let _held = child.stdin.take();
        let process_id = child.id().unwrap_or_default();
        let started = Started {
            start: Arc::clone(&self.start),
            process_id,
        };
        // Nobody listens only if everything is about to end.
        let _ = self.started.send(started).await;
        let group = self.limit(process_id);
        let mut end = self.watch(&mut child).await;
        if let Some(group) = &group {
            end = group.explain(end);
        }
        Ending {
            end,
            last_words: captured.finish().await,
        }
    }

    /// Lets the kernel limit the worker's memory, where it can.
    fn limit(&self, process_id: u32) -> Option<WorkerGroup> {
        let groups = self.node.control_groups.as_ref()?;
        let limit = self.memory_limit_bytes()?;
        let limited = groups.group(&self.start.worker, limit).and_then(|group| {
            group.take_in(process_id)?;
            Ok(group)
        });
        limited
            .inspect_err(|error| {
                tracing::warn!(%error, worker = %self.start.worker, "the kernel cannot limit a worker's memory, which is watched");
            })
            .ok()
    }

    async fn watch(&mut self, child: &mut Child) -> WorkerEnd {
        let process_id = child.id();
        let limit = self.memory_limit_bytes();
        tokio::select! {
            biased;
            status = child.wait() => child::end_of(status),
            () = self.stop.given() => {
                self.end(child).await;
                WorkerEnd::Stopped
            }
            used_bytes = memory::overrun(process_id, limit) => {
                // Another wait may answer if it has ended in this moment: what it used is the cause all the same.
                let _ = child::kill(child).await;
                WorkerEnd::MemoryLimit {
                    limit_bytes: limit.unwrap_or_default(),
                    used_bytes,
                }
            }
        }
    }

    async fn end(&self, child: &mut Child) {
        child::terminate(child);
        let grace = self.node.options.workers.stop_grace;
        if timeout(grace, child.wait()).await.is_err() {
            tracing::warn!(worker = %self.start.worker, job = %self.start.job, ?grace, "worker did not end in time and is killed");
            let _ = child::kill(child).await;
        }
    }

    fn memory_limit_bytes(&self) -> Option<u64> {
        let by_slots = |per_slot: u64| per_slot.saturating_mul(self.start.slots.into());
        let own = self.node.options.workers.memory_per_slot_bytes.map(by_slots);
        self.start.memory_limit_bytes.or(own)
    }

    async fn spawn(&self, artifact: &Artifact) -> Result<(Child, Capture), String> {
        let Self { node, start, .. } = self;
        let options = &node.options;
        let folder = node.directories.worker(&start.job, &start.worker);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("its directory {} cannot be made: {error}", folder.display()))?;
        let mut command = child::command(artifact.path());
        command
            .args(arguments(
                start,
                &options.link,
                &options.workers,
                self.storage.location(),
                &folder,
            ))
            .stdin(Stdio::piped());
        if let Some(secret) = &options.link.secret {
            let (name, value) = secret_variable(secret);
            command.env(name, value);
        }
        let mut child = child::spawn(&mut command)
            .await
            .map_err(|error| format!("its executable {} cannot be run: {error}", start.artifact))?;
        let streams = child.stdout.take().zip(child.stderr.take());
        let (output, errors) = streams.ok_or("its output cannot be read")?;
        let log = RotatedLog::open(log_path(node, start), options.logs.file_bytes, options.logs.files);
        let log = log
            .inspect_err(|error| {
                tracing::warn!(%error, worker = %start.worker, "what a worker writes cannot be kept");
            })
            .ok();
        Ok((child, capture(output, errors, log)))
    }
}

async fn prepare(node: &Node, storage: &OpenStorage, start: &StartWorker) -> Result<Artifact, String> {
    let got = node
        .executable(storage, &start.artifact, start.artifact_size_bytes)
        .await;
    got.map_err(|problem| problem.message)
}

/// Where a worker's words go.
pub(crate) fn log_path(node: &Node, start: &StartWorker) -> PathBuf {
    node.directories
        .job_logs(&start.job)
        .join(format!("{}.log", start.worker))
}

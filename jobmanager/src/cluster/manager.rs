//! The job manager: opens the store, takes the lead, serves the port, and runs what is to be run.

use std::{sync::Arc, time::Duration};

use tidegate_coordinator::cluster::{Admission, Cluster, ClusterOptions as SlotOptions};
use tidegate_core::Generation;
use tidegate_driver::{JobStore, StoreError};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    artifact::Artifacts,
    clock::Clock,
    dispatcher::{Dispatcher, FACT_CAPACITY, Fact, Phase, SlotTable},
    handle::ClusterHandle,
    job::{JobEntry, Jobs},
    options::ClusterOptions,
    runtime::Runtime,
    store::ClusterStore,
    task_manager::{TaskManagerService, TaskManagers},
};
use crate::{PortError, WorkerPort};

/// How often to look whether another job manager has taken over.
const FENCE_WATCH: Duration = Duration::from_secs(2);
/// How long jobs that are there already may take until workers can attach to them, before others are served.
const HOSTING_PATIENCE: Duration = Duration::from_secs(30);
/// How often executables are collected that nobody has used for long.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(3600);

/// Why a job manager could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum JobManagerError {
    /// The store cannot carry a cluster.
    #[error("the cluster's storage cannot be used: {0}")]
    Storage(#[from] StoreError),
    /// The port could not be opened or served.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Another job manager has taken over. What runs here has been left to it.
    #[error(
        "another job manager has taken over the cluster at {storage}: its generation is {generation} or later; let one run at a time"
    )]
    Superseded {
        /// The cluster's storage.
        storage: String,
        /// The generation after this one's.
        generation: Generation,
    },
}

/// A job manager. Made by [`start`](Self::start), consumed by [`run`](Self::run).
pub struct JobManager {
    dispatcher: Arc<Dispatcher>,
    port: WorkerPort,
    facts: mpsc::Receiver<Fact>,
    recovered: Vec<Arc<JobEntry>>,
}

impl JobManager {
    /// Opens the store, takes the lead of the cluster in it, and opens the port. Job managers before this one have lost
    /// the lead then.
    ///
    /// # Errors
    /// If the store cannot be used, does not enforce conditional writes, or the port cannot be opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(options: ClusterOptions) -> Result<(Self, ClusterHandle), JobManagerError> {
        let clock = Clock::new();
        let leader = format!("{:032x}", rand::random::<u128>());
        let root = JobStore::open(&absolute(&options.storage))?;
        let store = ClusterStore::new(root.clone());
        store.probe(&leader).await?;
        let (port, handle) = WorkerPort::bind(options.port.clone())?;
        let generation = store.create_generation(&leader, clock.now_ms()).await?;
        tracing::info!(%generation, storage = root.location(), port = %handle.address(), "job manager leads");
        let (facts, inbox) = mpsc::channel(FACT_CAPACITY);
        let dispatcher = Arc::new(Dispatcher {
            artifacts: Artifacts::new(root, options.artifact_limit_bytes),
            options,
            generation,
            clock,
            store,
            jobs: Jobs::default(),
            task_managers: TaskManagers::default(),
            port: handle,
            facts,
            slots: watch::Sender::new(SlotTable::new()),
            phase: watch::Sender::new(Phase::Starting),
        });
        let recovered = recover(&dispatcher).await?;
        let manager = Self {
            dispatcher: Arc::clone(&dispatcher),
            port,
            facts: inbox,
            recovered,
        };
        Ok((manager, ClusterHandle::new(dispatcher)))
    }

    /// Leads the cluster until [`ClusterHandle::shut_down`]. Jobs and their workers go on then: the next job manager finds
    /// them. Dropping the future is like the death of the process.
    ///
    /// # Errors
    /// If the port can no longer be served, or another job manager has taken over.
    pub async fn run(self) -> Result<(), JobManagerError> {
        let dispatcher = self.dispatcher;
        let cluster = Cluster::new(SlotOptions::new(dispatcher.generation));
        let runtime = Runtime::new(Arc::clone(&dispatcher), cluster, self.facts);
        let service = TaskManagerService {
            dispatcher: Arc::clone(&dispatcher),
        };
        let serving = async {
            // Workers that outlived the last job manager must not come before their jobs.
            host(&dispatcher, self.recovered).await;
            dispatcher.phase.send_if_modified(|phase| {
                let starts = *phase == Phase::Starting;
                if starts {
                    *phase = Phase::Serving;
                }
                starts
            });
            self.port.serve(Some(service)).await
        };
        let mut phase = dispatcher.phase.subscribe();
        let ended = tokio::select! {
            served = serving => served.map_err(JobManagerError::from),
            () = runtime.run() => Ok(()),
            () = collect(&dispatcher) => Ok(()),
            superseded = watch_fence(&dispatcher) => Err(superseded),
            _ = phase.wait_for(|phase| *phase == Phase::Ending) => Ok(()),
        };
        dispatcher.phase.send_replace(Phase::Ending);
        dispatcher.port.shut_down();
        dispatcher.task_managers.dismiss_all();
        match ended {
            // A job that found itself fenced ends everything, too.
            Ok(())
                if matches!(
                    dispatcher.store.is_superseded(dispatcher.generation).await,
                    Ok(true)
                ) =>
            {
                Err(superseded(&dispatcher))
            }
            ended => ended,
        }
    }
}

/// A local directory must mean the same to whoever is told of it.
fn absolute(location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    match std::path::absolute(location) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => location.to_owned(),
    }
}

/// Reads what was written down of jobs; those that have not ended are to be run.
async fn recover(dispatcher: &Dispatcher) -> Result<Vec<Arc<JobEntry>>, StoreError> {
    let mut unfinished = Vec::new();
    for job in dispatcher.store.list_jobs().await? {
        let record = match dispatcher.store.read_job(&job).await {
            Ok(Some(record)) => record,
            // It was never submitted as a whole.
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(%job, %error, "a job is left alone because its record cannot be read");
                continue;
            }
        };
        match JobEntry::new(record) {
            Ok(entry) => {
                let added = dispatcher.jobs.add(entry);
                unfinished.extend(added.filter(|entry| entry.end().is_none()));
            }
            Err(error) => {
                tracing::error!(%job, error, "a job is left alone because its graph cannot be read")
            }
        }
    }
    unfinished.sort_by_key(|entry| entry.submitted_at_ms());
    tracing::info!(jobs = unfinished.len(), "jobs are recovered");
    Ok(unfinished)
}

/// Lets jobs be run, and waits, within bounds, until workers can attach to them.
async fn host(dispatcher: &Dispatcher, jobs: Vec<Arc<JobEntry>>) {
    let mut all_hosted = Vec::new();
    for entry in jobs {
        let (hosted, is_hosted) = oneshot::channel();
        let fact = Fact::Host {
            entry,
            admission: Admission::Recovered,
            hosted: Some(hosted),
        };
        if dispatcher.facts.send(fact).await.is_ok() {
            all_hosted.push(is_hosted);
        }
    }
    let all_hosted = futures::future::join_all(all_hosted);
    if tokio::time::timeout(HOSTING_PATIENCE, all_hosted).await.is_err() {
        tracing::warn!("the store is slow: jobs are served before all of them have been read");
    }
}

async fn watch_fence(dispatcher: &Dispatcher) -> JobManagerError {
    loop {
        tokio::time::sleep(FENCE_WATCH).await;
        match dispatcher.store.is_superseded(dispatcher.generation).await {
            Ok(true) => return superseded(dispatcher),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot tell whether another job manager has taken over"),
        }
    }
}

fn superseded(dispatcher: &Dispatcher) -> JobManagerError {
    JobManagerError::Superseded {
        storage: dispatcher.store.root().location().to_owned(),
        generation: dispatcher.generation.next(),
    }
}

/// Deletes executables that no job runs and that have not been uploaded lately, and what is left of uploads.
async fn collect(dispatcher: &Dispatcher) {
    loop {
        tokio::time::sleep(COLLECTION_INTERVAL).await;
        if let Err(error) = collect_once(dispatcher).await {
            tracing::warn!(%error, "the collection of executables is left to the next time");
        }
    }
}

async fn collect_once(dispatcher: &Dispatcher) -> Result<(), super::ClusterError> {
    let now = dispatcher.clock.now_ms();
    let retention = i64::try_from(dispatcher.options.artifact_retention.as_millis()).unwrap_or(i64::MAX);
    dispatcher.artifacts.collect_uploads(now).await?;
    for artifact in dispatcher.artifacts.list().await? {
        let is_old = now.saturating_sub(artifact.uploaded_ms) > retention;
        if is_old && dispatcher.jobs.running(&artifact.id).is_empty() {
            tracing::info!(artifact = %artifact.id, "an executable that nobody uses is deleted");
            dispatcher.artifacts.delete(&artifact.id).await?;
        }
    }
    Ok(())
}

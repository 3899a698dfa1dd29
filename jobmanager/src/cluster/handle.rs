//! How people reach a cluster, over REST or otherwise.

use std::{fmt::Display, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::{Stream, future::join_all};
use tidegate_coordinator::cluster::Admission;
use tidegate_core::{ArtifactId, JobId, TaskManagerId};
use tidegate_driver::{CheckpointRequestError, DriverHandle, SavepointRequestError};
use tidegate_proto::{
    JobEndKind,
    taskmanager::{LOG_CHUNK_LIMIT_BYTES, LogProblem},
};

use super::{
    artifact::Artifact,
    dispatcher::{Dispatcher, Fact, Phase},
    error::ClusterError,
    job::{JobEntry, check_savepoint_name, describe, submit},
    metrics,
    request::{RunRequest, SavepointRequest},
    task_manager::TaskManagerLink,
    view::{
        ArtifactList, ArtifactView, CheckpointDetails, CheckpointHistory, ClusterOverview, JobDetails,
        JobExceptions, JobIdWithStatus, JobIds, JobOverview, JobPhase, LogChunk, LogFile, LogFiles, PlanView,
        SavepointOperation, SavepointStatus, SubtaskView, TaskManagerDetails, TaskManagerList,
        TaskManagerView, TaskManagerWorker, Triggered, VertexBackpressure, VertexDetails, WatermarkView,
    },
};

/// Reaches a cluster; cheap to clone. Whatever it answers is as of now.
#[derive(Clone, Debug)]
pub struct ClusterHandle {
    dispatcher: Arc<Dispatcher>,
}

impl ClusterHandle {
    pub(super) fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self { dispatcher }
    }

    /// Where workers and task managers attach.
    pub fn address(&self) -> SocketAddr {
        self.dispatcher.port.address()
    }

    /// Ends the job manager, not its jobs: workers go on and wait for the next job manager.
    pub fn shut_down(&self) {
        self.dispatcher.phase.send_replace(Phase::Ending);
    }

    /// The cluster at a glance.
    pub async fn overview(&self) -> ClusterOverview {
        let slots = self.dispatcher.slots.borrow().clone();
        let phases: Vec<JobPhase> = self.dispatcher.jobs.all().iter().map(|job| job.phase()).collect();
        let count = |wanted: fn(JobPhase) -> bool| phases.iter().filter(|phase| wanted(**phase)).count();
        ClusterOverview {
            taskmanagers: slots.len(),
            slots_total: slots.values().map(|slots| slots.total).sum(),
            slots_available: slots.values().map(|slots| slots.free()).sum(),
            jobs_running: count(|phase| !phase.is_terminal()),
            jobs_finished: count(|phase| phase == JobPhase::Finished),
            jobs_cancelled: count(|phase| matches!(phase, JobPhase::Canceled | JobPhase::Suspended)),
            jobs_failed: count(|phase| phase == JobPhase::Failed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.dispatcher.generation.0,
            storage: self.dispatcher.store.root().location().to_owned(),
        }
    }

    /// Whether the cluster takes requests.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    pub async fn ready(&self) -> Result<(), ClusterError> {
        match *self.dispatcher.phase.borrow() {
            Phase::Starting => Err(ClusterError::NotReady("starting")),
            Phase::Serving => Ok(()),
            Phase::Ending => Err(ClusterError::NotReady("ending")),
        }
    }

    /// Everything that is measured, as text in the OpenMetrics format.
    pub async fn metrics(&self) -> String {
        metrics::text(&self.dispatcher)
    }

    /// Takes in an executable: streams it to the store, under its digest. One that is there already is not written
    /// again. `expected` is the digest that was announced, if one was. A task manager for its kind of machine, if one is
    /// attached, asks it what job it is.
    ///
    /// # Errors
    /// If it is too large, broke off, has another digest, is no executable, is no job, or the store failed.
    pub async fn upload_artifact<S, E>(
        &self,
        bytes: S,
        expected: Option<&ArtifactId>,
    ) -> Result<ArtifactView, ClusterError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Display + Send,
    {
        self.ready().await?;
        let uploaded = self.dispatcher.artifacts.upload(bytes, expected).await?;
        let artifact = uploaded.artifact;
        tracing::info!(artifact = %artifact.id, size = artifact.size, is_new = uploaded.is_new, "artifact uploaded");
        let name = match describe(&self.dispatcher, &artifact, &[]).await {
            Ok(facts) => Some(facts.name),
            // Many jobs need arguments to say what they are; they are asked again when they are run.
            Err(ClusterError::ArgumentsRefused(_)) => None,
            // So are those that nobody can ask now.
            Err(ClusterError::NoTaskManagers { .. } | ClusterError::TaskManagerSilent { .. }) => None,
            Err(error) => {
                if uploaded.is_new && self.dispatcher.jobs.running(&artifact.id).is_empty() {
                    self.dispatcher.artifacts.delete(&artifact.id).await?;
                }
                return Err(error);
            }
        };
        let mut view = self.artifact_view(artifact);
        view.target = Some(uploaded.target);
        view.name = name.or(view.name);
        Ok(view)
    }

    /// All executables.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn artifacts(&self) -> Result<ArtifactList, ClusterError> {
        let artifacts = self.dispatcher.artifacts.list().await?;
        Ok(ArtifactList {
            artifacts: artifacts.into_iter().map(|it| self.artifact_view(it)).collect(),
        })
    }

    /// Deletes an executable.
    ///
    /// # Errors
    /// If there is none, a job runs it, or the store failed.
    pub async fn delete_artifact(&self, artifact: &ArtifactId) -> Result<(), ClusterError> {
        self.dispatcher.artifacts.find(artifact).await?;
        if let Some(job) = self.dispatcher.jobs.running(artifact).into_iter().next() {
            return Err(ClusterError::ArtifactInUse {
                artifact: artifact.clone(),
                job,
            });
        }
        self.dispatcher.artifacts.delete(artifact).await
    }

    /// Submits a job. It has been written down when this answers: it survives whatever happens then.
    ///
    /// # Errors
    /// If the executable or what it starts from cannot be used, the key was used for another request, nobody is there
    /// who could describe it, or the store failed.
    pub async fn run(&self, request: RunRequest) -> Result<JobId, ClusterError> {
        self.ready().await?;
        let (job, entry) = submit(&self.dispatcher, request).await?;
        if let Some(entry) = entry {
            let fact = Fact::Host {
                entry,
                admission: Admission::Submitted,
                hosted: None,
            };
            // It is written down: a cluster that ends now leaves it to the next.
            let _ = self.dispatcher.facts.send(fact).await;
        }
        Ok(job)
    }

    /// All jobs by id.
    pub async fn jobs(&self) -> JobIds {
        let jobs = self.dispatcher.jobs.all();
        let jobs = jobs.iter().map(|job| JobIdWithStatus {
            id: job.id().to_string(),
            status: job.phase(),
        });
        JobIds { jobs: jobs.collect() }
    }

    /// All jobs at a glance.
    pub async fn jobs_overview(&self) -> JobOverview {
        let now = self.dispatcher.clock.now_ms();
        let jobs = self.dispatcher.jobs.all();
        JobOverview {
            jobs: jobs.iter().map(|job| job.summary(now)).collect(),
        }
    }

    /// Everything about a job.
    ///
    /// # Errors
    /// If there is none.
    pub async fn job(&self, job: &JobId) -> Result<JobDetails, ClusterError> {
        Ok(self
            .dispatcher
            .jobs
            .get(job)?
            .details(self.dispatcher.clock.now_ms()))
    }

    /// A job's plan.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn plan(&self, job: &JobId) -> Result<PlanView, ClusterError> {
        Ok(self.dispatcher.jobs.get(job)?.plan_view())
    }

    /// Ends a job. It has been written down when this answers, and happens then. Cancelling a job that is canceled or
    /// being cancelled does nothing.
    ///
    /// # Errors
    /// If there is no such job, it has ended otherwise, or the store failed.
    pub async fn cancel(&self, job: &JobId) -> Result<(), ClusterError> {
        let entry = self.dispatcher.jobs.get(job)?;
        match entry.end().map(|end| end.kind) {
            Some(JobEndKind::Canceled) => return Ok(()),
            Some(_) => return Err(ended(&entry, "cancelled")),
            None => {}
        }
        entry
            .rewrite(&self.dispatcher.store, |record| record.cancel_wanted = true)
            .await?;
        if self
            .dispatcher
            .store
            .is_superseded(self.dispatcher.generation)
            .await?
        {
            // Who leads now may have read the record before it said so.
            return Err(ClusterError::NotReady("superseded by another"));
        }
        tracing::info!(%job, "job is to be cancelled");
        if let Some(driver) = entry.driver() {
            // A driver that has ended has decided already.
            let _ = driver.cancel().await;
        }
        Ok(())
    }

    /// Takes a savepoint of a job.
    ///
    /// # Errors
    /// If there is no such job, it has ended, or too many savepoints are being taken.
    pub async fn savepoint(&self, job: &JobId, request: SavepointRequest) -> Result<Triggered, ClusterError> {
        self.trigger(job, request, Operation::Savepoint)
    }

    /// Takes a savepoint of a job and ends it there.
    ///
    /// # Errors
    /// As [`savepoint`](Self::savepoint).
    pub async fn stop_with_savepoint(
        &self,
        job: &JobId,
        request: SavepointRequest,
    ) -> Result<Triggered, ClusterError> {
        self.trigger(job, request, Operation::Stop)
    }

    /// Takes a checkpoint of a job before its time.
    ///
    /// # Errors
    /// As [`savepoint`](Self::savepoint).
    pub async fn trigger_checkpoint(&self, job: &JobId) -> Result<Triggered, ClusterError> {
        self.trigger(job, SavepointRequest::default(), Operation::Checkpoint)
    }

    /// How far a savepoint is.
    ///
    /// # Errors
    /// If nothing is known of the trigger.
    pub async fn savepoint_status(
        &self,
        job: &JobId,
        trigger: &str,
    ) -> Result<SavepointStatus, ClusterError> {
        let entry = self.dispatcher.jobs.get(job)?;
        entry
            .trigger_status(trigger)
            .ok_or_else(|| ClusterError::NoTrigger {
                job: job.clone(),
                trigger: trigger.chars().take(64).collect(),
            })
    }

    /// A job's checkpoints: those since this job manager leads it, and older ones that are retained.
    ///
    /// # Errors
    /// If there is no such job, or the store failed.
    pub async fn checkpoints(&self, job: &JobId) -> Result<CheckpointHistory, ClusterError> {
        let entry = self.dispatcher.jobs.get(job)?;
        entry.checkpoint_history(&self.dispatcher).await
    }

    /// One of a job's checkpoints, with its tasks.
    ///
    /// # Errors
    /// If there is no such job, the checkpoint is forgotten, or the store failed.
    pub async fn checkpoint_details(
        &self,
        job: &JobId,
        checkpoint: u64,
    ) -> Result<CheckpointDetails, ClusterError> {
        let entry = self.dispatcher.jobs.get(job)?;
        entry.checkpoint_details(&self.dispatcher, checkpoint).await
    }

    /// What went wrong in a job.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn exceptions(&self, job: &JobId) -> Result<JobExceptions, ClusterError> {
        Ok(self.dispatcher.jobs.get(job)?.exceptions())
    }

    /// A vertex of a job with its tasks.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn vertex(&self, job: &JobId, vertex: u32) -> Result<VertexDetails, ClusterError> {
        let now = self.dispatcher.clock.now_ms();
        self.dispatcher.jobs.get(job)?.vertex_details(vertex, now)
    }

    /// One task of a vertex.
    ///
    /// # Errors
    /// If there is no such job, vertex or task.
    pub async fn subtask(&self, job: &JobId, vertex: u32, subtask: u32) -> Result<SubtaskView, ClusterError> {
        self.dispatcher.jobs.get(job)?.subtask(vertex, subtask)
    }

    /// How much the tasks of a vertex are held up.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn backpressure(&self, job: &JobId, vertex: u32) -> Result<VertexBackpressure, ClusterError> {
        let now = self.dispatcher.clock.now_ms();
        self.dispatcher.jobs.get(job)?.backpressure(vertex, now)
    }

    /// How far event time has come in the tasks of a vertex.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn watermarks(&self, job: &JobId, vertex: u32) -> Result<Vec<WatermarkView>, ClusterError> {
        self.dispatcher.jobs.get(job)?.watermarks(vertex)
    }

    /// The log files of a job on all task managers.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn logs(&self, job: &JobId) -> Result<LogFiles, ClusterError> {
        self.dispatcher.jobs.get(job)?;
        let patience = self.dispatcher.options.answer_timeout;
        let links = self.dispatcher.task_managers.all();
        let asked = links.iter().map(|link| link.list_logs(job.clone(), patience));
        let mut found = LogFiles::default();
        for (link, answer) in links.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Ok(files)) => found.logs.extend(files.into_iter().map(|file| LogFile {
                    task_manager: link.id().to_string(),
                    name: file.name,
                    size: file.size_bytes,
                })),
                Ok(Err(problem)) => found
                    .unreachable
                    .push(format!("task manager {}: {problem}", link.id())),
                Err(error) => found.unreachable.push(error.to_string()),
            }
        }
        Ok(found)
    }

    /// A piece of a log file: at most `limit` bytes from `offset`.
    ///
    /// # Errors
    /// If there is no such job, task manager or file, or the task manager does not answer.
    pub async fn read_log(
        &self,
        job: &JobId,
        task_manager: &TaskManagerId,
        file: &str,
        offset: u64,
        limit: u32,
    ) -> Result<LogChunk, ClusterError> {
        self.dispatcher.jobs.get(job)?;
        let link = self.find_task_manager(task_manager)?;
        let patience = self.dispatcher.options.answer_timeout;
        let limit = limit.min(LOG_CHUNK_LIMIT_BYTES);
        let read = link.read_log(job.clone(), file.to_owned(), offset, limit, patience);
        match read.await? {
            Ok(chunk) => Ok(LogChunk {
                bytes: chunk.bytes.into(),
                size: chunk.size_bytes,
            }),
            Err(LogProblem::Missing(_)) => Err(ClusterError::NoLog {
                job: job.clone(),
                file: file.chars().take(128).collect(),
            }),
            Err(LogProblem::Unreadable(reason)) => Err(ClusterError::TaskManagerSilent {
                task_manager: task_manager.clone(),
                reason,
            }),
        }
    }

    /// All task managers that are attached.
    pub async fn task_managers(&self) -> TaskManagerList {
        let links = self.dispatcher.task_managers.all();
        TaskManagerList {
            taskmanagers: links.iter().map(|link| self.task_manager_view(link)).collect(),
        }
    }

    /// One task manager with its workers.
    ///
    /// # Errors
    /// If none of that id is attached.
    pub async fn task_manager(
        &self,
        task_manager: &TaskManagerId,
    ) -> Result<TaskManagerDetails, ClusterError> {
        let link = self.find_task_manager(task_manager)?;
        let used = link
            .seen()
            .resources
            .map(|resources| resources.workers)
            .unwrap_or_default();
        Ok(TaskManagerDetails {
            task_manager: self.task_manager_view(&link),
            workers: used
                .into_iter()
                .map(|worker| TaskManagerWorker {
                    worker: worker.worker.to_string(),
                    job: worker.job.to_string(),
                    memory: worker.memory_bytes,
                    cpu_millicores: worker.cpu_millicores,
                })
                .collect(),
        })
    }

    fn trigger(
        &self,
        job: &JobId,
        request: SavepointRequest,
        operation: Operation,
    ) -> Result<Triggered, ClusterError> {
        let entry = self.dispatcher.jobs.get(job)?;
        let trigger = format!("{:032x}", rand::random::<u128>());
        let name = check_savepoint_name(request.name, &trigger)?;
        let driver = match entry.driver() {
            Some(driver) if entry.end().is_none() => driver,
            _ => return Err(ended(&entry, operation.participle())),
        };
        entry
            .begin_trigger(&trigger)
            .map_err(|pending| ClusterError::TooMany {
                what: format!("{pending} savepoints of job {job} are being taken"),
            })?;
        let id = trigger.clone();
        // Whoever triggered it looks for its result by the id; the job's end answers it at the latest.
        tokio::spawn(async move {
            let result = match operation.carry_out(&driver, &name).await {
                Ok(location) => SavepointOperation::Location(location),
                Err(error) => SavepointOperation::FailureCause(error.to_string()),
            };
            entry.finish_trigger(&id, result);
        });
        Ok(Triggered { request_id: trigger })
    }

    fn find_task_manager(&self, id: &TaskManagerId) -> Result<Arc<TaskManagerLink>, ClusterError> {
        let found = self.dispatcher.task_managers.find(id);
        found.ok_or_else(|| ClusterError::NoTaskManager {
            task_manager: id.clone(),
        })
    }

    fn task_manager_view(&self, link: &TaskManagerLink) -> TaskManagerView {
        let slots = self.dispatcher.slots.borrow().get(link.id()).copied();
        let (registration, seen) = (&link.registration, link.seen());
        TaskManagerView {
            id: link.id().to_string(),
            host: registration.host_name.clone(),
            time_since_last_heartbeat: seen.at_ms,
            slots_number: registration.slots,
            free_slots: slots.map_or(0, |slots| slots.free()),
            target: registration.target.clone(),
            version: registration.release.clone(),
            physical_memory: registration.memory_bytes,
            used_memory: seen.resources.map_or(0, |resources| resources.memory_bytes),
        }
    }

    fn artifact_view(&self, artifact: Artifact) -> ArtifactView {
        let jobs = self.dispatcher.jobs.all();
        let of_it = || jobs.iter().filter(|job| job.record().artifact == artifact.id);
        ArtifactView {
            target: of_it().map(|job| job.record().target).next(),
            name: of_it().map(|job| job.record().name).next(),
            jobs: self
                .dispatcher
                .jobs
                .running(&artifact.id)
                .iter()
                .map(ToString::to_string)
                .collect(),
            id: artifact.id.to_string(),
            size: artifact.size,
            uploaded: artifact.uploaded_ms,
        }
    }
}

/// What is triggered and looked up later.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Savepoint,
    Stop,
    Checkpoint,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum OperationError {
    #[error(transparent)]
    Savepoint(#[from] SavepointRequestError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointRequestError),
}

impl Operation {
    fn participle(self) -> &'static str {
        match self {
            Self::Savepoint => "savepointed",
            Self::Stop => "stopped",
            Self::Checkpoint => "checkpointed",
        }
    }

    /// Answers with where the savepoint lies.
    async fn carry_out(self, driver: &DriverHandle, name: &str) -> Result<String, OperationError> {
        match self {
            Self::Savepoint => Ok(driver.savepoint(name).await?.location),
            Self::Checkpoint => {
                let checkpoint = driver.checkpoint().await?;
                let epoch = tidegate_core::layout::epoch(checkpoint.epoch);
                Ok(format!("{}/{epoch}", driver.store().location()))
            }
            Self::Stop => {
                let savepoint = driver.suspend(Some(name)).await?;
                Ok(savepoint.map(|savepoint| savepoint.location).unwrap_or_default())
            }
        }
    }
}

fn ended(entry: &JobEntry, wanted: &'static str) -> ClusterError {
    ClusterError::JobEnded {
        job: entry.id().clone(),
        state: entry.phase().to_string(),
        wanted,
    }
}

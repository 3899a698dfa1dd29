//! How people reach a cluster, over REST or otherwise.

use bytes::Bytes;
use futures::Stream;
use tidegate_core::{ArtifactId, JobId, TaskManagerId};

use super::{
    error::ClusterError,
    request::{RunRequest, SavepointRequest},
    view::*,
};

/// Reaches a cluster; cheap to clone. Whatever it answers is as of now.
#[derive(Clone, Debug)]
pub struct ClusterHandle;

impl ClusterHandle {
    /// The cluster at a glance.
    pub async fn overview(&self) -> ClusterOverview {
        todo()
    }

    /// Whether the cluster takes requests.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] or [`ClusterError::Storage`].
    pub async fn ready(&self) -> Result<(), ClusterError> {
        todo()
    }

    /// Everything that is measured, as text in the OpenMetrics format.
    pub async fn metrics(&self) -> String {
        todo()
    }

    /// Takes in an executable: streams it to the store, under its digest. One that is there already is not written
    /// again. `expected` is the digest that was announced, if one was.
    ///
    /// # Errors
    /// If it is too large, broke off, has another digest, is no executable, or the store failed.
    pub async fn upload_artifact<S, E>(
        &self,
        bytes: S,
        expected: Option<&ArtifactId>,
    ) -> Result<ArtifactView, ClusterError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: std::fmt::Display + Send,
    {
        let _ = (bytes, expected);
        todo()
    }

    /// All executables.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn artifacts(&self) -> Result<ArtifactList, ClusterError> {
        todo()
    }

    /// Deletes an executable.
    ///
    /// # Errors
    /// If there is none, a job runs it, or the store failed.
    pub async fn delete_artifact(&self, _artifact: &ArtifactId) -> Result<(), ClusterError> {
        todo()
    }

    /// Submits a job. It has been written down when this answers: it survives whatever happens then.
    ///
    /// # Errors
    /// If the executable or what it starts from cannot be used, the key was used for another request, nobody is there
    /// who could describe it, or the store failed.
    pub async fn run(&self, _request: RunRequest) -> Result<JobId, ClusterError> {
        todo()
    }

    /// All jobs by id.
    pub async fn jobs(&self) -> JobIds {
        todo()
    }

    /// All jobs at a glance.
    pub async fn jobs_overview(&self) -> JobOverview {
        todo()
    }

    /// Everything about a job.
    ///
    /// # Errors
    /// If there is none.
    pub async fn job(&self, _job: &JobId) -> Result<JobDetails, ClusterError> {
        todo()
    }

    /// A job's plan.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn plan(&self, _job: &JobId) -> Result<PlanView, ClusterError> {
        todo()
    }

    /// Ends a job. It has been written down when this answers, and happens then. Cancelling a job that is canceled or
    /// being cancelled does nothing.
    ///
    /// # Errors
    /// If there is no such job, it has ended otherwise, or the store failed.
    pub async fn cancel(&self, _job: &JobId) -> Result<(), ClusterError> {
        todo()
    }

    /// Takes a savepoint of a job.
    ///
    /// # Errors
    /// If there is no such job, it has ended, the name cannot be used, or too many savepoints are being taken.
    pub async fn savepoint(
        &self,
        _job: &JobId,
        _request: SavepointRequest,
    ) -> Result<Triggered, ClusterError> {
        todo()
    }

    /// Takes a savepoint of a job and ends it there.
    ///
    /// # Errors
    /// As [`savepoint`](Self::savepoint).
    pub async fn stop_with_savepoint(
        &self,
        _job: &JobId,
        _request: SavepointRequest,
    ) -> Result<Triggered, ClusterError> {
        todo()
    }

    /// How far a savepoint is.
    ///
    /// # Errors
    /// If nothing is known of the trigger.
    pub async fn savepoint_status(
        &self,
        _job: &JobId,
        _trigger: &str,
    ) -> Result<SavepointStatus, ClusterError> {
        todo()
    }

    /// Takes a checkpoint of a job before its time.
    ///
    /// # Errors
    /// As [`savepoint`](Self::savepoint).
    pub async fn trigger_checkpoint(&self, _job: &JobId) -> Result<Triggered, ClusterError> {
        todo()
    }

    /// A job's checkpoints.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn checkpoints(&self, _job: &JobId) -> Result<CheckpointHistory, ClusterError> {
        todo()
    }

    /// One of a job's checkpoints, with its tasks.
    ///
    /// # Errors
    /// If there is no such job, the checkpoint is forgotten, or the store failed.
    pub async fn checkpoint_details(
        &self,
        _job: &JobId,
        _checkpoint: u64,
    ) -> Result<CheckpointDetails, ClusterError> {
        todo()
    }

    /// What went wrong in a job.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn exceptions(&self, _job: &JobId) -> Result<JobExceptions, ClusterError> {
        todo()
    }

    /// A vertex of a job with its tasks.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn vertex(&self, _job: &JobId, _vertex: u32) -> Result<VertexDetails, ClusterError> {
        todo()
    }

    /// One task of a vertex.
    ///
    /// # Errors
    /// If there is no such job, vertex or task.
    pub async fn subtask(
        &self,
        _job: &JobId,
        _vertex: u32,
        _subtask: u32,
    ) -> Result<SubtaskView, ClusterError> {
        todo()
    }

    /// How much the tasks of a vertex are held up.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn backpressure(&self, _job: &JobId, _vertex: u32) -> Result<VertexBackpressure, ClusterError> {
        todo()
    }

    /// How far event time has come in the tasks of a vertex.
    ///
    /// # Errors
    /// If there is no such job or vertex.
    pub async fn watermarks(&self, _job: &JobId, _vertex: u32) -> Result<Vec<WatermarkView>, ClusterError> {
        todo()
    }

    /// The log files of a job on all task managers.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn logs(&self, _job: &JobId) -> Result<LogFiles, ClusterError> {
        todo()
    }

    /// A piece of a log file: at most `limit` bytes from `offset`.
    ///
    /// # Errors
    /// If there is no such job, task manager or file, or the task manager does not answer.
    pub async fn read_log(
        &self,
        _job: &JobId,
        _task_manager: &TaskManagerId,
        _file: &str,
        _offset: u64,
        _limit: u32,
    ) -> Result<LogChunk, ClusterError> {
        todo()
    }

    /// All task managers that are attached.
    pub async fn task_managers(&self) -> TaskManagerList {
        todo()
    }

    /// One task manager with its workers.
    ///
    /// # Errors
    /// If none of that id is attached.
    pub async fn task_manager(
        &self,
        _task_manager: &TaskManagerId,
    ) -> Result<TaskManagerDetails, ClusterError> {
        todo()
    }
}

fn todo<T>() -> T {
    unimplemented!("being built")
}

//! A job as it is shown.

use tidegate_core::{Epoch, TaskId, VertexId, WorkerName, graph::Partitioning, plan::Vertex};
use tidegate_driver::{Snapshot, StoreError, list_checkpoints, read_snapshot};

use super::{entry::JobEntry, measurements};
use crate::cluster::{
    dispatcher::Dispatcher,
    error::ClusterError,
    view::{
        BackpressureLevel, CheckpointDetails, CheckpointHistory, CheckpointState, CheckpointTask,
        ExceptionEntry, ExceptionHistory, JobDetails, JobExceptions, JobPhase, JobSummary, PlanInput,
        PlanNode, PlanView, SubtaskBackpressure, SubtaskView, TaskCounts, VertexBackpressure, VertexDetails,
        VertexView, WatermarkView,
    },
};

impl JobEntry {
    pub(crate) fn summary(&self, now_ms: i64) -> JobSummary {
        let (end, phase) = (self.end(), self.phase());
        let times = self.state_times();
        let end_time = end.as_ref().map_or(-1, |end| end.at_ms);
        JobSummary {
            jid: self.id().to_string(),
            name: self.record().name,
            state: phase,
            start_time: self.submitted_at_ms(),
            end_time,
            duration: if end.is_some() { end_time } else { now_ms } - self.submitted_at_ms(),
            last_modification: times.values().max().copied().unwrap_or(-1),
            tasks: self.task_counts(self.plan().vertices.iter().map(|vertex| vertex.parallelism).sum()),
        }
    }

    pub(crate) fn details(&self, now_ms: i64) -> JobDetails {
        let (record, status) = (self.record(), self.status());
        let waits_for = self.known().waits_for.clone();
        let end_time = record.end.as_ref().map_or(-1, |end| end.at_ms);
        let cause = match &record.end {
            Some(end) => Some(end.cause.clone()).filter(|cause| !cause.is_empty()),
            None => status.as_ref().and_then(|status| status.last_cause.clone()),
        };
        let vertices: Vec<_> = self
            .plan()
            .vertices
            .iter()
            .map(|vertex| self.vertex_view(vertex))
            .collect();
        let count = u32::try_from(vertices.len()).unwrap_or(u32::MAX);
        JobDetails {
            jid: self.id().to_string(),
            name: record.name,
            state: self.phase(),
            start_time: self.submitted_at_ms(),
            end_time,
            duration: if record.end.is_some() { end_time } else { now_ms } - self.submitted_at_ms(),
            now: now_ms,
            artifact: record.artifact.to_string(),
            program_arguments: record.arguments,
            parallelism: record.parallelism,
            slots: self.slots(),
            max_parallelism: self.max_parallelism(),
            waits_for,
            cause,
            attempt: status.as_ref().map_or(0, |status| status.attempt.0),
            restarts: status.as_ref().map_or(0, |status| status.restarts),
            generation: status.as_ref().and_then(|status| Some(status.generation?.0)),
            epoch: status
                .as_ref()
                .and_then(|status| status.epoch)
                .or(record.end.as_ref().and_then(|end| end.epoch))
                .map(|epoch| epoch.0),
            committed_epoch: status.as_ref().and_then(|status| Some(status.committed?.0)),
            timestamps: self.state_times(),
            vertices,
            status_counts: self.task_counts(count),
            plan: self.plan_view(),
        }
    }

    pub(crate) fn plan_view(&self) -> PlanView {
        let (graph, plan) = (self.graph(), self.plan());
        let nodes = plan.vertices.iter().map(|vertex| PlanNode {
            id: vertex.id.to_string(),
            parallelism: vertex.parallelism,
            operators: vertex
                .nodes
                .iter()
                .map(|id| graph.node(*id).uid.to_string())
                .collect(),
            description: vertex.name.clone(),
            inputs: plan
                .inputs(vertex.id)
                .enumerate()
                .map(|(num, edge)| PlanInput {
                    num,
                    id: edge.from_vertex.to_string(),
                    ship_strategy: strategy(edge.partitioning),
                    exchange: "pipelined_bounded",
                })
                .collect(),
        });
        PlanView {
            jid: self.id().to_string(),
            name: graph.name.clone(),
            kind: "STREAMING",
            fingerprint: format!("{:016x}", graph.fingerprint()),
            nodes: nodes.collect(),
        }
    }

    pub(crate) fn vertex_details(&self, vertex: u32, now_ms: i64) -> Result<VertexDetails, ClusterError> {
        let vertex = self.find_vertex(vertex)?;
        Ok(VertexDetails {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            parallelism: vertex.parallelism,
            max_parallelism: self.max_parallelism(),
            now: now_ms,
            subtasks: tasks(vertex).map(|task| self.subtask_view(task)).collect(),
        })
    }

    pub(crate) fn subtask(&self, vertex: u32, subtask: u32) -> Result<SubtaskView, ClusterError> {
        let found = self.find_vertex(vertex)?;
        if subtask >= found.parallelism {
            return Err(ClusterError::NoVertex {
                job: self.id().clone(),
                what: format!("task {subtask} of vertex {vertex}"),
            });
        }
        Ok(self.subtask_view(TaskId {
            vertex: found.id,
            index: subtask,
        }))
    }

    pub(crate) fn backpressure(&self, vertex: u32, now_ms: i64) -> Result<VertexBackpressure, ClusterError> {
        let vertex = self.find_vertex(vertex)?;
        let subtasks: Vec<_> = tasks(vertex)
            .map(|task| self.subtask_backpressure(task))
            .collect();
        Ok(VertexBackpressure {
            status: "ok",
            backpressure_level: subtasks
                .iter()
                .map(|task| task.backpressure_level)
                .max()
                .unwrap_or(BackpressureLevel::Ok),
            end_timestamp: now_ms,
            subtasks,
        })
    }

    pub(crate) fn watermarks(&self, vertex: u32) -> Result<Vec<WatermarkView>, ClusterError> {
        let vertex = self.find_vertex(vertex)?;
        let known = self.known();
        let views = tasks(vertex).filter_map(|task| {
            let metrics = measurements::view(known.measurements.of(task)?);
            Some(WatermarkView {
                id: format!("{}.currentInputWatermark", task.index),
                value: metrics.current_watermark?.to_string(),
            })
        });
        Ok(views.collect())
    }

    pub(crate) fn exceptions(&self) -> JobExceptions {
        let record = self.record();
        let status = self.status();
        let history = status
            .as_ref()
            .map_or(&[] as &[_], |status| status.exceptions.as_slice());
        let mut entries: Vec<ExceptionEntry> = history
            .iter()
            .rev()
            .map(|exception| {
                let worker = exception.host.as_ref().map(WorkerName::as_str);
                ExceptionEntry {
                    exception_name: exception.cause.clone(),
                    timestamp: exception.at.0,
                    attempt: exception.attempt.0,
                    worker: worker.map(str::to_owned),
                    task_manager_id: worker.and_then(task_manager_of),
                }
            })
            .collect();
        if let Some(end) = record.end.filter(|end| !end.cause.is_empty())
            && entries
                .first()
                .is_none_or(|last| last.exception_name != end.cause)
        {
            let last = ExceptionEntry {
                exception_name: end.cause,
                timestamp: end.at_ms,
                attempt: status.as_ref().map_or(0, |status| status.attempt.0),
                worker: None,
                task_manager_id: None,
            };
            entries.insert(0, last);
        }
        JobExceptions {
            root_exception: entries.first().map(|last| last.exception_name.clone()),
            timestamp: entries.first().map(|last| last.timestamp),
            exception_history: ExceptionHistory {
                truncated: history.len() >= EXCEPTIONS_REMEMBERED,
                entries,
            },
        }
    }

    pub(crate) async fn checkpoint_history(
        &self,
        dispatcher: &Dispatcher,
    ) -> Result<CheckpointHistory, ClusterError> {
        let store = dispatcher.store.job(self.id());
        let is_first = self.known().checkpoints.begin_reading();
        if is_first {
            match list_checkpoints(&store).await {
                Ok(retained) => self.known().checkpoints.add_retained(&retained, store.location()),
                // An epoch may be collected while it is read; the next who asks reads again.
                Err(error) => {
                    self.known().checkpoints.read_again();
                    tracing::warn!(job = %self.id(), %error, "retained checkpoints could not be listed");
                }
            }
        }
        let (status, now) = (self.status(), dispatcher.clock.now_ms());
        Ok(self.known().checkpoints.history(status.as_ref(), now))
    }

    /// A checkpoint with its tasks, as far as its manifest is still there.
    pub(crate) async fn checkpoint_details(
        &self,
        dispatcher: &Dispatcher,
        checkpoint: u64,
    ) -> Result<CheckpointDetails, ClusterError> {
        let history = self.checkpoint_history(dispatcher).await?.history;
        let found = history.into_iter().find(|known| known.id == checkpoint);
        let view = found.ok_or_else(|| ClusterError::NoCheckpoint {
            job: self.id().clone(),
            checkpoint,
        })?;
        let manifest = match view.epoch {
            Some(epoch) if view.status == CheckpointState::Completed => {
                let store = dispatcher.store.job(self.id());
                match read_snapshot(&store, &Snapshot::Epoch(Epoch(epoch))).await {
                    Ok(found) => found.map(|(_, manifest)| manifest),
                    // It may be collected while it is read.
                    Err(StoreError::Missing { .. }) => None,
                    Err(error) => return Err(error.into()),
                }
            }
            _ => None,
        };
        let tasks = manifest.iter().flat_map(|manifest| &manifest.tasks);
        let tasks = tasks.map(|task| CheckpointTask {
            vertex: task.task.vertex.0,
            subtask: task.task.index,
            alignment_us: task.timings.alignment_us,
            sync_us: task.timings.sync_us,
            scan_us: task.timings.scan_us,
            upload_us: task.timings.upload_us,
            written_bytes: task.timings.written_bytes,
            ended: task.ended,
        });
        Ok(CheckpointDetails {
            tasks: tasks.collect(),
            segments: manifest.as_ref().map_or(0, |manifest| manifest.segments.len()),
            generation: manifest.as_ref().map(|manifest| manifest.generation.0),
            checkpoint: view,
        })
    }

    fn vertex_view(&self, vertex: &Vertex) -> VertexView {
        let metrics = self.known().measurements.sum(vertex.id);
        VertexView {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            parallelism: vertex.parallelism,
            max_parallelism: self.max_parallelism(),
            status: self.phase(),
            tasks: self.task_counts(vertex.parallelism),
            metrics,
        }
    }

    fn subtask_view(&self, task: TaskId) -> SubtaskView {
        let status = self.status();
        let seats = status.as_ref().map_or(&[] as &[_], |status| &*status.seats);
        // Task i of every vertex runs in seat i, counted around.
        let seat = seats.get(task.index as usize % seats.len().max(1));
        let worker = seat.map(|seat| seat.name.to_string());
        let metrics = self.known().measurements.of(task).map(measurements::view);
        SubtaskView {
            subtask: task.index,
            status: self.phase(),
            attempt: status.as_ref().map_or(0, |status| status.attempt.0),
            taskmanager_id: worker.as_deref().and_then(task_manager_of),
            worker,
            metrics: metrics.unwrap_or_default(),
        }
    }

    fn subtask_backpressure(&self, task: TaskId) -> SubtaskBackpressure {
        let known = self.known();
        let Some((last, before)) = known.measurements.pair(task) else {
            return shares(task, [0.0; 3]);
        };
        let times = [last.times.backpressured, last.times.idle, last.times.busy];
        let earlier = before.map(|before| [before.times.backpressured, before.times.idle, before.times.busy]);
        let mut spans = [0.0; 3];
        for (place, span) in spans.iter_mut().enumerate() {
            let since = earlier.map_or(std::time::Duration::ZERO, |earlier| earlier[place]);
            *span = times[place].saturating_sub(since).as_secs_f64();
        }
        shares(task, spans)
    }

    fn find_vertex(&self, vertex: u32) -> Result<&Vertex, ClusterError> {
        let found = self
            .plan()
            .vertices
            .iter()
            .find(|known| known.id == VertexId(vertex));
        found.ok_or_else(|| ClusterError::NoVertex {
            job: self.id().clone(),
            what: format!("vertex {vertex}"),
        })
    }

    fn max_parallelism(&self) -> u32 {
        u32::from(self.graph().space.max_parallelism())
    }

    /// All tasks of a job live and die together.
    fn task_counts(&self, total: u32) -> TaskCounts {
        let mut counts = TaskCounts {
            total,
            ..TaskCounts::default()
        };
        let place = match self.phase() {
            JobPhase::Created | JobPhase::Restarting => &mut counts.created,
            JobPhase::Deploying => &mut counts.deploying,
            JobPhase::Running => &mut counts.running,
            JobPhase::Failing | JobPhase::Cancelling => &mut counts.canceling,
            JobPhase::Failed => &mut counts.failed,
            JobPhase::Canceled | JobPhase::Suspended => &mut counts.canceled,
            JobPhase::Finished => &mut counts.finished,
        };
        *place = total;
        counts
    }
}

/// As many exceptions a coordinator remembers.
const EXCEPTIONS_REMEMBERED: usize = 32;

fn tasks(vertex: &Vertex) -> impl Iterator<Item = TaskId> + use<> {
    let id = vertex.id;
    (0..vertex.parallelism).map(move |index| TaskId { vertex: id, index })
}

fn shares(task: TaskId, [backpressured, idle, busy]: [f64; 3]) -> SubtaskBackpressure {
    let all = backpressured + idle + busy;
    let share = |span: f64| if all > 0.0 { span / all } else { 0.0 };
    SubtaskBackpressure {
        subtask: task.index,
        backpressure_level: BackpressureLevel::of(share(backpressured)),
        ratio: share(backpressured),
        idle_ratio: share(idle),
        busy_ratio: share(busy),
    }
}

/// The task manager of a worker, which its name begins with.
fn task_manager_of(worker: &str) -> Option<String> {
    let (task_manager, _) = worker.rsplit_once('-')?;
    Some(task_manager.to_owned())
}

fn strategy(partitioning: Partitioning) -> String {
    partitioning.to_string().to_uppercase()
}

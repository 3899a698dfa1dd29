//! The worker: one loop that takes the coordinator's orders and its executors' events, and owns the attempt.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use object_store::{ObjectStore, path::Path};
use tidegate_core::{
    Attempt, Barrier, BoxFuture, CheckpointId, Epoch, FaultPoint, Faults, Io, NodeId, OperatorError,
    OperatorUid, Severity, TaskError, TaskId, WorkerId,
    control::{Deployment, WorkerOrder, WorkerReport, WorkerSnapshot},
    metrics::TaskMetrics,
    plan::ExecutionPlan,
    sink::{CommitRequest, Committable},
    source::Split,
};
use tidegate_exchange::{Network, NetworkOptions, PeerFailure};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use crate::{
    assembly::{self, AssemblyParts},
    clock::Clock,
    executor::{self, Command, ExecutorEvent, ExecutorHandle, ExecutorParts},
    ledger::Ledger,
    participant::Participant,
    program::JobProgram,
    restore,
    segments::{Upload, UploadError},
    task::TaskEvent,
};

/// How long a failed commit rests before it is tried again; doubles up to [`COMMIT_RETRY_MOST`].
const COMMIT_RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest rest between two tries to commit.
const COMMIT_RETRY_MOST: Duration = Duration::from_secs(5);

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// How many executor threads it runs.
    pub slots: u32,
    /// Where the job's objects are in the store.
    pub job_root: Path,
    /// Where other workers may connect; `None` for a job with one worker.
    pub data_bind: Option<SocketAddr>,
    /// How long an executor turns before it parks. Zero where threads outnumber cores.
    pub spin: Duration,
    /// Where tests make it die.
    pub faults: Faults,
}

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The data port could not be opened.
    #[error("cannot listen for data connections on {address}: {cause}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The coordinator is gone.
    #[error("the coordinator has gone away")]
    CoordinatorGone,
    /// A test has made the worker die.
    #[error("a fault has struck")]
    Died,
}

/// The counters of one task, to be read while it runs.
#[derive(Clone, Debug)]
pub struct TaskMetricsEntry {
    /// The task.
    pub task: TaskId,
    /// The names of its operators, joined.
    pub name: String,
    /// Whether it starts with a source.
    pub is_source: bool,
    /// Whether it ends in a sink.
    pub is_sink: bool,
    /// Its counters.
    pub metrics: Arc<TaskMetrics>,
}

/// The counters of a worker's tasks in the current attempt.
#[derive(Clone, Debug, Default)]
pub struct WorkerMetrics {
    /// Taken briefly when an attempt begins and when somebody reads.
    tasks: Arc<Mutex<Vec<TaskMetricsEntry>>>,
}

impl WorkerMetrics {
    /// The tasks of the current attempt.
    pub fn tasks(&self) -> Vec<TaskMetricsEntry> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, tasks: Vec<TaskMetricsEntry>) {
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }
}

/// A worker that is ready to be attached to a coordinator.
pub struct Worker {
    options: WorkerOptions,
    program: Arc<JobProgram>,
    store: Arc<dyn ObjectStore>,
    network: Option<Arc<Network>>,
    /// Connections that have broken, as the network says it.
    lost_peers: UnboundedReceiver<PeerFailure>,
    metrics: WorkerMetrics,
    clock: Clock,
}

/// Runs sources' and sinks' I/O on the tokio runtime.
struct TokioIo(Handle);

impl Io for TokioIo {
    fn spawn(&self, future: BoxFuture<()>) {
        self.0.spawn(future);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.0.spawn_blocking(work);
    }
}

/// What happens inside the worker.
enum Event {
    Executor(Attempt, ExecutorEvent),
    ExecutorLost(Attempt),
    Prepared(
        Attempt,
        OperatorUid,
        TaskId,
        CheckpointId,
        Result<Vec<Committable>, OperatorError>,
    ),
    Uploaded(Attempt, CheckpointId, Result<WorkerSnapshot, String>),
    Discovered(Attempt, NodeId, Result<Vec<Split>, OperatorError>),
    Committed(Attempt, CommitOf),
    CommitRetrying(Attempt, CheckpointId, String),
    Joined(Attempt),
    Died,
}

/// What a commit was for.
#[derive(Clone, Copy, Debug)]
enum CommitOf {
    /// What the restored checkpoint had staged.
    Restored,
    Checkpoint(CheckpointId),
}

/// The tasks of one attempt.
struct Running {
    attempt: Attempt,
    plan: Arc<ExecutionPlan>,
    deployment: Arc<Deployment>,
    executors: Vec<ExecutorHandle>,
    deployed: usize,
    /// What [`WorkerReport::Deployed`] still waits for besides the executors.
    restored_commit_pending: bool,
    ended: usize,
    tasks: Vec<TaskId>,
    participant: Participant,
    ledger: Ledger,
    stopping: bool,
}

impl Worker {
    /// Opens the data port, if there is to be one.
    ///
    /// # Errors
    /// [`WorkerError::Bind`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(
        options: WorkerOptions,
        program: Arc<JobProgram>,
        store: Arc<dyn ObjectStore>,
    ) -> Result<Self, WorkerError> {
        let (lost, lost_peers) = mpsc::unbounded_channel();
        let network = match options.data_bind {
            None => None,
            Some(address) => {
                let listen = NetworkOptions {
                    listen: address,
                    ..NetworkOptions::default()
                };
                let bound = Network::bind(listen, &Handle::current(), move |failure| {
                    let _ = lost.send(failure);
                });
                let (network, _) = bound.map_err(|cause| WorkerError::Bind { address, cause })?;
                Some(Arc::new(network))
            }
        };
        let (metrics, clock) = (WorkerMetrics::default(), Clock::start());
        Ok(Self {
            options,
            program,
            store,
            network,
            lost_peers,
            metrics,
            clock,
        })
    }

    /// Where other workers connect.
    pub fn data_address(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|network| network.address())
    }

    /// The counters of its tasks.
    pub fn metrics(&self) -> WorkerMetrics {
        self.metrics.clone()
    }

    /// Serves the coordinator, which knows it as `id`, until it closes `orders`. Tasks that still run then are stopped.
    ///
    /// # Errors
    /// When the coordinator does not take reports any more, or a fault has struck.
    pub async fn run(
        self,
        id: WorkerId,
        mut orders: mpsc::Receiver<WorkerOrder>,
        reports: mpsc::Sender<WorkerReport>,
    ) -> Result<(), WorkerError> {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let mut service = Service {
            id,
            worker: self,
            reports,
            events,
            running: None,
        };
        let outcome = service.serve(&mut orders, &mut inbox).await;
        service.leave(&mut inbox).await;
        outcome
    }
}

struct Service {
    id: WorkerId,
    worker: Worker,
    reports: mpsc::Sender<WorkerReport>,
    events: UnboundedSender<Event>,
    running: Option<Running>,
}

impl Service {
    async fn serve(
        &mut self,
        orders: &mut mpsc::Receiver<WorkerOrder>,
        inbox: &mut UnboundedReceiver<Event>,
    ) -> Result<(), WorkerError> {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await?,
                    None => return Ok(()),
                },
                Some(event) = inbox.recv() => self.on_event(event).await?,
                Some(failure) = self.worker.lost_peers.recv() => self.on_peer_lost(failure).await?,
            }
            if self.worker.options.faults.is_dead() {
                return Err(WorkerError::Died);
            }
        }
    }

    /// Stops what still runs and waits for its threads.
    async fn leave(&mut self, inbox: &mut UnboundedReceiver<Event>) {
        inbox.close();
        if let Some(running) = self.running.take() {
            running
                .executors
                .iter()
                .for_each(|executor| executor.send(Command::Stop));
            let joined = tokio::task::spawn_blocking(move || {
                running.executors.into_iter().for_each(ExecutorHandle::join);
            });
            let _ = joined.await;
        }
        if let Some(network) = &self.worker.network {
            network.end_attempt();
        }
    }

    async fn report(&self, report: WorkerReport) -> Result<(), WorkerError> {
        if self.worker.options.faults.is_dead() {
            return Err(WorkerError::Died);
        }
        self.reports
            .send(report)
            .await
            .map_err(|_| WorkerError::CoordinatorGone)
    }

    async fn fail(
        &self,
        attempt: Attempt,
        operator: Option<OperatorUid>,
        message: String,
    ) -> Result<(), WorkerError> {
        let task = self
            .running
            .as_ref()
            .and_then(|running| running.tasks.first().copied());
        let error = TaskError {
            task: task.unwrap_or(TaskId {
                vertex: tidegate_core::VertexId(0),
                index: 0,
            }),
            task_name: "worker".to_owned(),
            operator,
            message,
            severity: Severity::Restart,
        };
        self.report(WorkerReport::Failed { attempt, error }).await
    }

    fn current(&mut self, attempt: Attempt) -> Option<&mut Running> {
        self.running
            .as_mut()
            .filter(|running| running.attempt == attempt && !running.stopping)
    }

    async fn obey(&mut self, order: WorkerOrder) -> Result<(), WorkerError> {
        match order {
            WorkerOrder::Deploy(deployment) => self.deploy(Arc::new(*deployment)).await,
            WorkerOrder::Start { attempt } => {
                self.tell_all(attempt, &Command::Start);
                Ok(())
            }
            WorkerOrder::AssignSplits {
                attempt,
                node,
                splits,
            } => {
                if let Some(running) = self.current(attempt) {
                    running.assign(node, &splits);
                }
                Ok(())
            }
            WorkerOrder::Trigger { attempt, barrier } => self.trigger(attempt, barrier).await,
            WorkerOrder::Abort { attempt, checkpoint } => {
                if let Some(running) = self.current(attempt) {
                    running.participant.abort(checkpoint);
                }
                self.tell_all(attempt, &Command::Explain);
                self.tell_all(attempt, &Command::Abort(checkpoint));
                Ok(())
            }
            WorkerOrder::Commit {
                attempt,
                checkpoint,
                epoch,
            } => {
                if self.worker.options.faults.strikes(FaultPoint::BeforeCommit) {
                    return Err(WorkerError::Died);
                }
                self.tell_all(attempt, &Command::Claimed(checkpoint));
                self.commit(attempt, checkpoint, epoch);
                Ok(())
            }
            WorkerOrder::Stop { attempt } => self.stop(attempt).await,
        }
    }

    fn tell_all(&mut self, attempt: Attempt, command: &Command) {
        if let Some(running) = self.current(attempt) {
            running
                .executors
                .iter()
                .for_each(|executor| executor.send(command.clone()));
        }
    }

    async fn deploy(&mut self, deployment: Arc<Deployment>) -> Result<(), WorkerError> {
        let attempt = deployment.attempt;
        let graph = self.worker.program.graph();
        if deployment.graph_fingerprint != graph.fingerprint() {
            let message = format!(
                "this executable's graph is {:016x}, the coordinator's is {:016x}; start all workers from one executable",
                graph.fingerprint(),
                deployment.graph_fingerprint
            );
            let error = TaskError {
                task: TaskId {
                    vertex: tidegate_core::VertexId(0),
                    index: 0,
                },
                task_name: "worker".to_owned(),
                operator: None,
                message,
                severity: Severity::FailJob,
            };
            return self.report(WorkerReport::Failed { attempt, error }).await;
        }
        let restored = match deployment.restore.as_deref().map(|manifest| {
            restore::check(
                &self.worker.program,
                manifest,
                deployment.allow_non_restored_state,
            )
        }) {
            Some(Err(error)) => {
                let error = TaskError {
                    task: TaskId {
                        vertex: tidegate_core::VertexId(0),
                        index: 0,
                    },
                    task_name: "worker".to_owned(),
                    operator: None,
                    message: error.to_string(),
                    severity: Severity::FailJob,
                };
                return self.report(WorkerReport::Failed { attempt, error }).await;
            }
            Some(Ok(())) => deployment.restore.clone(),
            None => None,
        };
        let parts = AssemblyParts {
            program: Arc::clone(&self.worker.program),
            deployment: Arc::clone(&deployment),
            slots: self.worker.options.slots,
            store: Arc::clone(&self.worker.store),
            job_root: self.worker.options.job_root.clone(),
            me: self.id,
            network: self.worker.network.clone(),
            io: Arc::new(TokioIo(Handle::current())),
            handle: Handle::current(),
            clock: self.worker.clock,
            faults: self.worker.options.faults.clone(),
        };
        if let Some(network) = &self.worker.network {
            assembly::begin_attempt(network, self.id, &deployment);
        }
        let share = match assembly::assemble(parts) {
            Ok(share) => share,
            Err(error) => return self.fail(attempt, None, error.to_string()).await,
        };
        self.worker.metrics.set(share.metrics);
        let mut running = Running {
            attempt,
            plan: Arc::clone(&share.plan),
            deployment: Arc::clone(&deployment),
            executors: Vec::new(),
            deployed: 0,
            restored_commit_pending: restored.is_some(),
            ended: 0,
            participant: Participant::new(share.tasks.len()),
            tasks: share.tasks,
            ledger: Ledger::default(),
            stopping: false,
        };
        for (slot, (ready, tasks)) in share.slots.into_iter().enumerate() {
            let events = self.executor_events(attempt);
            let spawned = executor::spawn(ExecutorParts {
                name: format!("slot-{slot}"),
                ready,
                tasks,
                events,
                clock: self.worker.clock,
                spin: self.worker.options.spin,
                faults: self.worker.options.faults.clone(),
            });
            match spawned {
                Ok(executor) => running.executors.push(executor),
                Err(error) => {
                    self.running = Some(running);
                    return self
                        .fail(attempt, None, format!("cannot start an executor thread: {error}"))
                        .await;
                }
            }
        }
        let me = deployment
            .workers
            .iter()
            .position(|worker| worker.worker == self.id)
            .unwrap_or(0);
        let count = deployment.workers.len().max(1);
        if let Some(manifest) = &restored {
            let mine = restore::commits(manifest, |task| task.index as usize % count == me);
            self.spawn_commits(attempt, CommitOf::Restored, mine);
            for (node, splits) in restore::splits(manifest, &self.worker.program) {
                running.assign(node, &splits);
            }
        }
        let unassigned = assembly::undiscovered(
            &self.worker.program,
            &running.plan,
            &running.tasks,
            restored.as_deref(),
        );
        for (node, parallelism, discover) in unassigned {
            let events = self.events.clone();
            tokio::task::spawn_blocking(move || {
                let _ = events.send(Event::Discovered(attempt, node, discover(parallelism)));
            });
        }
        self.running = Some(running);
        Ok(())
    }

    fn executor_events(&self, attempt: Attempt) -> UnboundedSender<ExecutorEvent> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let events = self.events.clone();
        tokio::spawn(async move {
            let mut has_stopped = false;
            while let Some(event) = receiver.recv().await {
                has_stopped |= matches!(event, ExecutorEvent::Stopped);
                let _ = events.send(Event::Executor(attempt, event));
            }
            if !has_stopped {
                let _ = events.send(Event::ExecutorLost(attempt));
            }
        });
        sender
    }

    async fn trigger(&mut self, attempt: Attempt, barrier: Barrier) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        running.participant.begin(barrier.checkpoint);
        self.tell_all(attempt, &Command::Trigger(barrier));
        // A worker without tasks has nothing to wait for.
        self.upload_if_complete(attempt, barrier.checkpoint);
        Ok(())
    }

    fn upload_if_complete(&mut self, attempt: Attempt, checkpoint: CheckpointId) {
        let job_root = self.worker.options.job_root.clone();
        let (store, faults) = (Arc::clone(&self.worker.store), self.worker.options.faults.clone());
        let (worker, events) = (self.id, self.events.clone());
        let Some(running) = self.current(attempt) else {
            return;
        };
        if !running.ledger.is_durable(checkpoint) {
            return;
        }
        let Some(mut parts) = running.participant.take_complete(checkpoint) else {
            return;
        };
        for (sink, task, committables) in running.ledger.up_to(checkpoint) {
            let operators = parts
                .iter_mut()
                .filter(|part| part.snapshot.task == task)
                .flat_map(|part| part.snapshot.operators.iter_mut());
            for (_, operator) in operators.filter(|(uid, _)| uid == sink) {
                operator.committables = committables.clone();
            }
        }
        let upload = Upload {
            store,
            job_root,
            attempt,
            worker,
            checkpoint,
            faults,
        };
        tokio::spawn(async move {
            let uploaded = upload.run(parts).await;
            let event = match uploaded {
                Err(UploadError::Died) => Event::Died,
                other => Event::Uploaded(attempt, checkpoint, other.map_err(|error| error.to_string())),
            };
            let _ = events.send(event);
        });
    }

    fn commit(&mut self, attempt: Attempt, checkpoint: CheckpointId, epoch: Epoch) {
        let Some(running) = self.current(attempt) else {
            return;
        };
        let lineage = running.deployment.lineage.clone();
        let requests = running
            .ledger
            .up_to(checkpoint)
            .map(|(sink, task, committables)| CommitRequest {
                lineage: lineage.clone(),
                sink: sink.clone(),
                epoch,
                task: task.index,
                committables,
            })
            .collect();
        self.spawn_commits(attempt, CommitOf::Checkpoint(checkpoint), requests);
    }

    /// Publishes in the background, again and again until it succeeds.
    fn spawn_commits(&self, attempt: Attempt, of: CommitOf, requests: Vec<CommitRequest>) {
        let (program, events) = (Arc::clone(&self.worker.program), self.events.clone());
        let faults = self.worker.options.faults.clone();
        tokio::spawn(async move {
            for request in requests {
                let Some(committer) = program.committer(&request.sink) else {
                    continue;
                };
                let mut rest = COMMIT_RETRY_FIRST;
                while let Err(error) = committer.commit(request.clone()).await {
                    if faults.is_dead() {
                        let _ = events.send(Event::Died);
                        return;
                    }
                    let checkpoint = match of {
                        CommitOf::Restored => CheckpointId::default(),
                        CommitOf::Checkpoint(checkpoint) => checkpoint,
                    };
                    let reason = format!("sink {:?}: {error}", request.sink.as_str());
                    if events
                        .send(Event::CommitRetrying(attempt, checkpoint, reason))
                        .is_err()
                    {
                        return;
                    }
                    tokio::time::sleep(rest).await;
                    rest = (rest * 2).min(COMMIT_RETRY_MOST);
                }
            }
            let event = if faults.strikes(FaultPoint::AfterCommit) {
                Event::Died
            } else {
                Event::Committed(attempt, of)
            };
            let _ = events.send(event);
        });
    }

    async fn stop(&mut self, attempt: Attempt) -> Result<(), WorkerError> {
        let Some(running) = self.running.as_mut().filter(|running| running.attempt == attempt) else {
            return self.report(WorkerReport::Stopped { attempt }).await;
        };
        running.stopping = true;
        running
            .executors
            .iter()
            .for_each(|executor| executor.send(Command::Stop));
        let executors = std::mem::take(&mut running.executors);
        let (events, network) = (self.events.clone(), self.worker.network.clone());
        tokio::spawn(async move {
            let joined =
                tokio::task::spawn_blocking(move || executors.into_iter().for_each(ExecutorHandle::join));
            let _ = joined.await;
            if let Some(network) = network {
                network.end_attempt();
            }
            let _ = events.send(Event::Joined(attempt));
        });
        Ok(())
    }

    async fn on_event(&mut self, event: Event) -> Result<(), WorkerError> {
        match event {
            Event::Executor(attempt, event) => self.on_executor(attempt, event).await,
            Event::ExecutorLost(attempt) => {
                self.fail_current(attempt, None, "an executor thread has ended by itself".to_owned())
                    .await
            }
            Event::Prepared(attempt, sink, task, checkpoint, prepared) => match prepared {
                Ok(committables) => {
                    if let Some(running) = self.current(attempt) {
                        running.ledger.made_durable(sink, task, checkpoint, committables);
                        self.upload_waiting(attempt);
                    }
                    Ok(())
                }
                Err(error) => self.fail_current(attempt, Some(sink), error.to_string()).await,
            },
            Event::Uploaded(attempt, checkpoint, Ok(snapshot)) if self.current(attempt).is_some() => {
                let snapshot = Box::new(snapshot);
                self.report(WorkerReport::Acknowledged {
                    attempt,
                    checkpoint,
                    snapshot,
                })
                .await
            }
            Event::Uploaded(attempt, checkpoint, Err(reason)) if self.current(attempt).is_some() => {
                self.report(WorkerReport::Declined {
                    attempt,
                    checkpoint,
                    reason,
                })
                .await
            }
            Event::Uploaded(..) => Ok(()),
            Event::Discovered(attempt, node, Ok(splits)) if self.current(attempt).is_some() => {
                self.report(WorkerReport::SplitsDiscovered {
                    attempt,
                    node,
                    splits,
                })
                .await
            }
            Event::Discovered(attempt, node, Err(error)) => {
                let uid = self.worker.program.graph().node(node).uid.clone();
                self.fail_current(attempt, Some(uid), error.to_string()).await
            }
            Event::Discovered(..) => Ok(()),
            Event::Committed(attempt, of) => self.on_committed(attempt, of).await,
            Event::CommitRetrying(attempt, checkpoint, reason) => {
                tracing::warn!(%checkpoint, reason, "a commit did not succeed and is tried again");
                if self.current(attempt).is_none() {
                    return Ok(());
                }
                self.report(WorkerReport::CommitRetrying {
                    attempt,
                    checkpoint,
                    reason,
                })
                .await
            }
            Event::Joined(attempt) => {
                if self
                    .running
                    .as_ref()
                    .is_some_and(|running| running.attempt == attempt)
                {
                    self.running = None;
                    self.worker.metrics.set(Vec::new());
                    self.report(WorkerReport::Stopped { attempt }).await?;
                }
                Ok(())
            }
            Event::Died if self.worker.options.faults.is_dead() => Err(WorkerError::Died),
            Event::Died => Ok(()),
        }
    }

    async fn on_peer_lost(&mut self, failure: PeerFailure) -> Result<(), WorkerError> {
        match self.running.as_ref().map(|running| running.attempt) {
            Some(attempt) => self.fail_current(attempt, None, failure.to_string()).await,
            None => Ok(()),
        }
    }

    async fn fail_current(
        &mut self,
        attempt: Attempt,
        operator: Option<OperatorUid>,
        message: String,
    ) -> Result<(), WorkerError> {
        if self.current(attempt).is_none() {
            return Ok(());
        }
        self.fail(attempt, operator, message).await
    }

    async fn on_executor(&mut self, attempt: Attempt, event: ExecutorEvent) -> Result<(), WorkerError> {
        let events = self.events.clone();
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        match event {
            ExecutorEvent::Deployed => {
                running.deployed += 1;
                self.report_deployed(attempt).await
            }
            ExecutorEvent::Failed(error) => self.report(WorkerReport::Failed { attempt, error }).await,
            ExecutorEvent::Explained(held) => {
                for reason in held {
                    tracing::warn!(reason, "a checkpoint was given up while a task was aligning");
                }
                Ok(())
            }
            ExecutorEvent::Stopped => Ok(()),
            ExecutorEvent::Task(TaskEvent::Prepared {
                task,
                sink,
                checkpoint,
                future,
            }) => {
                running.ledger.stage(sink.clone(), task, checkpoint);
                tokio::spawn(async move {
                    let prepared = future.await;
                    let _ = events.send(Event::Prepared(attempt, sink, task, checkpoint, prepared));
                });
                Ok(())
            }
            ExecutorEvent::Task(TaskEvent::Part(part)) => {
                let checkpoint = part.checkpoint;
                running.participant.add(part);
                self.upload_if_complete(attempt, checkpoint);
                Ok(())
            }
            ExecutorEvent::Task(TaskEvent::Ended) => {
                running.ended += 1;
                if running.ended == running.tasks.len() {
                    return self.report(WorkerReport::Ended { attempt }).await;
                }
                Ok(())
            }
        }
    }

    fn upload_waiting(&mut self, attempt: Attempt) {
        let waiting = self
            .current(attempt)
            .map(|running| running.participant.pending())
            .unwrap_or_default();
        for checkpoint in waiting {
            self.upload_if_complete(attempt, checkpoint);
        }
    }

    async fn report_deployed(&mut self, attempt: Attempt) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        if running.deployed < running.executors.len() || running.restored_commit_pending {
            return Ok(());
        }
        let idle = running.tasks.is_empty();
        self.report(WorkerReport::Deployed { attempt }).await?;
        if idle {
            return self.report(WorkerReport::Ended { attempt }).await;
        }
        Ok(())
    }

    async fn on_committed(&mut self, attempt: Attempt, of: CommitOf) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        match of {
            CommitOf::Restored => {
                running.restored_commit_pending = false;
                self.report_deployed(attempt).await
            }
            CommitOf::Checkpoint(checkpoint) => {
                running.ledger.published(checkpoint);
                self.report(WorkerReport::Committed { attempt, checkpoint }).await
            }
        }
    }
}

impl Running {
    /// Gives the tasks of a source their splits.
    fn assign(&self, node: NodeId, splits: &[Split]) {
        let Some(vertex) = self
            .plan
            .vertices
            .iter()
            .find(|vertex| vertex.nodes.first() == Some(&node))
        else {
            return;
        };
        let mut by_task: BTreeMap<u32, Vec<Split>> =
            (0..vertex.parallelism).map(|task| (task, Vec::new())).collect();
        for split in splits {
            by_task
                .entry(split.index % vertex.parallelism)
                .or_default()
                .push(split.clone());
        }
        for (index, splits) in by_task {
            let task = TaskId {
                vertex: vertex.id,
                index,
            };
            if self.tasks.contains(&task) {
                let command = Command::Assign(task, splits);
                self.executors
                    .iter()
                    .for_each(|executor| executor.send(command.clone()));
            }
        }
    }
}

//! The worker's loop: takes the coordinator's orders and its executors' events, and owns the attempt.

mod checkpoint;
mod deploy;
mod explanation;

use std::{sync::Arc, time::Duration};

use tidegate_core::{
    Attempt, CheckpointId, FaultPoint, NodeId, OperatorError, OperatorUid, Severity, TaskError, TaskId,
    WorkerId,
    control::{Deployment, WorkerOrder, WorkerReport, WorkerSnapshot},
    metrics::RestoredBytes,
    plan::ExecutionPlan,
    sink::Committable,
    source::Split,
};
use tidegate_exchange::PeerFailure;
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        watch,
    },
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use self::explanation::Explanation;
use crate::{
    executor::{Command, ExecutorEvent, ExecutorHandle},
    ledger::Ledger,
    participant::Participant,
    task::TaskEvent,
    watch::ThreadWatch,
    watchdog::{LOOK_INTERVAL, Warning, Watchdog},
    worker::{Worker, WorkerError},
};

/// What happens inside the worker.
pub(super) enum Event {
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
    ExplanationDue(Attempt, CheckpointId),
    Joined(Attempt),
    Died,
}

/// What a commit was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommitOf {
    /// What the restored checkpoint had staged.
    Restored,
    Checkpoint(CheckpointId),
}

/// The tasks of one attempt.
struct Running {
    attempt: Attempt,
    /// What the worker is in it.
    me: WorkerId,
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
    /// By executor.
    watches: Vec<Arc<ThreadWatch>>,
    /// What a checkpoint waits for is being found out.
    explanation: Option<Explanation>,
    stopping: Stopping,
    /// Executors that have been told to stop end.
    joining: Option<Joining>,
}

/// Whether an attempt is being stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stopping {
    No,
    /// Another takes its place.
    Replaced,
    /// The coordinator wants to hear when it is over.
    Ordered,
}

/// Executor threads that should be ending.
struct Joining {
    since: Instant,
    joined: JoinHandle<()>,
}

impl Running {
    /// Tells the executors to stop.
    fn end(&mut self) -> Joining {
        self.executors
            .iter()
            .for_each(|executor| executor.send(Command::Stop));
        let executors = std::mem::take(&mut self.executors);
        Joining {
            since: Instant::now(),
            joined: tokio::task::spawn_blocking(move || executors.into_iter().for_each(ExecutorHandle::join)),
        }
    }

    /// The error that names the task which has not ended; none if the thread is about to.
    fn ignores_cancellation(&self, within: Duration, now_ns: u64) -> Result<(), WorkerError> {
        match self.watches.iter().find_map(|watch| watch.hold(now_ns)) {
            Some(hold) => Err(WorkerError::IgnoresCancellation {
                task: hold.holder.task,
                name: hold.holder.name,
                operator: hold.operator,
                within,
            }),
            None => Ok(()),
        }
    }
}

pub(super) struct Service {
    id: watch::Receiver<WorkerId>,
    worker: Worker,
    reports: mpsc::Sender<WorkerReport>,
    events: UnboundedSender<Event>,
    running: Option<Running>,
    /// To be put in place once what runs has ended.
    next: Option<Arc<Deployment>>,
    watchdog: Watchdog,
}

impl Service {
    pub(super) fn new(
        id: watch::Receiver<WorkerId>,
        worker: Worker,
        reports: mpsc::Sender<WorkerReport>,
    ) -> (Self, UnboundedReceiver<Event>) {
        let (events, inbox) = mpsc::unbounded_channel();
        (
            Self {
                id,
                worker,
                reports,
                events,
                running: None,
                next: None,
                watchdog: Watchdog::default(),
            },
            inbox,
        )
    }

    pub(super) async fn serve(
        &mut self,
        orders: &mut mpsc::Receiver<WorkerOrder>,
        inbox: &mut UnboundedReceiver<Event>,
    ) -> Result<(), WorkerError> {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick(), if self.running.is_some() => self.look(),
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
    pub(super) async fn leave(&mut self, inbox: &mut UnboundedReceiver<Event>) -> Result<(), WorkerError> {
        inbox.close();
        let mut left = Ok(());
        if let Some(mut running) = self.running.take() {
            let mut joining = match running.joining.take() {
                Some(joining) => joining,
                None => running.end(),
            };
            let within = self.worker.options.cancel_timeout;
            let ended = tokio::time::timeout_at(joining.since + within, &mut joining.joined).await;
            // A process that a test makes die does not wait for anything.
            if ended.is_err() && !self.worker.options.faults.is_dead() {
                left = running.ignores_cancellation(within, self.worker.clock.nanos());
            }
        }
        if let Some(network) = &self.worker.network {
            network.end_attempt();
        }
        left
    }

    async fn report(&self, report: WorkerReport) -> Result<(), WorkerError> {
        if self.worker.options.faults.is_dead() {
            return Err(WorkerError::Died);
        }
        self.worker.standing.reporting(&report);
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
            .filter(|running| running.attempt == attempt && running.stopping == Stopping::No)
    }

    async fn obey(&mut self, order: WorkerOrder) -> Result<(), WorkerError> {
        self.worker.standing.ordered(&order);
        match order {
            WorkerOrder::Deploy(deployment) => self.take_place(Arc::new(*deployment)).await,
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
                    self.worker.standing.assigned(attempt, node);
                }
                Ok(())
            }
            WorkerOrder::Trigger { attempt, barrier } => self.trigger(attempt, barrier).await,
            WorkerOrder::Explain { attempt, checkpoint } => {
                self.explain(attempt, checkpoint);
                Ok(())
            }
            WorkerOrder::Abort { attempt, checkpoint } => {
                if let Some(running) = self.current(attempt) {
                    running.participant.abort(checkpoint);
                    if let Some(local) = &self.worker.local {
                        local.aborted(checkpoint);
                    }
                }
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
                if let Some(local) = self.worker.local.clone()
                    && self.current(attempt).is_some()
                {
                    local.claimed(checkpoint);
                }
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

    async fn stop(&mut self, attempt: Attempt) -> Result<(), WorkerError> {
        self.next.take_if(|next| next.attempt == attempt);
        match self.running.as_ref().filter(|running| running.attempt == attempt) {
            Some(_) => {
                self.end_running(Stopping::Ordered);
                Ok(())
            }
            None => self.report(WorkerReport::Stopped { attempt }).await,
        }
    }

    /// Deploys, once whatever still runs has ended: a coordinator that has not adopted it may say nothing of it.
    async fn take_place(&mut self, deployment: Arc<Deployment>) -> Result<(), WorkerError> {
        if self.running.is_none() {
            return self.deploy(deployment).await;
        }
        self.next = Some(deployment);
        self.end_running(Stopping::Replaced);
        Ok(())
    }

    fn end_running(&mut self, stopping: Stopping) {
        let Some(running) = &mut self.running else { return };
        let was_stopping = running.stopping;
        running.stopping = was_stopping.max(stopping);
        if was_stopping != Stopping::No {
            return;
        }
        let attempt = running.attempt;
        let (events, network) = (self.events.clone(), self.worker.network.clone());
        let Joining { since, joined } = running.end();
        let joined = tokio::spawn(async move {
            let _ = joined.await;
            if let Some(network) = network {
                network.end_attempt();
            }
            let _ = events.send(Event::Joined(attempt));
        });
        running.joining = Some(Joining { since, joined });
    }

    async fn on_joined(&mut self, attempt: Attempt) -> Result<(), WorkerError> {
        let Some(running) = self.running.take_if(|running| running.attempt == attempt) else {
            return Ok(());
        };
        self.worker.metrics.end();
        self.worker.standing.end();
        if running.stopping == Stopping::Ordered {
            self.report(WorkerReport::Stopped { attempt }).await?;
        }
        match self.next.take() {
            Some(next) => self.deploy(next).await,
            None => Ok(()),
        }
    }

    /// Takes a look at what holds the executors' threads.
    fn look(&mut self) {
        let now_ns = self.worker.clock.nanos();
        let Some(running) = &self.running else { return };
        let watches = running.watches.iter().enumerate();
        for (slot, watch) in watches.filter(|(_, watch)| !watch.may_block()) {
            let Some(Warning { hold, unmentioned }) = self.watchdog.look(slot, watch.hold(now_ns), now_ns)
            else {
                continue;
            };
            tracing::warn!(
                task = %hold.holder,
                operator = hold.operator.as_ref().map(OperatorUid::as_str),
                held_for = ?hold.held_for,
                unmentioned,
                "an operator holds its thread, and with it every task of its slot; do less in one step, or wait elsewhere"
            );
        }
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
            Event::ExplanationDue(attempt, checkpoint) => {
                self.conclude_explanation(attempt, checkpoint).await
            }
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
            Event::Joined(attempt) => self.on_joined(attempt).await,
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
            ExecutorEvent::Explained {
                slot,
                checkpoint,
                stragglers,
            } => self.explained(attempt, slot, checkpoint, stragglers).await,
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

    async fn report_deployed(&mut self, attempt: Attempt) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        if running.deployed < running.executors.len() || running.restored_commit_pending {
            return Ok(());
        }
        let idle = running.tasks.is_empty();
        if running.deployment.restore.is_some() {
            let RestoredBytes { local, remote } = self.worker.metrics.restored();
            tracing::info!(%attempt, local_bytes = local, remote_bytes = remote, "state restored");
        }
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

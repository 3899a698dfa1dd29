//! Putting a worker's share of a job in place.

use std::{collections::BTreeMap, sync::Arc};

use tidegate_core::{
    BoxFuture, Io, NodeId, Severity, TaskError, TaskId,
    control::{Deployment, WorkerReport},
    source::Split,
};
use tokio::runtime::Handle;

use super::{CommitOf, Event, Running, Service, Stopping};
use crate::{
    assembly::{self, AssemblyParts},
    executor::{self, Command, ExecutorParts},
    ledger::Ledger,
    participant::Participant,
    restore, sources,
    worker::WorkerError,
};

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

impl Service {
    pub(super) async fn deploy(&mut self, deployment: Arc<Deployment>) -> Result<(), WorkerError> {
        let attempt = deployment.attempt;
        let me = *self.id.borrow();
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
            me,
            local: self.worker.local.clone(),
            read: Arc::default(),
            network: self.worker.network.clone(),
            io: Arc::new(TokioIo(Handle::current())),
            handle: Handle::current(),
            clock: self.worker.clock,
            faults: self.worker.options.faults.clone(),
        };
        if let Some(network) = &self.worker.network {
            assembly::begin_attempt(network, me, &deployment);
        }
        if let Some(local) = &self.worker.local {
            local.restoring(restored.as_deref());
        }
        let read = Arc::clone(&parts.read);
        let share = match assembly::assemble(parts) {
            Ok(share) => share,
            Err(error) => return self.fail(attempt, None, error.to_string()).await,
        };
        self.worker.metrics.begin(attempt, share.metrics, read);
        self.worker.standing.begin(
            me,
            &deployment,
            sources::with_tasks(&self.worker.program, &share.plan, &share.tasks),
        );
        let mut running = Running {
            attempt,
            me,
            plan: Arc::clone(&share.plan),
            deployment: Arc::clone(&deployment),
            executors: Vec::new(),
            deployed: 0,
            restored_commit_pending: restored.is_some(),
            ended: 0,
            participant: Participant::new(share.tasks.len()),
            tasks: share.tasks,
            ledger: Ledger::default(),
            watches: share
                .threads
                .iter()
                .map(|thread| Arc::clone(&thread.watch))
                .collect(),
            explanation: None,
            stopping: Stopping::No,
            joining: None,
        };
        for (slot, share) in share.threads.into_iter().enumerate() {
            let events = self.executor_events(attempt);
            let spawned = executor::spawn(ExecutorParts {
                name: share.name,
                slot,
                ready: share.ready,
                watch: share.watch,
                tasks: share.assemblies,
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
        let place = deployment
            .workers
            .iter()
            .position(|worker| worker.worker == me)
            .unwrap_or(0);
        let count = deployment.workers.len().max(1);
        if let Some(manifest) = &restored {
            let mine = restore::commits(manifest, |task| task.index as usize % count == place);
            self.spawn_commits(attempt, CommitOf::Restored, mine);
            for (node, splits) in restore::splits(manifest, &self.worker.program) {
                running.assign(node, &splits);
                self.worker.standing.assigned(attempt, node);
            }
        }
        let unassigned = sources::undiscovered(
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
}

impl Running {
    /// Gives the tasks of a source their splits.
    pub(super) fn assign(&self, node: NodeId, splits: &[Split]) {
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

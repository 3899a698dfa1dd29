//! The loop around the pure cluster: hands in facts, carries out intentions, and owns the tasks that run jobs.

use std::{sync::Arc, time::Duration};

use tidegate_coordinator::cluster::{Cluster, ClusterCommand, ClusterEvent};
use tidegate_core::{JobId, TaskManagerId, WorkerName};
use tidegate_proto::taskmanager::{Order, StartWorker};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    dispatcher::{Dispatcher, Fact},
    job::JobMaster,
};

/// The loop. Dropping its future ends the jobs' drivers as the death of the process would.
pub(crate) struct Runtime {
    dispatcher: Arc<Dispatcher>,
    cluster: Cluster,
    facts: mpsc::Receiver<Fact>,
    tasks: JoinSet<()>,
}

impl Runtime {
    pub(crate) fn new(dispatcher: Arc<Dispatcher>, cluster: Cluster, facts: mpsc::Receiver<Fact>) -> Self {
        Self {
            dispatcher,
            cluster,
            facts,
            tasks: JoinSet::new(),
        }
    }

    /// Runs until nobody can tell it anything any more, which is until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let wakeup = self.cluster.next_wakeup();
            let wakeup = wakeup.map(|at| self.dispatcher.clock.until(at));
            tokio::select! {
                biased;
                fact = self.facts.recv() => match fact {
                    Some(Fact::Happened(event)) => self.step(event),
                    Some(Fact::Host { entry, admission, hosted }) => {
                        let dispatcher = Arc::clone(&self.dispatcher);
                        self.tasks.spawn(JobMaster { dispatcher, entry, admission }.run(hosted));
                    }
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task that ran a job or told its driver something broke down");
                    }
                }
                () = pause(wakeup) => self.step(ClusterEvent::Wakeup),
            }
        }
    }

    fn step(&mut self, event: ClusterEvent) {
        let now = self.dispatcher.clock.now();
        for command in self.cluster.handle(now, event) {
            self.carry_out(command);
        }
        let slots = self
            .cluster
            .task_managers()
            .map(|(id, slots)| (id.clone(), slots));
        self.dispatcher.slots.send_replace(slots.collect());
    }

    fn carry_out(&mut self, command: ClusterCommand) {
        match command {
            ClusterCommand::StartWorker {
                task_manager,
                job,
                worker,
                slots,
            } => self.start(&task_manager, &job, worker, slots),
            ClusterCommand::StopWorker {
                task_manager,
                job,
                worker,
            } => self.order(&task_manager, Order::StopWorker { job, worker }),
            ClusterCommand::WorkerGone {
                job,
                worker,
                reason,
                severity,
            } => {
                tracing::warn!(%job, %worker, reason, "worker gone");
                let Some(entry) = self.dispatcher.jobs.find(&job) else {
                    return;
                };
                entry.worker_gone(&worker);
                let (driver, port) = (entry.driver(), self.dispatcher.port.clone());
                self.tasks.spawn(async move {
                    if let Some(driver) = driver {
                        // A driver that has ended needs not be told.
                        let _ = driver.worker_gone(worker.clone(), reason, severity).await;
                    }
                    port.dismiss(&job, &worker);
                });
            }
            ClusterCommand::JobWaits { job, shortage } => {
                tracing::info!(%job, %shortage, "job waits");
                self.set_waits_for(&job, Some(shortage.to_string()));
            }
            ClusterCommand::JobPlaced { job } => {
                tracing::info!(%job, "job placed");
                self.set_waits_for(&job, None);
            }
        }
    }

    fn start(&self, task_manager: &TaskManagerId, job: &JobId, worker: WorkerName, slots: u32) {
        let Some(entry) = self.dispatcher.jobs.find(job) else {
            tracing::error!(%job, %worker, "a worker of a job that nobody knows was to be started");
            return;
        };
        let record = entry.record();
        let order = Order::StartWorker(StartWorker {
            job: job.clone(),
            worker,
            artifact: record.artifact,
            artifact_size_bytes: record.artifact_size_bytes,
            arguments: record.arguments,
            slots,
            memory_limit_bytes: self.dispatcher.options.worker_memory_bytes,
        });
        self.order(task_manager, order);
    }

    /// Gives an order. A task manager that does not take it is asked to leave: what it was not told, it learns when it
    /// attaches again.
    fn order(&self, task_manager: &TaskManagerId, order: Order) {
        let Some(link) = self.dispatcher.task_managers.find(task_manager) else {
            // It is about to be lost, or to attach again and say what it runs.
            return;
        };
        if link.order(order).is_err() {
            self.dispatcher.task_managers.dismiss(task_manager);
        }
    }

    fn set_waits_for(&self, job: &JobId, reason: Option<String>) {
        if let Some(entry) = self.dispatcher.jobs.find(job) {
            entry.set_waits_for(reason);
        }
    }
}

async fn pause(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

//! One attached task manager: its orders, and the answers to what it is asked.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tidegate_core::{ArtifactId, JobId, TaskManagerId};
use tidegate_proto::taskmanager::{
    DescribeProblem, LogChunk, LogFile, LogProblem, Order, Registration, Report, ResourceUse,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::cluster::error::ClusterError;

/// Orders that a task manager has not taken yet. One that leaves so many lying is lost.
pub(crate) const ORDER_CAPACITY: usize = 1024;

/// One attached task manager. Its locks are leaves.
#[derive(Debug)]
pub(crate) struct TaskManagerLink {
    pub(crate) registration: Registration,
    orders: mpsc::Sender<Order>,
    next_request: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Report>>>,
    seen: Mutex<Seen>,
}

/// What was last heard of a task manager.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) at_ms: i64,
    pub(crate) resources: Option<ResourceUse>,
}

impl TaskManagerLink {
    pub(crate) fn new(registration: Registration, orders: mpsc::Sender<Order>, now_ms: i64) -> Self {
        Self {
            registration,
            orders,
            next_request: AtomicU64::new(1),
            waiting: Mutex::default(),
            seen: Mutex::new(Seen {
                at_ms: now_ms,
                resources: None,
            }),
        }
    }

    pub(crate) fn id(&self) -> &TaskManagerId {
        &self.registration.task_manager
    }

    /// Gives an order, or says that the task manager does not take it.
    pub(crate) fn order(&self, order: Order) -> Result<(), ClusterError> {
        self.orders
            .try_send(order)
            .map_err(|_| self.silent("it does not take its orders".to_owned()))
    }

    pub(crate) fn heard(&self, now_ms: i64, resources: Option<ResourceUse>) {
        let mut seen = lock(&self.seen);
        seen.at_ms = now_ms;
        if resources.is_some() {
            seen.resources = resources;
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Hands an answer to whoever asked.
    pub(crate) fn answered(&self, report: Report) {
        let request = match &report {
            Report::Described { request, .. }
            | Report::LogsListed { request, .. }
            | Report::LogRead { request, .. } => *request,
            Report::WorkerStarted { .. } | Report::WorkerEnded { .. } => return,
        };
        let asked = lock(&self.waiting).remove(&request);
        if let Some(asked) = asked {
            // Whoever asked may have gone.
            let _ = asked.send(report);
        }
    }

    /// Asks an executable what job it is.
    pub(crate) async fn describe(
        &self,
        artifact: ArtifactId,
        artifact_size_bytes: u64,
        arguments: Vec<String>,
        patience: Duration,
    ) -> Result<Result<String, DescribeProblem>, ClusterError> {
        let order = |request| Order::Describe {
            request,
            artifact,
            artifact_size_bytes,
            arguments,
        };
        match self.ask(order, patience).await? {
            Report::Described { outcome, .. } => Ok(outcome),
            _ => Err(self.silent("it answered something else".to_owned())),
        }
    }

    pub(crate) async fn list_logs(
        &self,
        job: JobId,
        patience: Duration,
    ) -> Result<Result<Vec<LogFile>, String>, ClusterError> {
        match self
            .ask(|request| Order::ListLogs { request, job }, patience)
            .await?
        {
            Report::LogsListed { outcome, .. } => Ok(outcome),
            _ => Err(self.silent("it answered something else".to_owned())),
        }
    }

    pub(crate) async fn read_log(
        &self,
        job: JobId,
        file: String,
        offset: u64,
        limit: u32,
        patience: Duration,
    ) -> Result<Result<LogChunk, LogProblem>, ClusterError> {
        let order = |request| Order::ReadLog {
            request,
            job,
            file,
            offset,
            limit,
        };
        match self.ask(order, patience).await? {
            Report::LogRead { outcome, .. } => Ok(outcome),
            _ => Err(self.silent("it answered something else".to_owned())),
        }
    }

    async fn ask(
        &self,
        order: impl FnOnce(u64) -> Order,
        patience: Duration,
    ) -> Result<Report, ClusterError> {
        let request = self.next_request.fetch_add(1, Relaxed);
        let (asked, answer) = oneshot::channel();
        lock(&self.waiting).insert(request, asked);
        let answered = match self.order(order(request)) {
            Ok(()) => match timeout(patience, answer).await {
                Ok(Ok(report)) => Ok(report),
                Ok(Err(_)) => Err(self.silent("its connection broke".to_owned())),
                Err(_) => Err(self.silent(format!("nothing came within {patience:?}"))),
            },
            Err(error) => Err(error),
        };
        lock(&self.waiting).remove(&request);
        answered
    }

    /// Nobody will be answered any more.
    pub(crate) fn close(&self) {
        lock(&self.waiting).clear();
    }

    fn silent(&self, reason: String) -> ClusterError {
        ClusterError::TaskManagerSilent {
            task_manager: self.id().clone(),
            reason,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves what they guard half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

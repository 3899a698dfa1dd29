//! Runs one job to its end, whatever happens to its driver meanwhile.

use std::{pin::pin, sync::Arc, time::Duration};

use tidegate_coordinator::cluster::{Admission, ClusterEvent};
use tidegate_core::{Severity, TaskManagerId, WorkerId, WorkerName, layout, metrics::WorkerMeasurement};
use tidegate_driver::{
    Driver, DriverError, DriverOptions, JobDescription, Outcome, RequirementSetting, StartSetting, StoreError,
};
use tidegate_proto::{JobEnd, JobEndKind, JobRecord, taskmanager::Order};
use tokio::sync::oneshot;

use super::{entry::JobEntry, submission::driver_options};
use crate::{
    HostedJob,
    cluster::{
        dispatcher::{Dispatcher, Fact, Phase},
        error::ClusterError,
    },
    roster::WorkerWatcher,
};

/// The pause before a driver that the store has failed is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// For how long workers that outlived another job manager are waited for, to be gone on with.
const ADOPTION: Duration = Duration::from_secs(5);

/// Runs one job.
#[derive(Debug)]
pub(crate) struct JobMaster {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) entry: Arc<JobEntry>,
    pub(crate) admission: Admission,
}

/// Why a run of a driver ended without an end of the job.
enum Interruption {
    /// The store did not do what was asked of it.
    Store(String),
    /// Another job manager has taken over.
    Fenced(String),
}

impl JobMaster {
    /// Runs the job until it has ended and that is written down. Dropping the future is like the death of the process:
    /// another run takes over.
    pub(crate) async fn run(self, mut hosted: Option<oneshot::Sender<()>>) {
        let (job, mut pause) = (self.entry.id(), FIRST_PAUSE);
        let mut admission = self.admission;
        loop {
            match self.attempt(admission, &mut hosted).await {
                Ok(end) => {
                    self.bury(end).await;
                    return;
                }
                Err(Interruption::Fenced(reason)) => {
                    tracing::warn!(%job, reason, "another job manager leads the job");
                    // Who leads the cluster is found out by looking, not by this.
                    tokio::time::sleep(LONGEST_PAUSE).await;
                }
                Err(Interruption::Store(reason)) => {
                    tracing::error!(%job, reason, ?pause, "the job's driver is started again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            admission = Admission::Recovered;
        }
    }

    /// One life of the job's driver.
    async fn attempt(
        &self,
        admission: Admission,
        hosted: &mut Option<oneshot::Sender<()>>,
    ) -> Result<JobEnd, Interruption> {
        let (dispatcher, entry) = (&self.dispatcher, &self.entry);
        let record = entry.record();
        let options = self.options(&record).await?;
        let store = dispatcher.store.job(&record.job);
        let description = JobDescription {
            job: record.job.clone(),
            graph: Arc::clone(entry.graph()),
            default_parallelism: Some(record.parallelism),
            arguments: record.arguments.clone(),
        };
        let (driver, handle) = Driver::new(options, description, store.clone());
        entry.set_driver(handle.clone());
        let job = HostedJob {
            job: record.job.clone(),
            graph_fingerprint: entry.graph().fingerprint(),
            target: Some(record.target.clone()),
            driver: handle.clone(),
        };
        let watcher = Arc::new(Watcher {
            dispatcher: Arc::clone(dispatcher),
            entry: Arc::clone(entry),
        });
        // A driver before this one is hosted no longer: its workers are lost to it.
        dispatcher.port.withdraw(&record.job);
        dispatcher
            .port
            .host_watched(job, watcher)
            .map_err(|error| Interruption::Store(error.to_string()))?;
        // A cluster that has ended takes this with it.
        let _ = dispatcher
            .tell(ClusterEvent::JobAdmitted {
                job: record.job.clone(),
                slots: entry.slots(),
                target: Some(record.target.clone()),
                admission,
            })
            .await;
        if let Some(hosted) = hosted.take() {
            // Whoever waits for it may have lost patience.
            let _ = hosted.send(());
        }
        // Whoever wanted it before there was a driver has written it down.
        if entry.record().cancel_wanted {
            // A driver that has ended says so below.
            let _ = handle.cancel().await;
        }
        let mut status = handle.status();
        let mut running = pin!(driver.run());
        let ended = loop {
            tokio::select! {
                biased;
                Ok(()) = status.changed() => {
                    let now = status.borrow_and_update().clone();
                    entry.observe(&now, dispatcher.clock.now_ms(), store.location());
                }
                ended = &mut running => break ended,
            }
        };
        entry.observe(&status.borrow(), dispatcher.clock.now_ms(), store.location());
        match ended {
            Ok(outcome) => self.end(outcome),
            Err(error @ DriverError::Fenced { .. }) => Err(Interruption::Fenced(error.to_string())),
            Err(DriverError::Store(error @ StoreError::NoConditionalWrites { .. })) => {
                Ok(self.failed(error.to_string()))
            }
            Err(error) => Err(Interruption::Store(error.to_string())),
        }
    }

    /// The driver's options: where it starts from depends on whether the job has ever claimed anything.
    async fn options(&self, record: &JobRecord) -> Result<DriverOptions, Interruption> {
        let store = self.dispatcher.store.job(&record.job);
        let links = store.list(layout::EPOCHS).await;
        let links = links.map_err(|error| Interruption::Store(error.to_string()))?;
        let start = match &record.savepoint {
            Some(location) if links.is_empty() => StartSetting::FromSavepoint(location.clone()),
            _ => StartSetting::Resume,
        };
        let options = driver_options(&self.dispatcher, &record.settings)
            .map_err(|error: ClusterError| Interruption::Store(error.to_string()))?;
        Ok(DriverOptions {
            start,
            requirement: RequirementSetting::Slots(self.entry.slots()),
            adoption: Some(ADOPTION),
            allow_non_restored_state: record.allow_non_restored_state,
            ..options
        })
    }

    fn end(&self, outcome: Outcome) -> Result<JobEnd, Interruption> {
        let at_ms = self.dispatcher.clock.now_ms();
        let ended = |kind, cause, epoch| {
            Ok(JobEnd {
                kind,
                at_ms,
                cause,
                epoch,
            })
        };
        let uncommitted = |epoch: Option<tidegate_core::Epoch>| {
            epoch.map(|epoch| format!("epoch {epoch} is claimed and may not be published"))
        };
        match outcome {
            Outcome::Finished { epoch } | Outcome::AlreadyFinished { epoch } => {
                ended(JobEndKind::Finished, String::new(), Some(epoch))
            }
            Outcome::Suspended { epoch } => ended(JobEndKind::Suspended, String::new(), epoch),
            Outcome::Canceled { uncommitted: epoch } => ended(
                JobEndKind::Canceled,
                uncommitted(epoch).unwrap_or_default(),
                epoch,
            ),
            Outcome::Failed {
                cause,
                task,
                uncommitted: epoch,
            } => {
                let task = task
                    .map(|task| task.to_string())
                    .filter(|task| !cause.contains(task));
                let parts = [Some(cause), task, uncommitted(epoch)];
                let cause = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
                ended(JobEndKind::Failed, cause, epoch)
            }
            Outcome::Fenced { generation, .. } => {
                Err(Interruption::Fenced(format!("generation {generation}")))
            }
        }
    }

    fn failed(&self, cause: String) -> JobEnd {
        JobEnd {
            kind: JobEndKind::Failed,
            at_ms: self.dispatcher.clock.now_ms(),
            cause,
            epoch: None,
        }
    }

    /// Writes the end down, as often as it takes, unless another job manager leads by now.
    async fn bury(&self, end: JobEnd) {
        let (dispatcher, job) = (&self.dispatcher, self.entry.id());
        tracing::info!(%job, end = ?end.kind, cause = end.cause, "job ended");
        // A cluster that has ended needs not be told.
        let _ = dispatcher.tell(ClusterEvent::JobEnded { job: job.clone() }).await;
        self.entry.set_waits_for(None);
        let mut pause = FIRST_PAUSE;
        loop {
            let superseded = dispatcher.store.is_superseded(dispatcher.generation).await;
            if matches!(superseded, Ok(true)) {
                dispatcher.phase.send_replace(Phase::Ending);
                return;
            }
            let end = end.clone();
            let written = self
                .entry
                .rewrite(&dispatcher.store, |record| record.end = Some(end))
                .await;
            let Err(error) = written else { return };
            tracing::warn!(%job, %error, ?pause, "the end of the job is written down later");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Watches the workers of a job come, measure and go.
#[derive(Debug)]
struct Watcher {
    dispatcher: Arc<Dispatcher>,
    entry: Arc<JobEntry>,
}

impl WorkerWatcher for Watcher {
    fn is_gone(&self, name: &str) -> bool {
        self.entry.is_gone(name)
    }

    fn measured(&self, worker: WorkerId, measurement: WorkerMeasurement) {
        self.entry.measured(worker, measurement);
    }

    /// A worker that is lost to its driver has no business any more: whatever is left of its process is ended, so that
    /// another takes its place.
    fn lost(&self, worker: WorkerId, name: &str) {
        // Workers of a job manager that ends go on: the next takes them back.
        if *self.dispatcher.phase.borrow() == Phase::Ending {
            return;
        }
        self.entry.worker_detached(worker);
        let Ok(worker) = WorkerName::parse(name) else {
            return;
        };
        self.entry.worker_gone(&worker);
        let Some((task_manager, _)) = name.rsplit_once('-') else {
            return;
        };
        let Ok(task_manager) = TaskManagerId::parse(task_manager) else {
            return;
        };
        // A process that does not react may take long to end. Its place is not kept for so long. If nobody can be told, the
        // end of the process tells.
        let _ = self
            .dispatcher
            .facts
            .try_send(Fact::Happened(ClusterEvent::WorkerEnded {
                task_manager: task_manager.clone(),
                job: self.entry.id().clone(),
                worker: worker.clone(),
                reason: "its process is being ended".to_owned(),
                severity: Severity::Restart,
            }));
        if let Some(link) = self.dispatcher.task_managers.find(&task_manager) {
            // One that takes no orders is lost itself.
            let _ = link.order(Order::StopWorker {
                job: self.entry.id().clone(),
                worker,
            });
        }
    }
}

//! What is known of one job.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_core::{
    JobId, WorkerId, WorkerName, graph::JobGraph, metrics::WorkerMeasurement, plan::ExecutionPlan,
};
use tidegate_driver::{DriverHandle, JobStatus};
use tidegate_proto::{JobEnd, JobRecord};

use super::{checkpoints::CheckpointRing, measurements::Measurements, triggers::Triggers};
use crate::cluster::{
    description,
    store::ClusterStore,
    view::{JobPhase, SavepointOperation, SavepointStatus, StateTimes},
};

/// One job, as long as the job manager lives. Its lock is a leaf.
#[derive(Debug)]
pub(crate) struct JobEntry {
    id: JobId,
    submitted_at_ms: i64,
    graph: Arc<JobGraph>,
    plan: ExecutionPlan,
    slots: u32,
    known: Mutex<Known>,
    /// Held while the record is written, so that records are written in their order.
    writing: tokio::sync::Mutex<()>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) record: JobRecord,
    pub(super) driver: Option<DriverHandle>,
    /// What it is short of.
    pub(super) waits_for: Option<String>,
    /// Workers that are gone for good, by name: should they attach again, they are refused.
    pub(super) gone: HashSet<String>,
    pub(super) measurements: Measurements,
    pub(super) triggers: Triggers,
    pub(super) checkpoints: CheckpointRing,
    /// When it entered which state for the last time.
    pub(super) times: BTreeMap<JobPhase, i64>,
    phase: JobPhase,
}

impl JobEntry {
    /// # Errors
    /// If the graph that was written down cannot be read.
    pub(crate) fn new(record: JobRecord) -> Result<Self, String> {
        let graph = description::read_graph(&record.graph)?;
        let plan = ExecutionPlan::expand(&graph, record.parallelism);
        let mut times = BTreeMap::from([(JobPhase::Created, record.submitted_at_ms)]);
        let mut phase = JobPhase::Created;
        if let Some(end) = &record.end {
            phase = end.kind.into();
            times.insert(phase, end.at_ms);
        }
        Ok(Self {
            id: record.job.clone(),
            submitted_at_ms: record.submitted_at_ms,
            graph: Arc::new(graph),
            slots: description::slots(&plan),
            plan,
            known: Mutex::new(Known {
                record,
                driver: None,
                waits_for: None,
                gone: HashSet::new(),
                measurements: Measurements::default(),
                triggers: Triggers::default(),
                checkpoints: CheckpointRing::default(),
                times,
                phase,
            }),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn id(&self) -> &JobId {
        &self.id
    }

    pub(crate) fn submitted_at_ms(&self) -> i64 {
        self.submitted_at_ms
    }

    pub(crate) fn graph(&self) -> &Arc<JobGraph> {
        &self.graph
    }

    pub(crate) fn plan(&self) -> &ExecutionPlan {
        &self.plan
    }

    /// How many slots it takes.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// What is written down of it.
    pub(crate) fn record(&self) -> JobRecord {
        self.known().record.clone()
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<JobEnd> {
        self.known().record.end.clone()
    }

    /// Its driver, while it is run.
    pub(crate) fn driver(&self) -> Option<DriverHandle> {
        self.known().driver.clone()
    }

    /// Its coordinator's view of it, as of now; `None` before it has one.
    pub(crate) fn status(&self) -> Option<JobStatus> {
        self.driver().map(|driver| driver.status().borrow().clone())
    }

    pub(crate) fn phase(&self) -> JobPhase {
        self.known().phase
    }

    pub(crate) fn set_driver(&self, driver: DriverHandle) {
        self.known().driver = Some(driver);
    }

    pub(crate) fn set_waits_for(&self, reason: Option<String>) {
        self.known().waits_for = reason;
    }

    /// Notes what its coordinator shows.
    pub(crate) fn observe(&self, status: &JobStatus, now_ms: i64, root: &str) {
        let mut known = self.known();
        // It has not ended before that is written down.
        let phase = JobPhase::from(status.state);
        if !phase.is_terminal() {
            known.enter(phase, now_ms);
        }
        known.checkpoints.observe(status, root);
    }

    /// Changes what is written down of it. The change counts once it is durable.
    ///
    /// # Errors
    /// If the store failed; nothing has changed then.
    pub(crate) async fn rewrite(
        &self,
        store: &ClusterStore,
        change: impl FnOnce(&mut JobRecord),
    ) -> Result<(), tidegate_driver::StoreError> {
        let _writing = self.writing.lock().await;
        let mut record = self.record();
        change(&mut record);
        store.write_job(&record).await?;
        let mut known = self.known();
        if let Some(end) = &record.end {
            let (phase, at_ms) = (end.kind.into(), end.at_ms);
            known.enter(phase, at_ms);
        }
        known.record = record;
        Ok(())
    }

    /// A worker's session has ended.
    pub(crate) fn worker_detached(&self, worker: WorkerId) {
        self.known().measurements.forget(worker);
    }

    /// A worker is gone for good.
    pub(crate) fn worker_gone(&self, name: &WorkerName) {
        self.known().gone.insert(name.as_str().to_owned());
    }

    pub(crate) fn is_gone(&self, name: &str) -> bool {
        self.known().gone.contains(name)
    }

    /// What a worker has measured.
    pub(crate) fn measured(&self, worker: WorkerId, measurement: WorkerMeasurement) {
        self.known().measurements.add(worker, measurement);
    }

    /// Begins something that is looked up later; or says how many are under way, if those are too many.
    pub(crate) fn begin_trigger(&self, trigger: &str) -> Result<(), usize> {
        self.known().triggers.begin(trigger)
    }

    pub(crate) fn finish_trigger(&self, trigger: &str, result: SavepointOperation) {
        self.known().triggers.finish(trigger, result);
    }

    pub(crate) fn trigger_status(&self, trigger: &str) -> Option<SavepointStatus> {
        self.known().triggers.status(trigger)
    }

    /// What its workers last said that they have measured.
    pub(crate) fn worker_measurements(&self) -> Vec<WorkerMeasurement> {
        let known = self.known();
        known
            .measurements
            .by_worker()
            .map(|(_, measured)| measured.clone())
            .collect()
    }

    pub(crate) fn state_times(&self) -> StateTimes {
        let known = self.known();
        known
            .times
            .iter()
            .map(|(phase, at)| (phase.to_string(), *at))
            .collect()
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing under the lock leaves what it guards half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn enter(&mut self, phase: JobPhase, now_ms: i64) {
        if self.phase != phase {
            self.phase = phase;
            self.times.insert(phase, now_ms);
        }
    }
}

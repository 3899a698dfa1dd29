//! Workers that count, and a ledger of what they publish.
//!
//! Every task counts from 0 to a limit, some steps per checkpoint, stages what it counted, and publishes it when told to
//! commit. Whatever happens, the ledger must hold every number once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use tidegate_core::{
    Attempt, CheckpointId, Epoch, EventTime, Holdup, KeySpace, Lineage, NodeId, Severity, TaskError, TaskId,
    VertexId, WorkerName,
    control::{
        Deployment, Manifest, OperatorSnapshot, Placement, Segment, SegmentContent, SegmentLocation,
        SnapshotTimings, TaskSnapshot, WorkerOrder, WorkerReport, WorkerSnapshot,
    },
    graph::{GraphInput, GraphNode, JobGraph, NodeKind, Partitioning},
    layout,
    sink::Committable,
    snapshot::OperatorState,
};
use tidegate_driver::{
    CheckpointSettings, Driver, DriverError, DriverHandle, DriverOptions, JobDescription, JobStore, Newcomer,
    ORDER_CAPACITY, Outcome, ReportSender, RequirementSetting, RestartSettings,
};
use tokio::{sync::mpsc, task::JoinHandle};

pub(crate) const LIMIT: u64 = 20;
pub(crate) const STEP: u64 = 3;

/// (lineage, epoch, task) → the numbers from..to.
type Published = BTreeMap<(Lineage, Epoch, u32), (u64, u64)>;

/// What has become visible.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Published>>);

impl Ledger {
    fn publish(&self, lineage: &Lineage, epoch: Epoch, task: u32, range: (u64, u64)) {
        let before = self
            .0
            .lock()
            .unwrap()
            .insert((lineage.clone(), epoch, task), range);
        assert!(
            before.is_none_or(|before| before == range),
            "epoch {epoch} of task {task} was published as {before:?} and as {range:?}"
        );
    }

    /// Checks that each task's numbers follow one another without gap or overlap, and says how far they go.
    pub(crate) fn counted(&self, lineage: &Lineage, from: u64) -> Vec<u64> {
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        for ((of, epoch, task), (start, end)) in &*self.0.lock().unwrap() {
            if of == lineage {
                let next = next.entry(*task).or_insert(from);
                assert_eq!(*next, *start, "task {task} at epoch {epoch}");
                *next = *end;
            }
        }
        next.into_values().collect()
    }

    pub(crate) fn lineages(&self) -> Vec<Lineage> {
        let mut lineages: Vec<_> = self.0.lock().unwrap().keys().map(|key| key.0.clone()).collect();
        lineages.dedup();
        lineages
    }

    /// Everything was counted to the end, once, in one lineage.
    pub(crate) fn assert_complete(&self) {
        let lineages = self.lineages();
        assert_eq!(lineages.len(), 1);
        assert_eq!(self.counted(&lineages[0], 0), [LIMIT, LIMIT]);
    }
}

/// What a worker is made to do.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Behaviour {
    /// Never ends; counts on for ever.
    pub(crate) endless: bool,
    /// A task fails after this checkpoint was triggered in the first attempt.
    pub(crate) fails_at: Option<u64>,
    /// Declines this checkpoint.
    pub(crate) declines: Option<u64>,
}

struct Worker {
    store: JobStore,
    ledger: Ledger,
    behaviour: Behaviour,
    reports: ReportSender,
    attempt: Attempt,
    first_attempt: Option<Attempt>,
    lineage: Lineage,
    tasks: Vec<Counting>,
}

struct Counting {
    task: TaskId,
    position: u64,
    staged_from: u64,
    prepared: HashMap<CheckpointId, (u64, u64)>,
}

impl Worker {
    async fn run(mut self, mut orders: mpsc::Receiver<WorkerOrder>) {
        while let Some(order) = orders.recv().await {
            for report in self.obey(order).await {
                if self.reports.send(report).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn obey(&mut self, order: WorkerOrder) -> Vec<WorkerReport> {
        match order {
            WorkerOrder::Deploy(deployment) => {
                self.deploy(&deployment);
                let attempt = self.attempt;
                vec![WorkerReport::Deployed { attempt }]
            }
            WorkerOrder::Start { .. } => self.ended(),
            WorkerOrder::Trigger { barrier, .. } => {
                self.snapshot(barrier.checkpoint, barrier.kind.is_full()).await
            }
            WorkerOrder::Commit {
                checkpoint, epoch, ..
            } => {
                for task in &mut self.tasks {
                    let range = task.prepared[&checkpoint];
                    self.ledger.publish(&self.lineage, epoch, task.task.index, range);
                    task.staged_from = range.1;
                }
                let attempt = self.attempt;
                let mut reports = vec![WorkerReport::Committed { attempt, checkpoint }];
                reports.extend(self.ended());
                reports
            }
            WorkerOrder::Stop { attempt } => vec![WorkerReport::Stopped { attempt }],
            WorkerOrder::Explain { attempt, checkpoint } => vec![WorkerReport::Explained {
                attempt,
                checkpoint,
                holdup: Holdup::Segments,
            }],
            WorkerOrder::Abort { .. } | WorkerOrder::AssignSplits { .. } => vec![],
        }
    }

    fn ended(&self) -> Vec<WorkerReport> {
        let ended = self.tasks.iter().all(|task| task.position >= LIMIT) && !self.behaviour.endless;
        let attempt = self.attempt;
        ended
            .then_some(WorkerReport::Ended { attempt })
            .into_iter()
            .collect()
    }

    fn deploy(&mut self, deployment: &Deployment) {
        self.attempt = deployment.attempt;
        self.first_attempt.get_or_insert(deployment.attempt);
        self.lineage = deployment.lineage.clone();
        let placement = Placement::of_seats(&deployment.seats);
        self.tasks = (0..deployment.default_parallelism)
            .map(|index| TaskId {
                vertex: VertexId(0),
                index,
            })
            .filter(|task| placement.of(*task).0 == self.reports.worker())
            .map(|task| Counting {
                task,
                position: 0,
                staged_from: 0,
                prepared: HashMap::new(),
            })
            .collect();
        if let Some(manifest) = &deployment.restore {
            self.restore(manifest);
        }
    }

    fn restore(&mut self, manifest: &Manifest) {
        for task in &mut self.tasks {
            let snapshot = manifest
                .tasks
                .iter()
                .find(|snapshot| snapshot.task == task.task)
                .unwrap();
            let (_, operator) = &snapshot.operators[0];
            task.position = number(&operator.states[0].bytes);
            task.staged_from = task.position;
            for committable in &operator.committables {
                let range = (number(&committable.0[..8]), number(&committable.0[8..]));
                self.ledger
                    .publish(&manifest.lineage, manifest.epoch, task.task.index, range);
            }
        }
    }

    async fn snapshot(&mut self, checkpoint: CheckpointId, full: bool) -> Vec<WorkerReport> {
        let attempt = self.attempt;
        if self.behaviour.declines == Some(checkpoint.0) {
            let reason = "told to".into();
            return vec![WorkerReport::Declined {
                attempt,
                checkpoint,
                reason,
            }];
        }
        if self.behaviour.fails_at.is_some_and(|at| at <= checkpoint.0) && self.first_attempt == Some(attempt)
        {
            let error = TaskError {
                task: self.tasks[0].task,
                task_name: "counting".into(),
                operator: None,
                message: "told to fail".into(),
                severity: Severity::Restart,
            };
            return vec![WorkerReport::Failed { attempt, error }];
        }
        let object = layout::segment(checkpoint, attempt, self.reports.worker(), 0);
        self.store.put(&object, format!("{full}")).await.unwrap();
        let segment = Segment {
            location: SegmentLocation::Object(object),
            size: 5,
            checkpoint,
            contents: vec![SegmentContent {
                operator: "n0".into(),
                state: "s".into(),
                base: self
                    .tasks
                    .iter()
                    .map(|t| tidegate_core::KeyGroup(t.task.index as u16))
                    .collect(),
                delta: Default::default(),
            }],
        };
        let tasks = self
            .tasks
            .iter_mut()
            .map(|task| task.snapshot(checkpoint, self.behaviour))
            .collect();
        let snapshot = Box::new(WorkerSnapshot {
            segments: vec![segment],
            tasks,
        });
        vec![WorkerReport::Acknowledged {
            attempt,
            checkpoint,
            snapshot,
        }]
    }
}

impl Counting {
    fn snapshot(&mut self, checkpoint: CheckpointId, behaviour: Behaviour) -> TaskSnapshot {
        let limit = if behaviour.endless { u64::MAX } else { LIMIT };
        self.position = (self.position + STEP).min(limit);
        let range = (self.staged_from, self.position);
        self.prepared.insert(checkpoint, range);
        let committable = [range.0.to_le_bytes(), range.1.to_le_bytes()].concat();
        let operator = OperatorSnapshot {
            states: vec![OperatorState {
                name: "position".into(),
                schema: None,
                bytes: self.position.to_le_bytes().to_vec(),
            }],
            committables: vec![Committable(committable)],
            ..OperatorSnapshot::default()
        };
        TaskSnapshot {
            task: self.task,
            watermark: EventTime::MIN,
            ended: self.position >= limit,
            operators: vec![("n0".into(), operator)],
            timings: SnapshotTimings::default(),
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

pub(crate) fn job() -> JobDescription {
    let node = |id, kind, inputs| GraphNode {
        id: NodeId(id),
        name: format!("n{id}"),
        uid: format!("n{id}").as_str().into(),
        named: true,
        kind,
        parallelism: None,
        inputs,
    };
    let input = GraphInput {
        from: NodeId(0),
        port: 0,
        partitioning: Partitioning::Forward,
        slot: 0,
        blocking: false,
    };
    JobDescription {
        job: "counting".into(),
        graph: Arc::new(JobGraph {
            name: "counting".into(),
            space: KeySpace::DEFAULT,
            nodes: vec![
                node(0, NodeKind::Source, vec![]),
                node(1, NodeKind::Sink, vec![input]),
            ],
        }),
        default_parallelism: None,
        arguments: vec![],
    }
}

pub(crate) fn options() -> DriverOptions {
    DriverOptions {
        requirement: RequirementSetting::Workers(2),
        checkpoints: CheckpointSettings {
            interval: Duration::from_millis(2),
            ..CheckpointSettings::default()
        },
        restart: RestartSettings::FixedDelay {
            delay: Duration::from_millis(1),
            attempts: 3,
        },
        ..DriverOptions::default()
    }
}

/// One process: a driver and two workers.
pub(crate) struct Process {
    pub(crate) handle: DriverHandle,
    driver: JoinHandle<Result<Outcome, DriverError>>,
    workers: Vec<JoinHandle<()>>,
    /// The number in the name of the next worker: no two have the same.
    next_worker: u64,
}

impl Process {
    pub(crate) async fn start(
        options: DriverOptions,
        store: &JobStore,
        ledger: &Ledger,
        behaviour: Behaviour,
    ) -> Self {
        let (driver, handle) = Driver::new(options, job(), store.clone());
        let driver = tokio::spawn(driver.run());
        let mut process = Self {
            handle,
            driver,
            workers: vec![],
            next_worker: 0,
        };
        for _ in 0..2 {
            process.add_worker(store, ledger, behaviour).await;
        }
        process
    }

    pub(crate) async fn add_worker(&mut self, store: &JobStore, ledger: &Ledger, behaviour: Behaviour) {
        let (orders, queue) = mpsc::channel(ORDER_CAPACITY);
        // A driver that has ended already needs no workers.
        self.next_worker += 1;
        let newcomer = Newcomer {
            name: WorkerName::parse(&format!("worker-{}", self.next_worker)).expect("a valid name"),
            slots: 1,
            data: None,
            running: None,
        };
        let Ok((_, reports)) = self.handle.attach_worker(newcomer, orders).await else {
            return;
        };
        let worker = Worker {
            store: store.clone(),
            ledger: ledger.clone(),
            behaviour,
            reports,
            attempt: Attempt(0),
            first_attempt: None,
            lineage: "none".into(),
            tasks: vec![],
        };
        self.workers.push(tokio::spawn(worker.run(queue)));
    }

    /// Waits for the end of the driver and of its workers.
    pub(crate) async fn end(self) -> Result<Outcome, DriverError> {
        let result = self.driver.await.unwrap();
        drop(self.handle);
        for worker in self.workers {
            worker.await.unwrap();
        }
        result
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&tidegate_driver::JobStatus) -> bool) {
        self.handle.status().wait_for(wanted).await.unwrap();
    }

    /// Waits until the tail is after `epoch`.
    pub(crate) async fn epoch_after(&self, epoch: Epoch) -> Epoch {
        self.until(|status| status.epoch > Some(epoch)).await;
        self.handle.status().borrow().epoch.unwrap()
    }

    /// Ends one worker without a word.
    pub(crate) fn kill_worker(&self, index: usize) {
        self.workers[index].abort();
    }

    pub(crate) fn forget_worker(&mut self, index: usize) {
        drop(self.workers.remove(index));
    }
}

pub(crate) async fn run(
    options: DriverOptions,
    store: &JobStore,
    ledger: &Ledger,
    behaviour: Behaviour,
) -> Result<Outcome, DriverError> {
    Process::start(options, store, ledger, behaviour)
        .await
        .end()
        .await
}

pub(crate) fn memory() -> JobStore {
    JobStore::open("memory://job").unwrap()
}

/// Everything that lies in a store and can be told to be needed, is; and nothing else lies there.
pub(crate) async fn assert_clean(store: &JobStore) {
    let kept = tidegate_driver::list_checkpoints(store).await.unwrap();
    let mut checkpoints: Vec<_> = kept.iter().filter_map(|summary| summary.checkpoint).collect();
    checkpoints.dedup();
    assert!(checkpoints.len() <= 2, "two are retained");
    let manifests = store.list(layout::CHECKPOINTS).await.unwrap();
    let found: Vec<_> = manifests
        .iter()
        .map(|name| layout::parse_manifest(name).unwrap().0)
        .collect();
    assert_eq!(found, checkpoints);
    assert_eq!(store.list(layout::EPOCHS).await.unwrap().len(), kept.len());
    let mut referenced = BTreeSet::new();
    for name in manifests {
        let bytes = store.get(&name).await.unwrap().unwrap();
        let manifest: Manifest = tidegate_proto::decode(&name, &bytes).unwrap();
        for segment in manifest.segments {
            if let SegmentLocation::Object(object) = segment.location {
                referenced.insert(object);
            }
        }
    }
    let segments = store.list(layout::SEGMENTS).await.unwrap();
    assert_eq!(segments, referenced.into_iter().collect::<Vec<_>>());
}

//! A worker that counts: some steps per checkpoint, staged, and published when told to commit.

use std::collections::{BTreeSet, HashMap};

use tidegate_core::{
    Attempt, AttemptPhase, CheckpointId, EventTime, Generation, KeyGroup, Lineage, RunningAttempt, TaskId,
    VertexId, WorkerId,
    control::{
        Deployment, Manifest, OperatorSnapshot, Placement, Segment, SegmentContent, SegmentLocation,
        SnapshotTimings, TaskSnapshot, WorkerSnapshot,
    },
    layout,
    sink::Committable,
    snapshot::OperatorState,
};

pub(crate) const LIMIT: u64 = 60;
const STEP: u64 = 3;

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) attempt: Attempt,
    pub(crate) generation: Generation,
    pub(crate) lineage: Lineage,
    phase: AttemptPhase,
    claimed: Option<CheckpointId>,
    acknowledged: BTreeSet<CheckpointId>,
    newest: Option<CheckpointId>,
    parallelism: u32,
    seats: Vec<WorkerId>,
    tasks: Vec<Counting>,
}

struct Counting {
    task: TaskId,
    position: u64,
    staged_from: u64,
    prepared: HashMap<CheckpointId, (u64, u64)>,
}

/// What a worker publishes: task and range.
pub(crate) type Staged = Vec<(TaskId, (u64, u64))>;

impl Worker {
    pub(crate) fn new(id: WorkerId) -> Self {
        Self {
            id,
            attempt: Attempt(0),
            generation: Generation(0),
            lineage: "none".into(),
            phase: AttemptPhase::Broken,
            claimed: None,
            acknowledged: BTreeSet::new(),
            newest: None,
            parallelism: 0,
            seats: vec![],
            tasks: vec![],
        }
    }

    /// Puts tasks in place; answers with what the restored checkpoint had staged.
    pub(crate) fn deploy(&mut self, deployment: &Deployment) -> Staged {
        self.attempt = deployment.attempt;
        self.generation = deployment.generation;
        self.lineage = deployment.lineage.clone();
        self.phase = AttemptPhase::Deployed;
        self.claimed = deployment.restore.as_ref().map(|manifest| manifest.checkpoint);
        self.acknowledged.clear();
        self.newest = self.claimed;
        self.parallelism = deployment.default_parallelism;
        self.seats = deployment.seats.clone();
        let placement = Placement::of_seats(&deployment.seats);
        self.tasks = (0..deployment.default_parallelism)
            .map(|index| TaskId {
                vertex: VertexId(0),
                index,
            })
            .filter(|task| placement.of(*task).0 == self.id)
            .map(|task| Counting {
                task,
                position: 0,
                staged_from: 0,
                prepared: HashMap::new(),
            })
            .collect();
        match &deployment.restore {
            Some(manifest) => self.restore(manifest),
            None => vec![],
        }
    }

    fn restore(&mut self, manifest: &Manifest) -> Staged {
        let mut staged = vec![];
        for task in &mut self.tasks {
            let at = manifest
                .tasks
                .binary_search_by_key(&task.task, |snapshot| snapshot.task)
                .expect("every task is in the manifest");
            let (_, operator) = &manifest.tasks[at].operators[0];
            task.position = number(&operator.states[0].bytes);
            task.staged_from = task.position;
            let range = &operator.committables[0].0;
            staged.push((task.task, (number(&range[..8]), number(&range[8..]))));
        }
        staged
    }

    pub(crate) fn start(&mut self) {
        self.phase = AttemptPhase::Running;
    }

    pub(crate) fn stop(&mut self) {
        self.phase = AttemptPhase::Broken;
        self.tasks.clear();
        self.seats.clear();
    }

    pub(crate) fn fail(&mut self) {
        self.phase = AttemptPhase::Broken;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == AttemptPhase::Running
    }

    pub(crate) fn acknowledge(&mut self, checkpoint: CheckpointId) {
        self.acknowledged.insert(checkpoint);
    }

    pub(crate) fn abort(&mut self, checkpoint: CheckpointId) {
        self.acknowledged.remove(&checkpoint);
        self.newest = self.newest.max(Some(checkpoint));
    }

    /// A coordinator gives orders: from now on it leads.
    pub(crate) fn led_by(&mut self, generation: Generation) {
        self.generation = self.generation.max(generation);
    }

    /// What it runs, as it says when it attaches again.
    pub(crate) fn running_attempt(&self) -> Option<RunningAttempt> {
        let ended = self.phase == AttemptPhase::Running && self.has_ended();
        (!self.seats.is_empty()).then(|| RunningAttempt {
            generation: self.generation,
            attempt: self.attempt,
            worker: self.id,
            phase: if ended { AttemptPhase::Ended } else { self.phase },
            claimed: self.claimed,
            acknowledged: self.acknowledged.iter().copied().collect(),
            newest: self.newest,
            lineage: self.lineage.clone(),
            default_parallelism: self.parallelism,
            seats: self.seats.clone(),
        })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.tasks.iter().all(|task| task.position >= LIMIT)
    }

    /// Takes part in a checkpoint; the named segment must be made durable before this is sent.
    pub(crate) fn snapshot(&mut self, checkpoint: CheckpointId) -> (String, WorkerSnapshot) {
        self.newest = self.newest.max(Some(checkpoint));
        let object = layout::segment(checkpoint, self.attempt, self.id, 0);
        let rewritten = KeyGroup(((checkpoint.0 % 4 + 4 * u64::from(self.id.0)) % 1024) as u16);
        let segment = Segment {
            location: SegmentLocation::Object(object.clone()),
            size: 1,
            checkpoint,
            contents: vec![SegmentContent {
                operator: "n0".into(),
                state: "s".into(),
                base: [rewritten].into_iter().collect(),
                delta: Default::default(),
            }],
        };
        let tasks = self
            .tasks
            .iter_mut()
            .map(|task| task.snapshot(checkpoint))
            .collect();
        let snapshot = WorkerSnapshot {
            segments: vec![segment],
            tasks,
        };
        (object, snapshot)
    }

    /// What is staged for a checkpoint that has become an epoch.
    /// Nothing if it is the restored one, which was published when it was restored.
    pub(crate) fn commit(&mut self, checkpoint: CheckpointId) -> Staged {
        self.claimed = self.claimed.max(Some(checkpoint));
        self.acknowledged
            .retain(|acknowledged| *acknowledged > checkpoint);
        let committed = self.tasks.iter_mut().filter_map(|task| {
            let range = *task.prepared.get(&checkpoint)?;
            task.staged_from = task.staged_from.max(range.1);
            Some((task.task, range))
        });
        committed.collect()
    }
}

impl Counting {
    fn snapshot(&mut self, checkpoint: CheckpointId) -> TaskSnapshot {
        self.position = (self.position + STEP).min(LIMIT);
        let range = (self.staged_from, self.position);
        self.prepared.insert(checkpoint, range);
        let operator = OperatorSnapshot {
            states: vec![OperatorState {
                name: "position".into(),
                schema: None,
                bytes: self.position.to_le_bytes().to_vec(),
            }],
            committables: vec![Committable(
                [range.0.to_le_bytes(), range.1.to_le_bytes()].concat(),
            )],
            ..OperatorSnapshot::default()
        };
        TaskSnapshot {
            task: self.task,
            watermark: EventTime::MIN,
            ended: self.position >= LIMIT,
            operators: vec![("n0".into(), operator)],
            timings: SnapshotTimings::default(),
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

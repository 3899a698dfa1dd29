//! What coordinator and workers say to each other, and what they leave in the store.

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

pub use crate::live_segments::live_segments;
use crate::{
    error::TaskError,
    holdup::Holdup,
    id::{Attempt, CheckpointId, Epoch, Generation, JobId, Lineage, NodeId, OperatorUid, TaskId, WorkerId},
    key::{KeyGroup, KeySpace},
    output::{Barrier, BarrierKind},
    sink::Committable,
    snapshot::{OperatorState, Schema},
    source::Split,
    time::EventTime,
};

/// A set of key groups.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupSet {
    words: Vec<u64>,
}

impl GroupSet {
    /// Adds a key group.
    pub fn insert(&mut self, group: KeyGroup) {
        let word = usize::from(group.0) / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (group.0 % 64);
    }

    /// Whether a key group is in the set.
    pub fn contains(&self, group: KeyGroup) -> bool {
        self.words
            .get(usize::from(group.0) / 64)
            .is_some_and(|word| word & (1 << (group.0 % 64)) != 0)
    }

    /// The key groups in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyGroup> + '_ {
        (0..self.words.len() * 64)
            .map(|group| KeyGroup(group as u16))
            .filter(|group| self.contains(*group))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether any key group of this set is not in `other`.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.words
            .iter()
            .enumerate()
            .any(|(i, word)| word & !other.words.get(i).copied().unwrap_or(0) != 0)
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// The bits, 64 key groups a word.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// A set from its bits.
    pub fn from_words(words: Vec<u64>) -> Self {
        Self { words }
    }
}

impl FromIterator<KeyGroup> for GroupSet {
    fn from_iter<I: IntoIterator<Item = KeyGroup>>(groups: I) -> Self {
        let mut set = Self::default();
        groups.into_iter().for_each(|group| set.insert(group));
        set
    }
}

impl fmt::Debug for GroupSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|group| group.0)).finish()
    }
}

/// Where a segment's bytes are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SegmentLocation {
    /// In an object, named relative to the job's root.
    Object(String),
    /// In the manifest itself: small snapshots travel with the acknowledgement.
    Inline(Vec<u8>),
}

/// Which blocks of one state a segment holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentContent {
    /// The operator.
    pub operator: OperatorUid,
    /// The state within it.
    pub state: String,
    /// The key groups that are written whole.
    pub base: GroupSet,
    /// The key groups of which changes are written.
    pub delta: GroupSet,
}

/// A segment: an immutable pack of state blocks that one worker wrote for one checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Where it is.
    pub location: SegmentLocation,
    /// Its size in bytes.
    pub size: u64,
    /// The checkpoint it was written for: segments replay in this order.
    pub checkpoint: CheckpointId,
    /// What it holds.
    pub contents: Vec<SegmentContent>,
}

/// One operator's part of a task's snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OperatorSnapshot {
    /// State that is not keyed.
    pub states: Vec<OperatorState>,
    /// The schemas of its keyed states.
    pub keyed_schemas: Vec<Schema>,
    /// What a sink staged, to be published when the checkpoint is claimed.
    pub committables: Vec<Committable>,
    /// The positions of a source's splits.
    pub splits: Vec<Split>,
}

/// How a task came through a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SnapshotTimings {
    /// From the first barrier to the last, in microseconds.
    pub alignment_us: u64,
    /// In which processing stood still, in microseconds.
    pub sync_us: u64,
    /// From the freeze until everything was serialised, in microseconds.
    pub scan_us: u64,
    /// From when all tasks of the worker were serialised until what they wrote was durable, in microseconds.
    pub upload_us: u64,
    /// How much state the task wrote, in bytes.
    pub written_bytes: u64,
}

/// The snapshot of one task, without its keyed state, which is in segments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskSnapshot {
    /// The task.
    pub task: TaskId,
    /// Its input watermark.
    pub watermark: EventTime,
    /// Whether all its input had ended.
    pub ended: bool,
    /// Its operators.
    pub operators: Vec<(OperatorUid, OperatorSnapshot)>,
    /// How it came through.
    pub timings: SnapshotTimings,
}

/// Everything one worker contributes to a checkpoint. Durable when it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// New segments.
    pub segments: Vec<Segment>,
    /// All tasks of the worker.
    pub tasks: Vec<TaskSnapshot>,
}

/// A whole checkpoint: everything that is needed to restore it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The job it is of.
    pub job: JobId,
    /// Under which generation it was written.
    pub generation: Generation,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The epoch that it was written to become.
    pub epoch: Epoch,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Why it was taken.
    pub kind: BarrierKind,
    /// Whether every task had ended: restoring it, there is nothing left to do but to commit.
    pub finished: bool,
    /// The job's key groups; a job cannot change them.
    pub space: KeySpace,
    /// The graph it was taken of.
    pub graph_fingerprint: u64,
    /// The program arguments of the run, to warn when they change.
    pub arguments: Vec<String>,
    /// When it was written, in milliseconds since the Unix epoch.
    pub written_at_ms: i64,
    /// All segments that a restore replays, oldest first.
    pub segments: Vec<Segment>,
    /// The tasks' snapshots.
    pub tasks: Vec<TaskSnapshot>,
}

/// A worker's address and room, as all of a job's workers know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerAddress {
    /// The worker.
    pub worker: WorkerId,
    /// How many slots it has.
    pub slots: u32,
    /// Where it takes data connections; a job with one worker needs none.
    pub data: Option<SocketAddr>,
}

/// One message that puts a worker's whole share of a job in place. The worker expands its own tasks: placement is a
/// function of the plan and the list of seats ([`Placement`]).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// The job.
    pub job: JobId,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// Who gives the order.
    pub generation: Generation,
    /// The attempt that begins.
    pub attempt: Attempt,
    /// The graph that all agree on.
    pub graph_fingerprint: u64,
    /// The parallelism of operators that do not say otherwise.
    pub default_parallelism: u32,
    /// All workers, in the order of their ids.
    pub workers: Vec<WorkerAddress>,
    /// The job's slots in order, each as the worker that has it; the first of a worker is its slot 0.
    pub seats: Vec<WorkerId>,
    /// What to restore; `None` on a fresh start.
    pub restore: Option<Arc<Manifest>>,
    /// Whether state that no operator claims is dropped rather than refused.
    pub allow_non_restored_state: bool,
}

/// Where tasks run: task *i* of every vertex in seat *i* modulo the number of seats, so that forward edges stay on their
/// thread. A seat is a slot of a worker. When a worker is replaced, its seats are given to others and all others keep theirs,
/// so that no task of theirs moves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    seats: Vec<(WorkerId, u32)>,
}

impl Placement {
    /// Spreads over the workers' slots in rounds: first slot of each worker, then the second of each, …
    pub fn new(workers: &[WorkerAddress]) -> Self {
        let most = workers.iter().map(|worker| worker.slots).max().unwrap_or(0);
        let seats = (0..most)
            .flat_map(|slot| {
                workers
                    .iter()
                    .filter(move |w| slot < w.slots)
                    .map(move |w| (w.worker, slot))
            })
            .collect();
        Self { seats }
    }

    /// The seats as a deployment lists them.
    pub fn of_seats(seats: &[WorkerId]) -> Self {
        let mut next: HashMap<WorkerId, u32> = HashMap::new();
        let seats = seats.iter().map(|worker| {
            let slot = next.entry(*worker).or_insert(0);
            *slot += 1;
            (*worker, *slot - 1)
        });
        Self {
            seats: seats.collect(),
        }
    }

    /// The seats in order, each as the worker that has it.
    pub fn seats(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.seats.iter().map(|(worker, _)| *worker)
    }

    /// How many slots there are in all.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.seats.len()).unwrap_or(u32::MAX)
    }

    /// The worker and the slot on it of a task.
    ///
    /// # Panics
    /// If there is no slot at all.
    pub fn of(&self, task: TaskId) -> (WorkerId, u32) {
        self.seats[task.index as usize % self.seats.len()]
    }
}

/// What the coordinator tells a worker. Orders of an attempt other than the current one are ignored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WorkerOrder {
    /// Put tasks in place, restore them, commit again what the restored checkpoint had staged, then answer
    /// [`WorkerReport::Deployed`]. Sources stay still until [`Start`](Self::Start).
    Deploy(Box<Deployment>),
    /// Every worker has deployed: sources may read.
    Start {
        /// The attempt.
        attempt: Attempt,
    },
    /// The splits of a source that has discovered them; each task takes its own.
    AssignSplits {
        /// The attempt.
        attempt: Attempt,
        /// The source.
        node: NodeId,
        /// All splits.
        splits: Vec<Split>,
    },
    /// Start a checkpoint.
    Trigger {
        /// The attempt.
        attempt: Attempt,
        /// The dividing line.
        barrier: Barrier,
    },
    /// A checkpoint is overdue: answer [`WorkerReport::Explained`] soon, whether or not everything is known by then.
    Explain {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A checkpoint will not come to be: forget it.
    Abort {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A checkpoint has been claimed: publish what was staged for it, then answer [`WorkerReport::Committed`].
    Commit {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The epoch it has become.
        epoch: Epoch,
    },
    /// End all tasks, then answer [`WorkerReport::Stopped`].
    Stop {
        /// The attempt.
        attempt: Attempt,
    },
}

impl WorkerOrder {
    /// The attempt it is for.
    pub fn attempt(&self) -> Attempt {
        match self {
            Self::Deploy(deployment) => deployment.attempt,
            Self::Start { attempt }
            | Self::AssignSplits { attempt, .. }
            | Self::Trigger { attempt, .. }
            | Self::Explain { attempt, .. }
            | Self::Abort { attempt, .. }
            | Self::Commit { attempt, .. }
            | Self::Stop { attempt } => *attempt,
        }
    }
}

/// What a worker tells the coordinator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WorkerReport {
    /// All tasks are in place and restored, and what the restored checkpoint staged is published.
    Deployed {
        /// The attempt.
        attempt: Attempt,
    },
    /// Task 0 of a source has found its splits.
    SplitsDiscovered {
        /// The attempt.
        attempt: Attempt,
        /// The source.
        node: NodeId,
        /// What it found.
        splits: Vec<Split>,
    },
    /// All of the worker's tasks have come to the end of their input.
    Ended {
        /// The attempt.
        attempt: Attempt,
    },
    /// The worker's part of a checkpoint is durable.
    Acknowledged {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What it wrote.
        snapshot: Box<WorkerSnapshot>,
    },
    /// The worker could not do its part of a checkpoint; its tasks go on.
    Declined {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which task, which channel, why.
        reason: String,
    },
    /// What the worker's part of an overdue checkpoint waits for.
    Explained {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What it waits for.
        holdup: Holdup,
    },
    /// Everything staged for a claimed checkpoint is published.
    Committed {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A commit was tried and did not succeed; the worker goes on trying.
    CommitRetrying {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        reason: String,
    },
    /// A task has failed. The worker's other tasks run on until they are stopped.
    Failed {
        /// The attempt.
        attempt: Attempt,
        /// Which and why.
        error: TaskError,
    },
    /// All tasks of the attempt are gone.
    Stopped {
        /// The attempt.
        attempt: Attempt,
    },
}

impl WorkerReport {
    /// The attempt it speaks of.
    pub fn attempt(&self) -> Attempt {
        match self {
            Self::Deployed { attempt }
            | Self::SplitsDiscovered { attempt, .. }
            | Self::Ended { attempt }
            | Self::Acknowledged { attempt, .. }
            | Self::Declined { attempt, .. }
            | Self::Explained { attempt, .. }
            | Self::Committed { attempt, .. }
            | Self::CommitRetrying { attempt, .. }
            | Self::Failed { attempt, .. }
            | Self::Stopped { attempt } => *attempt,
        }
    }
}

//! The checkpoint in flight: trigger, acknowledgements, candidate, abort.
//!
//! There is at most one, and the next is triggered only when the commit of the one before has been answered.
//!
//! ```text
//! Idle ─trigger─▶ Collecting ─all acknowledged─▶ Writing ─durable─▶ Claiming ─ours─▶ Committing ─all answered─▶ Idle
//!   ▲                 │ declined    │ timed out     │ failed, timed out   │ taken
//!   │                 │             ▼               │                     └▶ fenced, or back to the winner's state
//!   └──── abort ──────┴────────── Overdue ──────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tidegate_core::{
    Barrier, BarrierKind, CheckpointId, Epoch, ProcessingTime, WorkerId,
    bug::{Bug, is_seeded},
    control::{Manifest, WorkerOrder, WorkerSnapshot, live_segments},
    epoch::EpochRecord,
};

use crate::{
    assembly::collect_tasks,
    command::{Command, Notice, SavepointError},
    coordinator::{Coordinator, Phase, Running, Wanted},
    event::RequestId,
    overdue::Inquiry,
    status::CheckpointFailure,
};

/// How long to wait at least before something urgent that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Where the checkpoint in flight is.
#[derive(Debug)]
pub(crate) enum Checkpointing {
    /// There is none.
    Idle {
        /// When the next is due by the interval.
        regular_at: ProcessingTime,
        /// From when on one may be triggered for another reason.
        urgent_at: ProcessingTime,
    },
    /// Barriers are on their way.
    Collecting {
        trigger: Trigger,
        acknowledged: BTreeMap<WorkerId, WorkerSnapshot>,
    },
    /// Barriers took too long; those who owe their part are asked why.
    Overdue { trigger: Trigger, inquiry: Inquiry },
    /// The candidate is being written.
    Writing(Box<Candidate>),
    /// The epoch is being claimed; whether it is ours is open until the store has answered.
    Claiming {
        candidate: Box<Candidate>,
        record: Box<EpochRecord>,
    },
    /// It is the tail; workers publish what was staged.
    Committing {
        trigger: Trigger,
        waiting: BTreeSet<WorkerId>,
    },
}

/// What a checkpoint was triggered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trigger {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) kind: BarrierKind,
    pub(crate) at: ProcessingTime,
    /// The savepoint that it is for.
    pub(crate) savepoint: Option<(RequestId, String)>,
}

/// A checkpoint that all workers have acknowledged.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) trigger: Trigger,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) acknowledged_after: Duration,
    pub(crate) written_bytes: u64,
}

impl Checkpointing {
    /// The checkpoint in flight, and since when.
    pub(crate) fn pending(&self) -> Option<(CheckpointId, ProcessingTime)> {
        let trigger = match self {
            Self::Idle { .. } => return None,
            Self::Collecting { trigger, .. }
            | Self::Overdue { trigger, .. }
            | Self::Committing { trigger, .. } => trigger,
            Self::Writing(candidate) | Self::Claiming { candidate, .. } => &candidate.trigger,
        };
        Some((trigger.checkpoint, trigger.at))
    }

    /// What can still be aborted.
    fn abortable(&self) -> Option<&Trigger> {
        match self {
            Self::Collecting { trigger, .. } | Self::Overdue { trigger, .. } => Some(trigger),
            Self::Writing(candidate) => Some(&candidate.trigger),
            _ => None,
        }
    }
}

impl Coordinator {
    pub(crate) fn checkpoint_wakeup(&self, running: &Running) -> Option<ProcessingTime> {
        match &running.checkpointing {
            Checkpointing::Idle {
                regular_at,
                urgent_at,
            } => Some(match self.urgent(running) {
                Some(_) => *urgent_at,
                None => *regular_at,
            }),
            Checkpointing::Overdue { inquiry, .. } => Some(inquiry.until),
            other => other
                .abortable()
                .map(|trigger| trigger.at.after(self.options.checkpoints.timeout)),
        }
    }

    /// Why a checkpoint should be taken before its time.
    fn urgent(&self, running: &Running) -> Option<BarrierKind> {
        match &self.wanted {
            Wanted::Suspend {
                savepoint: Some(_), ..
            } => Some(BarrierKind::SuspendWithSavepoint),
            Wanted::Suspend { savepoint: None, .. } => Some(BarrierKind::Suspend),
            Wanted::Cancel { .. } => None,
            Wanted::Run if !self.savepoints.is_empty() => Some(BarrierKind::Savepoint),
            Wanted::Run => {
                let wanted = self.checkpoint_requested || running.ended == running.members;
                wanted.then_some(BarrierKind::Checkpoint)
            }
        }
    }

    pub(crate) fn trigger_if_due(&mut self, now: ProcessingTime) {
        let Phase::Running(running) = &self.phase else {
            return;
        };
        let Checkpointing::Idle {
            regular_at,
            urgent_at,
        } = running.checkpointing
        else {
            return;
        };
        let kind = match self.urgent(running) {
            Some(kind) if urgent_at <= now => kind,
            None if regular_at <= now => BarrierKind::Checkpoint,
            _ => return,
        };
        let members = running.members.clone();
        self.checkpoint_requested = false;
        let savepoint = match (kind, &mut self.wanted) {
            (BarrierKind::Savepoint, _) => self.savepoints.pop_front(),
            (BarrierKind::SuspendWithSavepoint, Wanted::Suspend { savepoint, .. }) => savepoint.clone(),
            _ => None,
        };
        let since = if is_seeded(Bug::DeltaFromAborted) && self.largest_checkpoint > CheckpointId(0) {
            Some(self.largest_checkpoint)
        } else {
            self.restored_manifest().map(|manifest| manifest.checkpoint)
        };
        let checkpoint = self.largest_checkpoint.next();
        self.largest_checkpoint = checkpoint;
        let order = WorkerOrder::Trigger {
            attempt: self.attempt,
            barrier: Barrier {
                checkpoint,
                since,
                kind,
            },
        };
        self.send_all(&members, &order);
        self.set_checkpointing(Checkpointing::Collecting {
            trigger: Trigger {
                checkpoint,
                kind,
                at: now,
                savepoint,
            },
            acknowledged: BTreeMap::new(),
        });
    }

    pub(crate) fn set_checkpointing(&mut self, next: Checkpointing) {
        if let Phase::Running(running) = &mut self.phase {
            running.checkpointing = next;
        }
    }

    pub(crate) fn acknowledged(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
        snapshot: WorkerSnapshot,
    ) {
        // An acknowledgement of an aborted checkpoint matches nothing here: its segments are referenced by no manifest
        // and garbage collection takes them.
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        let (trigger, acknowledged) = match &mut running.checkpointing {
            Checkpointing::Collecting {
                trigger,
                acknowledged,
            } => (trigger, acknowledged),
            Checkpointing::Overdue { .. } => return self.acknowledged_too_late(now, worker, checkpoint),
            _ => return,
        };
        if trigger.checkpoint != checkpoint || !running.members.contains(&worker) {
            return;
        }
        acknowledged.insert(worker, snapshot);
        if acknowledged.len() < running.members.len() {
            return;
        }
        let (trigger, acknowledged) = (trigger.clone(), std::mem::take(acknowledged));
        self.assemble(now, trigger, acknowledged);
    }

    /// Makes the candidate of what all workers acknowledged.
    fn assemble(
        &mut self,
        now: ProcessingTime,
        trigger: Trigger,
        mut acknowledged: BTreeMap<WorkerId, WorkerSnapshot>,
    ) {
        let tasks = match collect_tasks(&self.tasks, &mut acknowledged) {
            Ok(tasks) => tasks,
            Err(error) => {
                self.abort_checkpoint(now, &error.to_string());
                return;
            }
        };
        let new: Vec<_> = acknowledged
            .into_values()
            .flat_map(|snapshot| snapshot.segments)
            .collect();
        let written_bytes = new.iter().map(|segment| segment.size).sum();
        // A full snapshot stands on its own, also for key groups that are empty by now and have no block in it.
        let previous = match self.restored_manifest() {
            Some(manifest) if !trigger.kind.is_full() => manifest.segments.as_slice(),
            _ => &[],
        };
        let segments = live_segments(previous, new, |operator| self.operators.contains(operator));
        let manifest = Arc::new(Manifest {
            job: self.options.description.job.clone(),
            generation: self.generation.unwrap_or_default(),
            lineage: self.lineage.clone(),
            epoch: self.tail_epoch().unwrap_or(Epoch(0)).next(),
            checkpoint: trigger.checkpoint,
            kind: trigger.kind,
            finished: tasks.iter().all(|task| task.ended),
            space: self.options.description.graph.space,
            graph_fingerprint: self.graph_fingerprint,
            arguments: self.options.description.arguments.clone(),
            written_at_ms: now.0,
            segments,
            tasks,
        });
        self.commands.push(Command::WriteManifest(manifest.clone()));
        self.set_checkpointing(Checkpointing::Writing(Box::new(Candidate {
            acknowledged_after: now.since(trigger.at),
            trigger,
            manifest,
            written_bytes,
        })));
    }

    pub(crate) fn declined(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
        reason: &str,
    ) {
        if self.is_abortable(checkpoint) {
            self.abort_checkpoint(now, &format!("worker {worker} declined it: {reason}"));
        }
    }

    pub(crate) fn manifest_failed(&mut self, now: ProcessingTime, checkpoint: CheckpointId, reason: &str) {
        if self.is_abortable(checkpoint) {
            self.abort_checkpoint(now, &format!("its manifest could not be written: {reason}"));
        }
    }

    fn is_abortable(&self, checkpoint: CheckpointId) -> bool {
        match &self.phase {
            Phase::Running(running) => running
                .checkpointing
                .abortable()
                .is_some_and(|trigger| trigger.checkpoint == checkpoint),
            _ => false,
        }
    }

    pub(crate) fn expire_checkpoint(&mut self, now: ProcessingTime) {
        let timeout = self.options.checkpoints.timeout;
        let Phase::Running(running) = &self.phase else {
            return;
        };
        match &running.checkpointing {
            Checkpointing::Collecting {
                trigger,
                acknowledged,
            } if trigger.at.after(timeout) <= now => {
                let silent = running.members.iter().copied();
                let silent = silent
                    .filter(|worker| !acknowledged.contains_key(worker))
                    .collect();
                self.ask_for_explanation(now, trigger.clone(), silent);
            }
            Checkpointing::Overdue { inquiry, .. } if inquiry.until <= now => self.give_up_overdue(now),
            Checkpointing::Writing(candidate) if candidate.trigger.at.after(timeout) <= now => {
                self.abort_checkpoint(now, &format!("its manifest was not written within {timeout:?}"));
            }
            _ => {}
        }
    }

    /// Gives up the checkpoint in flight, which nobody can have claimed.
    pub(crate) fn abort_checkpoint(&mut self, now: ProcessingTime, reason: &str) {
        let Phase::Running(running) = &self.phase else {
            return;
        };
        let Some(trigger) = running.checkpointing.abortable().cloned() else {
            return;
        };
        let members = running.members.clone();
        let (attempt, checkpoint) = (self.attempt, trigger.checkpoint);
        self.send_all(&members, &WorkerOrder::Abort { attempt, checkpoint });
        self.count_failure(now, &trigger, reason);
        let options = &self.options.checkpoints;
        self.set_checkpointing(Checkpointing::Idle {
            regular_at: trigger
                .at
                .after(options.interval)
                .max(now.after(options.minimum_pause)),
            urgent_at: now.after(options.minimum_pause.max(RETRY_PAUSE)),
        });
        if self.consecutive_failures > self.options.checkpoints.tolerable_failures {
            let cause = format!(
                "{} checkpoints in a row have failed, the last one because {reason}",
                self.consecutive_failures
            );
            self.consecutive_failures = 0;
            self.attempt_failed(now, None, cause);
        }
    }

    fn count_failure(&mut self, now: ProcessingTime, trigger: &Trigger, reason: &str) {
        // A savepoint is somebody's wish: that it failed is told to them and does not endanger the job. One that
        // suspends the job is tried again, so its answer is still to come.
        if trigger.kind == BarrierKind::Savepoint {
            self.refuse_savepoint(trigger.savepoint.clone(), reason);
        } else {
            self.consecutive_failures += 1;
        }
        let checkpoint = trigger.checkpoint;
        self.statistics.checkpoint_failed(CheckpointFailure {
            checkpoint,
            kind: trigger.kind,
            triggered_at: trigger.at,
            failed_at: now,
            reason: reason.into(),
        });
        self.notify(Notice::CheckpointFailed {
            checkpoint,
            reason: reason.into(),
            consecutive: self.consecutive_failures,
        });
    }

    pub(crate) fn refuse_savepoint(&mut self, savepoint: Option<(RequestId, String)>, reason: &str) {
        if let Some((request, name)) = savepoint {
            let reason = reason.into();
            self.commands.push(Command::Answer {
                request,
                result: Err(SavepointError::Checkpoint { name, reason }),
            });
        }
    }

    /// The attempt is over: the checkpoint in flight, which is not being claimed, will not come to be.
    pub(crate) fn drop_checkpoint(&mut self, checkpointing: &Checkpointing, reason: &str) {
        if let Some(trigger) = checkpointing.abortable()
            && trigger.kind == BarrierKind::Savepoint
        {
            self.refuse_savepoint(trigger.savepoint.clone(), reason);
        }
    }
}

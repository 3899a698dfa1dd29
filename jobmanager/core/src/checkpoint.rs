//! The checkpoint in flight: trigger, acknowledgements, manifest, claim, commit.
//!
//! There is at most one, and the next is triggered only when the commit of the one before has been answered.
//!
//! ```text
//! Idle ─trigger─▶ Collecting ─all acknowledged─▶ Writing ─durable─▶ Claiming ─ours─▶ Committing ─all answered─▶ Idle
//!   ▲                 │ declined, timed out         │ failed, timed out   │ taken
//!   └─────────────────┴────────── abort ────────────┘                     └▶ fenced, or back to the winner's state
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tidegate_core::{
    Barrier, BarrierKind, CheckpointId, Epoch, ProcessingTime, WorkerId,
    bug::{Bug, is_seeded},
    control::{Manifest, WorkerOrder, WorkerSnapshot},
    epoch::{EpochKind, EpochRecord, ManifestReference},
};

use crate::{
    assembly::{collect_tasks, live_segments},
    command::{CollectionPlan, Command, Notice, SavepointError, SavepointInfo},
    coordinator::{AfterStop, Coordinator, Export, ExportStage, Phase, Running, Wanted},
    event::{RequestId, Tail},
    opening::Opening,
    status::{CheckpointStatistics, Outcome},
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
    acknowledged_after: Duration,
    written_bytes: u64,
}

impl Checkpointing {
    /// The checkpoint in flight, and since when.
    pub(crate) fn pending(&self) -> Option<(CheckpointId, ProcessingTime)> {
        let trigger = match self {
            Self::Idle { .. } => return None,
            Self::Collecting { trigger, .. } | Self::Committing { trigger, .. } => trigger,
            Self::Writing(candidate) | Self::Claiming { candidate, .. } => &candidate.trigger,
        };
        Some((trigger.checkpoint, trigger.at))
    }

    /// What can still be aborted.
    fn abortable(&self) -> Option<&Trigger> {
        match self {
            Self::Collecting { trigger, .. } => Some(trigger),
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
            Wanted::Run => (running.ended == running.members).then_some(BarrierKind::Checkpoint),
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

    fn set_checkpointing(&mut self, next: Checkpointing) {
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
        let Checkpointing::Collecting {
            trigger,
            acknowledged,
        } = &mut running.checkpointing
        else {
            return;
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
        let overdue = running
            .checkpointing
            .abortable()
            .is_some_and(|trigger| trigger.at.after(timeout) <= now);
        if !overdue {
            return;
        }
        let reason = match &running.checkpointing {
            Checkpointing::Collecting { acknowledged, .. } => {
                let silent: Vec<String> = running
                    .members
                    .iter()
                    .filter(|worker| !acknowledged.contains_key(worker))
                    .map(ToString::to_string)
                    .collect();
                format!(
                    "workers {} did not acknowledge it within {timeout:?}",
                    silent.join(", ")
                )
            }
            _ => format!("its manifest was not written within {timeout:?}"),
        };
        self.abort_checkpoint(now, &reason);
    }

    /// Gives up the checkpoint in flight, which nobody can have claimed.
    fn abort_checkpoint(&mut self, now: ProcessingTime, reason: &str) {
        let Phase::Running(running) = &self.phase else {
            return;
        };
        let Some(trigger) = running.checkpointing.abortable().cloned() else {
            return;
        };
        let members = running.members.clone();
        let (attempt, checkpoint) = (self.attempt, trigger.checkpoint);
        self.send_all(&members, &WorkerOrder::Abort { attempt, checkpoint });
        self.count_failure(&trigger, reason);
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

    fn count_failure(&mut self, trigger: &Trigger, reason: &str) {
        // A savepoint is somebody's wish: that it failed is told to them and does not endanger the job. One that
        // suspends the job is tried again, so its answer is still to come.
        if trigger.kind == BarrierKind::Savepoint {
            self.refuse_savepoint(trigger.savepoint.clone(), reason);
        } else {
            self.consecutive_failures += 1;
        }
        self.statistics.failed_checkpoints += 1;
        let checkpoint = trigger.checkpoint;
        self.statistics.last_cause = Some(format!("checkpoint {checkpoint} failed: {reason}"));
        self.notify(Notice::CheckpointFailed {
            checkpoint,
            reason: reason.into(),
            consecutive: self.consecutive_failures,
        });
    }

    fn refuse_savepoint(&mut self, savepoint: Option<(RequestId, String)>, reason: &str) {
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

    pub(crate) fn manifest_written(&mut self, now: ProcessingTime, reference: ManifestReference) {
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        let members = running.members.clone();
        let next = Checkpointing::Idle {
            regular_at: now,
            urgent_at: now,
        };
        let candidate = match std::mem::replace(&mut running.checkpointing, next) {
            Checkpointing::Writing(candidate) if candidate.manifest.checkpoint == reference.checkpoint => {
                candidate
            }
            other => {
                running.checkpointing = other;
                return;
            }
        };
        let record = self.next_record(now, EpochKind::Checkpoint, self.lineage.clone(), Some(reference));
        if is_seeded(Bug::CommitBeforeClaim) {
            let (checkpoint, epoch) = (candidate.trigger.checkpoint, record.epoch);
            self.order_commit(&members, checkpoint, epoch);
        }
        self.commands.push(Command::ClaimEpoch(Box::new(record.clone())));
        self.set_checkpointing(Checkpointing::Claiming {
            candidate,
            record: Box::new(record),
        });
    }

    fn order_commit(&mut self, members: &BTreeSet<WorkerId>, checkpoint: CheckpointId, epoch: Epoch) {
        let order = WorkerOrder::Commit {
            attempt: self.attempt,
            checkpoint,
            epoch,
        };
        self.send_all(members, &order);
    }

    pub(crate) fn epoch_claimed(&mut self, now: ProcessingTime, epoch: Epoch) {
        match std::mem::replace(&mut self.phase, Phase::Created(Opening::New)) {
            Phase::Created(Opening::Claiming(tail)) if tail.record.epoch == epoch => self.opened(*tail),
            Phase::Running(mut running) => match running.checkpointing {
                Checkpointing::Claiming { candidate, record } if record.epoch == epoch => {
                    let trigger = candidate.trigger.clone();
                    let members = running.members.clone();
                    running.checkpointing = Checkpointing::Committing {
                        trigger: trigger.clone(),
                        waiting: members.clone(),
                    };
                    self.phase = Phase::Running(running);
                    self.checkpoint_claimed(now, *candidate, *record);
                    self.order_commit(&members, trigger.checkpoint, epoch);
                }
                _ => self.phase = Phase::Running(running),
            },
            Phase::Resolving {
                members,
                candidate,
                record,
                then,
            } if record.epoch == epoch => {
                self.checkpoint_claimed(now, *candidate, *record);
                self.stop(now, members, then);
            }
            other => self.phase = other,
        }
    }

    /// Makes a claimed checkpoint the tail, and says so.
    fn checkpoint_claimed(&mut self, now: ProcessingTime, candidate: Candidate, record: EpochRecord) {
        let Candidate {
            trigger,
            manifest,
            acknowledged_after,
            written_bytes,
        } = candidate;
        let (checkpoint, epoch) = (trigger.checkpoint, record.epoch);
        if let Wanted::Suspend { savepoint, claimed } = &mut self.wanted
            && trigger.kind.suspends()
        {
            *claimed = true;
            *savepoint = None;
        }
        if let Some((request, name)) = trigger.savepoint {
            self.exports.push(Export {
                request,
                name,
                record: record.clone(),
                stage: ExportStage::AwaitingCommit(manifest.clone()),
            });
        }
        self.consecutive_failures = 0;
        self.statistics.completed_checkpoints += 1;
        self.statistics.last_checkpoint = Some(CheckpointStatistics {
            checkpoint,
            epoch,
            kind: trigger.kind,
            triggered_at: trigger.at,
            claimed_at: now,
            acknowledged_after,
            duration: now.since(trigger.at),
            written_bytes,
            total_bytes: manifest.segments.iter().map(|segment| segment.size).sum(),
            longest_alignment_us: longest(&manifest, |timings| timings.alignment_us),
            longest_sync_us: longest(&manifest, |timings| timings.sync_us),
        });
        self.append(Tail {
            record,
            manifest: Some(manifest),
        });
        self.notify(Notice::CheckpointCompleted { checkpoint, epoch });
    }

    pub(crate) fn worker_committed(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
    ) {
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        let Checkpointing::Committing { trigger, waiting } = &mut running.checkpointing else {
            return;
        };
        if trigger.checkpoint != checkpoint || !waiting.remove(&worker) || !waiting.is_empty() {
            return;
        }
        let (members, triggered_at) = (running.members.clone(), trigger.at);
        self.tail_committed();
        let finished = self.restored_manifest().is_some_and(|manifest| manifest.finished);
        let then = match &self.wanted {
            _ if finished => AfterStop::Finish,
            Wanted::Suspend { claimed: true, .. } => AfterStop::Suspend,
            Wanted::Cancel { .. } => AfterStop::Cancel,
            Wanted::Suspend { .. } | Wanted::Run => {
                let options = &self.options.checkpoints;
                let regular_at = triggered_at
                    .after(options.interval)
                    .max(now.after(options.minimum_pause));
                self.set_checkpointing(Checkpointing::Idle {
                    regular_at,
                    urgent_at: now,
                });
                return;
            }
        };
        self.stop(now, members, then);
    }

    pub(crate) fn epoch_lost(&mut self, now: ProcessingTime, epoch: Epoch, winner: &EpochRecord) {
        let then = if Some(winner.generation) > self.generation {
            AfterStop::Fenced {
                epoch: winner.epoch,
                generation: winner.generation,
            }
        } else {
            AfterStop::Reopen
        };
        let members = match &mut self.phase {
            Phase::Created(Opening::Claiming(tail)) if tail.record.epoch == epoch => {
                match then {
                    AfterStop::Fenced { epoch, generation } => {
                        self.terminate(Outcome::Fenced { epoch, generation });
                    }
                    _ => self.read_chain(),
                }
                return;
            }
            Phase::Running(Running {
                checkpointing: Checkpointing::Claiming { candidate, record },
                members,
                ..
            }) if record.epoch == epoch => {
                let (members, savepoint) = (members.clone(), candidate.trigger.savepoint.clone());
                self.refuse_savepoint(savepoint, "another leader claimed its epoch");
                members
            }
            Phase::Resolving {
                members,
                record,
                candidate,
                ..
            } if record.epoch == epoch => {
                let (members, savepoint) = (members.clone(), candidate.trigger.savepoint.clone());
                self.refuse_savepoint(savepoint, "another leader claimed its epoch");
                members
            }
            _ => return,
        };
        if then == AfterStop::Reopen {
            let generation = winner.generation;
            self.notify(Notice::Overtaken { epoch, generation });
        }
        // A cancel does not wait for what another leader's checkpoint would restore.
        let then = match (&self.wanted, then) {
            (Wanted::Cancel { .. }, AfterStop::Reopen) => AfterStop::Cancel,
            (_, then) => then,
        };
        self.stop(now, members, then);
    }

    /// The link is somebody else's and unreadable: nobody can tell what the job's state is.
    pub(crate) fn claim_failed(&mut self, now: ProcessingTime, cause: String) {
        let members = match &self.phase {
            Phase::Running(Running {
                checkpointing: Checkpointing::Claiming { .. },
                members,
                ..
            })
            | Phase::Resolving { members, .. } => members.clone(),
            _ => return,
        };
        self.remember(now, None, cause.clone());
        self.stop(now, members, AfterStop::Fail { cause, task: None });
    }

    pub(crate) fn epoch_unresolved(&mut self, epoch: Epoch, reason: String) {
        let record = match &self.phase {
            Phase::Created(Opening::Claiming(tail)) => tail.record.clone(),
            Phase::Running(Running {
                checkpointing: Checkpointing::Claiming { record, .. },
                ..
            })
            | Phase::Resolving { record, .. } => (**record).clone(),
            _ => return,
        };
        if record.epoch != epoch {
            return;
        }
        self.statistics.last_cause = Some(format!("it is not known who claimed epoch {epoch}: {reason}"));
        self.notify(Notice::ClaimUnresolved { epoch, reason });
        // Only the same record may be tried: it may have landed, or may yet.
        self.commands.push(Command::ClaimEpoch(Box::new(record)));
    }

    pub(crate) fn begin_exports(&mut self) {
        for export in &mut self.exports {
            if let ExportStage::AwaitingCommit(manifest) = &export.stage {
                self.commands.push(Command::ExportSavepoint {
                    request: export.request,
                    name: export.name.clone(),
                    epoch: export.record.epoch,
                    manifest: manifest.clone(),
                });
                export.stage = ExportStage::Copying;
            }
        }
    }

    pub(crate) fn savepoint_exported(
        &mut self,
        now: ProcessingTime,
        request: RequestId,
        result: Result<SavepointInfo, SavepointError>,
    ) {
        let before = self.exports.len();
        self.exports.retain(|export| export.request != request);
        if self.exports.len() < before {
            self.commands.push(Command::Answer { request, result });
            self.finish_stop(now);
        }
    }

    /// Asks for the collection of what the tail has made superfluous.
    pub(crate) fn collect(&mut self) {
        let Some(tail) = &self.tail else { return };
        let mut retained: Vec<ManifestReference> = Vec::new();
        let exported = self.exports.iter().map(|export| &export.record);
        for record in exported.chain(&self.links).chain([&tail.record]) {
            if let Some(manifest) = &record.manifest
                && !retained.contains(manifest)
            {
                retained.push(manifest.clone());
            }
        }
        retained.sort_by_key(|manifest| manifest.checkpoint);
        let newest = tail.record.manifest.as_ref().or(retained.last());
        self.commands.push(Command::Collect(CollectionPlan {
            tail: tail.record.epoch,
            floor: tail.record.floor,
            claimed: newest.map_or(CheckpointId(0), |manifest| manifest.checkpoint),
            retained,
        }));
    }
}

fn longest(manifest: &Manifest, of: impl Fn(&tidegate_core::control::SnapshotTimings) -> u64) -> u64 {
    manifest
        .tasks
        .iter()
        .map(|task| of(&task.timings))
        .max()
        .unwrap_or(0)
}

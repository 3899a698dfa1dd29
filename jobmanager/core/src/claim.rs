//! The claim of an epoch and what follows from it: commit, or defeat.
//!
//! Only the store can say whose an epoch is. Until it has, nothing is committed, nothing is aborted, and only the very
//! same record is tried again.

use std::collections::BTreeSet;

use tidegate_core::{
    CheckpointId, Epoch, ProcessingTime, WorkerId,
    bug::{Bug, is_seeded},
    control::{Manifest, SnapshotTimings, WorkerOrder},
    epoch::{EpochKind, EpochRecord, ManifestReference},
};

use crate::{
    checkpoint::{Candidate, Checkpointing},
    command::{Command, Notice},
    coordinator::{AfterStop, Coordinator, Export, ExportStage, Phase, Running, Wanted},
    event::Tail,
    opening::Opening,
    status::{CheckpointStatistics, Outcome},
};

impl Coordinator {
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

    pub(crate) fn order_commit(
        &mut self,
        members: &BTreeSet<WorkerId>,
        checkpoint: CheckpointId,
        epoch: Epoch,
    ) {
        let order = WorkerOrder::Commit {
            attempt: self.attempt,
            checkpoint,
            epoch,
        };
        self.send_all(members, &order);
    }

    pub(crate) fn epoch_claimed(&mut self, now: ProcessingTime, epoch: Epoch) {
        match std::mem::replace(&mut self.phase, Phase::Created(Opening::New)) {
            Phase::Created(Opening::Claiming(tail)) if tail.record.epoch == epoch => self.opened(now, *tail),
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
}

fn longest(manifest: &Manifest, of: impl Fn(&SnapshotTimings) -> u64) -> u64 {
    manifest
        .tasks
        .iter()
        .map(|task| of(&task.timings))
        .max()
        .unwrap_or(0)
}

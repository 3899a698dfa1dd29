//! Going on with what runs: workers that outlived the coordinator of before are taken over with their tasks.
//!
//! A new coordinator remembers nothing. What it knows is the chain, sealed, and what workers say that they run. It adopts an
//! attempt only if nothing about it is in doubt; otherwise workers are told to stop, and tasks are deployed from the tail:
//!
//! - All workers of one attempt are there, and agree about it; the attempt has the job's lineage and size.
//! - Each of them runs: no task has failed, none has been told to stop, sources know their splits and do not stand still.
//! - Each of them *holds the tail*: it restored it, or was told to commit it, or has acknowledged it under the generation
//!   that claimed it. Then the tasks' state is the tail plus what was read since, and what their sinks have staged for the
//!   tail can still be published. An attempt beside which another has claimed a checkpoint does not hold the tail.
//! - The tail is not one that suspends: its sources stand still.
//!
//! A checkpoint of the former coordinator that was not claimed cannot be claimed any more, for the chain is sealed: it is
//! aborted wherever it may be pending, and ids go on above all that any worker has met. A checkpoint that was claimed without
//! its commit being known is committed again, which is idempotent.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::{
    AttemptPhase, BarrierKind, CheckpointId, Lineage, ProcessingTime, RunningAttempt, WorkerId,
    control::{Manifest, WorkerOrder},
    plan::ExecutionPlan,
};

use crate::{
    checkpoint::{Checkpointing, Trigger},
    command::Notice,
    coordinator::{Coordinator, Phase, Running},
    newcomer::Before,
    opening::Opening,
    options::Requirement,
};

/// Whether what runs can be gone on with.
#[derive(Debug)]
enum Verdict {
    Adopt,
    /// Workers are missing and may still come.
    Wait,
    /// It cannot, for this reason.
    Never(&'static str),
}

/// What the chain says about attempts that go on from it.
struct Expected<'a> {
    manifest: Option<&'a Manifest>,
    lineage: Option<&'a Lineage>,
    parallelism: Option<u32>,
    requirement: Requirement,
}

/// What is common to all candidates of the newest attempt, and who they are.
struct Candidates<'a> {
    members: BTreeMap<WorkerId, &'a RunningAttempt>,
}

impl<'a> Candidates<'a> {
    /// The workers of the newest attempt that any worker runs. They may know different generations that have led it.
    fn newest(all: impl Iterator<Item = &'a RunningAttempt>) -> Option<Self> {
        let all: Vec<&RunningAttempt> = all.collect();
        let newest = all.iter().map(|running| running.attempt).max()?;
        let members = all
            .into_iter()
            .filter(|running| running.attempt == newest)
            .map(|running| (running.worker, running))
            .collect();
        Some(Self { members })
    }

    fn judge(&self, expected: &Expected<'_>) -> Verdict {
        let Some(first) = self.members.values().next() else {
            return Verdict::Never("nobody runs anything");
        };
        let seats = u32::try_from(first.seats.len()).unwrap_or(u32::MAX);
        let agrees = |running: &&RunningAttempt| {
            running.seats == first.seats
                && running.lineage == first.lineage
                && running.default_parallelism == first.default_parallelism
        };
        if !self.members.values().all(agrees) {
            return Verdict::Never("its workers do not agree about it");
        }
        if expected.lineage.is_some_and(|lineage| *lineage != first.lineage) {
            return Verdict::Never("it is of another lineage than the chain");
        }
        if first.default_parallelism != expected.parallelism.unwrap_or(seats) {
            return Verdict::Never("it has another parallelism than the job");
        }
        if matches!(expected.requirement, Requirement::Slots(slots) if slots != seats) {
            return Verdict::Never("it has another number of slots than the job");
        }
        let runs =
            |running: &&RunningAttempt| matches!(running.phase, AttemptPhase::Running | AttemptPhase::Ended);
        if !self.members.values().all(runs) {
            return Verdict::Never("not all of its tasks run");
        }
        if !self
            .members
            .values()
            .all(|running| holds(running, expected.manifest))
        {
            return Verdict::Never("it does not go on from the tail of the chain");
        }
        let wanted: BTreeSet<WorkerId> = first.seats.iter().copied().collect();
        let there: BTreeSet<WorkerId> = self.members.keys().copied().collect();
        if !there.is_subset(&wanted) {
            Verdict::Never("a worker runs it that has no seat in it")
        } else if there == wanted {
            Verdict::Adopt
        } else {
            Verdict::Wait
        }
    }
}

/// Whether a worker's state is the tail's and what came after it, and it can publish what is staged for the tail.
fn holds(running: &RunningAttempt, manifest: Option<&Manifest>) -> bool {
    let Some(manifest) = manifest else {
        return running.claimed.is_none();
    };
    if manifest.kind.suspends() {
        return false;
    }
    let tail = manifest.checkpoint;
    running.claimed == Some(tail)
        || (running.claimed < Some(tail)
            && running.generation == manifest.generation
            && running.acknowledged.contains(&tail))
}

impl Coordinator {
    /// The chain is sealed: goes on with what runs, or waits for more of it, or deploys.
    pub(crate) fn settle(&mut self, now: ProcessingTime) {
        if let Some(verdict) = self.judge_candidates() {
            match verdict {
                Verdict::Adopt => return self.adopt(now),
                Verdict::Wait if now < self.adoption_deadline => {
                    self.phase = Phase::Created(Opening::Settling);
                    return;
                }
                Verdict::Wait => self.give_up_adoption("workers of it have not come back in time"),
                Verdict::Never(reason) => self.give_up_adoption(reason),
            }
        }
        if self.has_room() {
            self.deploy();
        } else {
            self.phase = Phase::Created(Opening::Settling);
        }
    }

    /// When waiting for workers to come back ends.
    pub(crate) fn settling_wakeup(&self) -> Option<ProcessingTime> {
        let waits = self.workers.values().any(|worker| worker.candidate().is_some());
        waits.then_some(self.adoption_deadline)
    }

    /// `None` if nobody runs anything.
    fn judge_candidates(&self) -> Option<Verdict> {
        let candidates = Candidates::newest(self.workers.values().filter_map(|worker| worker.candidate()))?;
        if self.options.adoption.is_none() || !self.resumes() {
            return Some(Verdict::Never("the job begins anew"));
        }
        let newest = candidates
            .members
            .values()
            .map(|running| running.generation)
            .max();
        if newest >= self.generation {
            return Some(Verdict::Never("it is led by a newer generation"));
        }
        Some(candidates.judge(&Expected {
            manifest: self.restored_manifest().map(AsRef::as_ref),
            lineage: self.tail.as_ref().map(|tail| &tail.record.lineage),
            parallelism: self.options.description.default_parallelism,
            requirement: self.options.requirement,
        }))
    }

    fn give_up_adoption(&mut self, reason: &str) {
        self.notify(Notice::NotAdopted {
            reason: reason.to_owned(),
        });
        self.dismiss_candidates();
    }

    fn adopt(&mut self, now: ProcessingTime) {
        let all = self
            .workers
            .values()
            .filter_map(|worker| worker.candidate().cloned());
        let all: Vec<RunningAttempt> = all.collect();
        let Some(candidates) = Candidates::newest(all.iter()) else {
            return;
        };
        let Some(first) = candidates.members.values().next() else {
            return;
        };
        let members: BTreeSet<WorkerId> = candidates.members.keys().copied().collect();
        let ended = candidates.members.values();
        let ended = ended.filter(|running| running.phase == AttemptPhase::Ended);
        let ended: BTreeSet<WorkerId> = ended.map(|running| running.worker).collect();
        let tail = self.restored_manifest().map(|manifest| manifest.checkpoint);
        let all_know = candidates.members.values().all(|running| running.claimed == tail);
        self.attempt = first.attempt;
        self.lineage = first.lineage.clone();
        self.set_seats(first.seats.clone());
        let graph = &self.options.description.graph;
        self.tasks = ExecutionPlan::expand(graph, first.default_parallelism)
            .tasks()
            .collect();
        for worker in &members {
            if let Some(attached) = self.workers.get_mut(worker) {
                attached.before = Before::Nothing;
            }
        }
        self.dismiss_candidates();
        self.notify(Notice::Adopted {
            attempt: self.attempt,
            workers: members.len(),
        });
        self.phase = Phase::Running(Running {
            members: members.clone(),
            ended,
            checkpointing: Checkpointing::Idle {
                regular_at: now.after(self.options.checkpoints.interval),
                urgent_at: now,
            },
        });
        self.abort_of_before(&members, candidates.members.values().copied());
        self.commit_again(now, members, all_know);
    }

    /// Aborts what the former coordinator had begun and nobody can claim any more.
    fn abort_of_before<'a>(
        &mut self,
        members: &BTreeSet<WorkerId>,
        running: impl Iterator<Item = &'a RunningAttempt>,
    ) {
        let met = running.flat_map(|running| running.acknowledged.iter().copied().chain(running.newest));
        let tail = self.restored_manifest().map(|manifest| manifest.checkpoint);
        let pending: BTreeSet<CheckpointId> = met.filter(|met| Some(*met) > tail).collect();
        let attempt = self.attempt;
        for checkpoint in pending {
            self.largest_checkpoint = self.largest_checkpoint.max(checkpoint);
            self.send_all(members, &WorkerOrder::Abort { attempt, checkpoint });
        }
    }

    /// Commits the tail, unless it is known to be committed, and to all workers: what another attempt has published in the
    /// meantime is still staged in one that was not told.
    fn commit_again(&mut self, now: ProcessingTime, members: BTreeSet<WorkerId>, all_know: bool) {
        let Some(manifest) = self.restored_manifest().cloned() else {
            return;
        };
        if all_know && self.committed >= Some(manifest.epoch) && !manifest.finished {
            return;
        }
        self.order_commit(&members, manifest.checkpoint, manifest.epoch);
        self.set_checkpointing(Checkpointing::Committing {
            trigger: Trigger {
                checkpoint: manifest.checkpoint,
                kind: BarrierKind::Checkpoint,
                at: now,
                savepoint: None,
            },
            waiting: members,
        });
    }
}

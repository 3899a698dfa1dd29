//! The way from nothing to deployed tasks: read the chain, lead, seal what was before, deploy.

use std::{collections::BTreeSet, sync::Arc};

use tidegate_core::{
    Attempt, Epoch, Generation, Lineage, ProcessingTime, WorkerId,
    control::{Deployment, Manifest, WorkerAddress, WorkerOrder},
    epoch::{EpochKind, EpochRecord, ManifestReference},
    plan::ExecutionPlan,
};

use crate::{
    command::{Command, Notice},
    coordinator::{Coordinator, Phase},
    event::{Chain, StoreStep, Tail},
    options::StartMode,
    retention,
    seating::seat,
    status::Outcome,
};

/// How far the coordinator has come before its first deployment.
#[derive(Debug)]
pub(crate) enum Opening {
    New,
    Reading,
    AwaitingWorkers,
    Leading,
    Importing,
    /// A seal or a start is being claimed.
    Claiming(Box<Tail>),
    /// The chain is sealed; workers that still run something are waited for, or room for a deployment.
    Settling,
}

impl Coordinator {
    pub(crate) fn begin(&mut self, now: ProcessingTime) {
        if matches!(self.phase, Phase::Created(Opening::New)) {
            self.adoption_deadline = now.after(self.options.adoption.unwrap_or_default());
            self.read_chain();
        }
    }

    pub(crate) fn read_chain(&mut self) {
        self.phase = Phase::Created(Opening::Reading);
        self.commands.push(Command::ReadChain);
    }

    pub(crate) fn chain_read(&mut self, now: ProcessingTime, chain: Chain) {
        if !matches!(self.phase, Phase::Created(Opening::Reading)) {
            return;
        }
        if let (Some(tail), Some(generation)) = (&chain.tail, self.generation)
            && tail.record.generation > generation
        {
            let (epoch, generation) = (tail.record.epoch, tail.record.generation);
            self.terminate(Outcome::Fenced { epoch, generation });
            return;
        }
        self.largest_checkpoint = self.largest_checkpoint.max(chain.largest_checkpoint);
        self.committed = chain.committed;
        self.links = chain.links;
        self.tail = chain.tail;
        if self.resumes() {
            if let Some(tail) = &self.tail {
                self.lineage = tail.record.lineage.clone();
            }
            if let Some(manifest) = self.restored_manifest().cloned() {
                if !self.accepts(&manifest) {
                    return;
                }
                self.largest_checkpoint = self.largest_checkpoint.max(manifest.checkpoint);
                if manifest.finished && self.committed >= Some(manifest.epoch) {
                    let epoch = self.tail_epoch().unwrap_or(manifest.epoch);
                    // The run that finished may have died in the middle of its last collection, and no other comes.
                    self.collect();
                    self.terminate(Outcome::AlreadyFinished { epoch });
                    return;
                }
            }
        }
        self.phase = Phase::Created(Opening::AwaitingWorkers);
        self.open(now);
    }

    /// Whether the tail is what the job goes on from.
    pub(crate) fn resumes(&self) -> bool {
        self.established || self.options.start == StartMode::Resume
    }

    /// Checks what a manifest can be checked for without its segments; fails the job if it cannot be restored.
    fn accepts(&mut self, manifest: &Manifest) -> bool {
        let graph = &self.options.description.graph;
        if manifest.space != graph.space {
            let cause = format!(
                "checkpoint {} of job {} has {} key groups and the job now has {}; a job cannot change them, set max_parallelism back",
                manifest.checkpoint,
                manifest.job,
                manifest.space.max_parallelism(),
                graph.space.max_parallelism(),
            );
            self.fail_now(cause);
            return false;
        }
        if manifest.graph_fingerprint != self.graph_fingerprint {
            let (before, now) = (manifest.graph_fingerprint, self.graph_fingerprint);
            self.notify(Notice::GraphChanged { before, now });
        }
        if manifest.arguments != self.options.description.arguments {
            let now = self.options.description.arguments.clone();
            self.notify(Notice::ArgumentsChanged {
                before: manifest.arguments.clone(),
                now,
            });
        }
        true
    }

    /// Goes on once enough workers are there.
    pub(crate) fn open(&mut self, now: ProcessingTime) {
        // Whether those that still run something can be given tasks is decided when the chain is sealed.
        if !self.suffices(|_| true) {
            return;
        }
        match self.generation {
            Some(_) => self.take_over(now),
            None => {
                let above = self
                    .tail
                    .as_ref()
                    .map_or(Generation(0), |tail| tail.record.generation);
                self.phase = Phase::Created(Opening::Leading);
                self.commands.push(Command::CreateGeneration { above });
            }
        }
    }

    pub(crate) fn lead(&mut self, now: ProcessingTime, generation: Generation) {
        if !matches!(self.phase, Phase::Created(Opening::Leading)) {
            return;
        }
        self.generation = Some(generation);
        self.attempt = first_attempt(generation);
        self.last_deployed = self.attempt;
        self.take_over(now);
    }

    /// Claims the next link, so that whatever another leader has in flight comes too late. There is nothing to claim
    /// on a chain without a link: then the first checkpoint decides between rivals.
    fn take_over(&mut self, now: ProcessingTime) {
        let next = self.tail_epoch().unwrap_or(Epoch(0)).next();
        if self.resumes() {
            match self.tail.clone() {
                Some(tail) => {
                    let lineage = tail.record.lineage.clone();
                    let reference = tail.record.manifest.clone();
                    let record = self.next_record(now, EpochKind::Seal, lineage, reference);
                    self.claim_opening(record, tail.manifest);
                }
                None => self.settle(now),
            }
            return;
        }
        let lineage = self.options.fresh_lineage.clone();
        self.lineage = lineage.clone();
        match self.options.start.clone() {
            StartMode::FromSavepoint { location } => {
                let generation = self.generation.unwrap_or_default();
                self.phase = Phase::Created(Opening::Importing);
                self.commands.push(Command::ImportSavepoint {
                    location,
                    checkpoint: self.largest_checkpoint.next(),
                    epoch: next,
                    lineage,
                    generation,
                });
            }
            StartMode::Fresh | StartMode::Resume if self.tail.is_some() => {
                let record = self.next_record(now, EpochKind::Start, lineage, None);
                self.claim_opening(record, None);
            }
            StartMode::Fresh | StartMode::Resume => self.settle(now),
        }
    }

    pub(crate) fn savepoint_imported(
        &mut self,
        now: ProcessingTime,
        manifest: Arc<Manifest>,
        reference: ManifestReference,
    ) {
        if !matches!(self.phase, Phase::Created(Opening::Importing)) || !self.accepts(&manifest) {
            return;
        }
        self.largest_checkpoint = self.largest_checkpoint.max(manifest.checkpoint);
        let record = self.next_record(now, EpochKind::Start, self.lineage.clone(), Some(reference));
        self.claim_opening(record, Some(manifest));
    }

    /// The record that would follow the tail.
    pub(crate) fn next_record(
        &self,
        now: ProcessingTime,
        kind: EpochKind,
        lineage: Lineage,
        manifest: Option<ManifestReference>,
    ) -> EpochRecord {
        let parent = self.tail_epoch();
        let mut record = EpochRecord {
            epoch: parent.unwrap_or(Epoch(0)).next(),
            parent,
            floor: Epoch(0),
            kind,
            generation: self.generation.unwrap_or_default(),
            leader: self.options.leader.clone(),
            lineage,
            manifest,
            written_at_ms: now.0,
        };
        let mut links = self.links.clone();
        links.extend(self.tail.as_ref().map(|tail| tail.record.clone()));
        record.floor = retention::floor(&links, &record, self.options.checkpoints.retained);
        record
    }

    fn claim_opening(&mut self, record: EpochRecord, manifest: Option<Arc<Manifest>>) {
        self.commands.push(Command::ClaimEpoch(Box::new(record.clone())));
        self.phase = Phase::Created(Opening::Claiming(Box::new(Tail { record, manifest })));
    }

    /// The seal or start is in the chain.
    pub(crate) fn opened(&mut self, now: ProcessingTime, tail: Tail) {
        self.append(tail);
        self.settle(now);
    }

    /// Makes a claimed record the tail, and forgets what lies below its floor.
    pub(crate) fn append(&mut self, tail: Tail) {
        let floor = tail.record.floor;
        self.links.extend(self.tail.take().map(|tail| tail.record));
        self.links.retain(|record| record.epoch >= floor);
        self.lineage = tail.record.lineage.clone();
        self.tail = Some(tail);
        self.established = true;
    }

    pub(crate) fn store_failed(&mut self, now: ProcessingTime, step: StoreStep, reason: String) {
        let opening = match &self.phase {
            Phase::Created(Opening::Reading) => step == StoreStep::ReadChain,
            Phase::Created(Opening::Leading) => step == StoreStep::CreateGeneration,
            Phase::Created(Opening::Importing) => step == StoreStep::ImportSavepoint,
            Phase::Created(Opening::Claiming(_)) => step == StoreStep::ClaimEpoch,
            _ => false,
        };
        if opening {
            self.fail_now(reason);
        } else if step == StoreStep::ClaimEpoch {
            self.claim_failed(now, reason);
        }
    }

    /// Fails the job while no task exists.
    pub(crate) fn fail_now(&mut self, cause: String) {
        let uncommitted = self.uncommitted();
        self.statistics.last_cause = Some(cause.clone());
        self.terminate(Outcome::Failed {
            cause,
            task: None,
            uncommitted,
        });
    }

    /// Puts tasks in place on workers that have nothing else to do, as of the tail.
    pub(crate) fn deploy(&mut self) {
        let Some(attempt) = next_attempt(self.last_deployed) else {
            let cause = format!(
                "the job was restarted {} times under one leader, which is all there are numbers for; start it again",
                MAX_ATTEMPTS
            );
            self.fail_now(cause);
            return;
        };
        self.attempt = attempt;
        self.last_deployed = attempt;
        let ready = self.workers.values().filter(|worker| worker.is_ready());
        let mut workers: Vec<WorkerAddress> = ready.map(|worker| worker.address.clone()).collect();
        self.set_seats(seat(&self.seats, &workers, self.options.requirement));
        let members: BTreeSet<WorkerId> = self.seats.iter().copied().collect();
        workers.retain(|worker| members.contains(&worker.worker));
        let slots = u32::try_from(self.seats.len()).unwrap_or(u32::MAX).max(1);
        let parallelism = self.options.description.default_parallelism.unwrap_or(slots);
        self.tasks = ExecutionPlan::expand(&self.options.description.graph, parallelism)
            .tasks()
            .collect();
        let deployment = Deployment {
            job: self.options.description.job.clone(),
            lineage: self.lineage.clone(),
            generation: self.generation.unwrap_or_default(),
            attempt: self.attempt,
            graph_fingerprint: self.graph_fingerprint,
            default_parallelism: parallelism,
            seats: self.seats.clone(),
            workers,
            restore: self.restored_manifest().cloned(),
            allow_non_restored_state: self.options.allow_non_restored_state,
        };
        self.send_all(&members, &WorkerOrder::Deploy(Box::new(deployment)));
        self.phase = Phase::Deploying {
            waiting: members.clone(),
            members,
        };
    }
}

/// How many attempts there are numbers for in one generation.
const MAX_ATTEMPTS: u32 = 0xffff;

/// The number below the first attempt of a generation. The generation is in the upper half, so that no two processes
/// ever stage output or write segments under the same attempt; after 65536 generations numbers come round again, when
/// nothing of their former bearers is left.
fn first_attempt(generation: Generation) -> Attempt {
    Attempt(((generation.0 & 0xffff) as u32) << 16)
}

fn next_attempt(attempt: Attempt) -> Option<Attempt> {
    (attempt.0 & 0xffff != MAX_ATTEMPTS).then(|| attempt.next())
}

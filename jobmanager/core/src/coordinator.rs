//! The coordinator of one job: its state, and which part of it a fact concerns.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use tidegate_core::{
    Attempt, AttemptPhase, CheckpointId, Epoch, Generation, Lineage, OperatorUid, ProcessingTime, TaskError,
    TaskId, WorkerId, WorkerName,
    control::{Manifest, WorkerOrder, WorkerReport},
    epoch::EpochRecord,
};

use crate::{
    checkpoint::{Candidate, Checkpointing},
    command::{Command, Notice, SavepointError},
    event::{Event, RequestId, Tail},
    newcomer::{Attached, Before, NewcomerError, Seat},
    opening::Opening,
    options::{CoordinatorOptions, Requirement},
    restart::RestartHistory,
    status::{
        CHECKPOINT_FAILURE_HISTORY, CheckpointFailure, CheckpointStatistics, EXCEPTION_HISTORY,
        ExceptionRecord, JobState, JobStatus, Outcome,
    },
};

/// Decides for one job. See the crate's documentation for its states.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) options: CoordinatorOptions,
    pub(crate) operators: BTreeSet<OperatorUid>,
    pub(crate) graph_fingerprint: u64,
    pub(crate) phase: Phase,
    pub(crate) wanted: Wanted,
    /// All attached workers, whether or not they have a part in the current attempt.
    pub(crate) workers: BTreeMap<WorkerId, Attached>,
    pub(crate) next_worker: WorkerId,
    /// The seats of the current attempt, or of the last one.
    pub(crate) seats: Vec<WorkerId>,
    /// The same, for people.
    pub(crate) shown_seats: Arc<[Seat]>,
    /// Until when workers that still run something of before are waited for.
    pub(crate) adoption_deadline: ProcessingTime,
    /// The tasks of the current attempt.
    pub(crate) tasks: BTreeSet<TaskId>,
    pub(crate) generation: Option<Generation>,
    pub(crate) attempt: Attempt,
    /// The last attempt that this coordinator has deployed: not the current one while that is adopted.
    pub(crate) last_deployed: Attempt,
    pub(crate) lineage: Lineage,
    /// Whether a record of this coordinator is in the chain: from then on it resumes, however it was told to start.
    pub(crate) established: bool,
    /// The chain from its floor up to, but without, the tail.
    pub(crate) links: Vec<EpochRecord>,
    pub(crate) tail: Option<Tail>,
    pub(crate) committed: Option<Epoch>,
    pub(crate) largest_checkpoint: CheckpointId,
    pub(crate) consecutive_failures: u32,
    pub(crate) restarts: RestartHistory,
    pub(crate) savepoints: VecDeque<(RequestId, String)>,
    /// Whether somebody wants a checkpoint before its time.
    pub(crate) checkpoint_requested: bool,
    pub(crate) exports: Vec<Export>,
    pub(crate) statistics: Statistics,
    pub(crate) commands: Vec<Command>,
}

/// Where the job is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    Created(Opening),
    Deploying {
        members: BTreeSet<WorkerId>,
        waiting: BTreeSet<WorkerId>,
    },
    Running(Running),
    /// The attempt is over, but a claim is in flight: only when it is resolved is it known what to go back to.
    Resolving {
        members: BTreeSet<WorkerId>,
        candidate: Box<Candidate>,
        record: Box<EpochRecord>,
        then: AfterStop,
    },
    Stopping {
        waiting: BTreeSet<WorkerId>,
        deadline: ProcessingTime,
        then: AfterStop,
    },
    /// All tasks are gone; they are deployed at this time, or later, when enough workers are there.
    Restarting {
        at: ProcessingTime,
    },
    Terminated(Outcome),
}

/// A job whose sources read.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) members: BTreeSet<WorkerId>,
    pub(crate) ended: BTreeSet<WorkerId>,
    pub(crate) checkpointing: Checkpointing,
}

/// What follows when all tasks are gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AfterStop {
    Restart { delay_ms: u64 },
    Reopen,
    Fail { cause: String, task: Option<TaskError> },
    Cancel,
    Suspend,
    Finish,
    Fenced { epoch: Epoch, generation: Generation },
}

/// What people want of the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    Run,
    Suspend {
        savepoint: Option<(RequestId, String)>,
        claimed: bool,
    },
    Cancel {
        deadline: ProcessingTime,
    },
}

/// A claimed savepoint on its way out of the job.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Export {
    pub(crate) request: RequestId,
    pub(crate) name: String,
    pub(crate) record: EpochRecord,
    pub(crate) stage: ExportStage,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ExportStage {
    /// What was staged for it is not published everywhere yet.
    AwaitingCommit(Arc<Manifest>),
    Copying,
}

/// What is counted and remembered for people.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) last_checkpoint: Option<CheckpointStatistics>,
    pub(crate) completed_checkpoints: u64,
    pub(crate) failed_checkpoints: u64,
    pub(crate) checkpoint_failures: VecDeque<CheckpointFailure>,
    pub(crate) restarts: u32,
    pub(crate) exceptions: VecDeque<ExceptionRecord>,
    pub(crate) last_cause: Option<String>,
}

impl Statistics {
    pub(crate) fn checkpoint_failed(&mut self, failure: CheckpointFailure) {
        self.failed_checkpoints += 1;
        self.last_cause = Some(failure.to_string());
        if self.checkpoint_failures.len() == CHECKPOINT_FAILURE_HISTORY {
            self.checkpoint_failures.pop_front();
        }
        self.checkpoint_failures.push_back(failure);
    }

    /// Adds how a process ended to what is remembered of its loss, if that is.
    pub(crate) fn explain_loss(&mut self, name: &WorkerName, reason: &str) -> bool {
        let mut latest_first = self.exceptions.iter_mut().rev();
        let loss = latest_first.find(|record| record.host.as_ref() == Some(name));
        if let Some(record) = loss {
            record.cause = format!("{}; {reason}", record.cause);
            self.last_cause = Some(record.cause.clone());
            return true;
        }
        false
    }
}

impl Coordinator {
    /// A coordinator that has not begun: it waits for [`Event::Started`].
    pub fn new(options: CoordinatorOptions) -> Self {
        let graph = &options.description.graph;
        Self {
            operators: graph.nodes.iter().map(|node| node.uid.clone()).collect(),
            graph_fingerprint: graph.fingerprint(),
            phase: Phase::Created(Opening::New),
            wanted: Wanted::Run,
            workers: BTreeMap::new(),
            next_worker: WorkerId(0),
            seats: Vec::new(),
            shown_seats: Arc::from([]),
            adoption_deadline: ProcessingTime(i64::MIN),
            tasks: BTreeSet::new(),
            generation: None,
            attempt: Attempt(0),
            last_deployed: Attempt(0),
            lineage: options.fresh_lineage.clone(),
            established: false,
            links: Vec::new(),
            tail: None,
            committed: None,
            largest_checkpoint: CheckpointId(0),
            consecutive_failures: 0,
            restarts: RestartHistory::new(options.restart.clone(), options.seed),
            savepoints: VecDeque::new(),
            checkpoint_requested: false,
            exports: Vec::new(),
            statistics: Statistics::default(),
            commands: Vec::new(),
            options,
        }
    }

    /// Takes a fact and answers with what is to be done about it, in order.
    ///
    /// `now` never runs backwards. After [`Command::Terminate`] no fact has any effect.
    pub fn handle(&mut self, now: ProcessingTime, event: Event) -> Vec<Command> {
        if matches!(self.phase, Phase::Terminated(_)) {
            self.refuse_after_the_end(event);
            return std::mem::take(&mut self.commands);
        }
        match event {
            Event::Started => self.begin(now),
            Event::Wakeup => {}
            Event::WorkerAttached { request, newcomer } => self.attach(now, request, *newcomer),
            Event::WorkerGone {
                name,
                reason,
                severity,
            } => self.worker_gone(now, &name, &reason, severity),
            Event::WorkerLost { worker, reason } => self.lose_worker(now, worker, &reason),
            Event::Reported { worker, report } => self.report(now, worker, report),
            Event::ChainRead(chain) => self.chain_read(now, *chain),
            Event::GenerationCreated(generation) => self.lead(now, generation),
            Event::SavepointImported { manifest, reference } => {
                self.savepoint_imported(now, manifest, reference);
            }
            Event::StoreFailed { step, reason } => self.store_failed(now, step, reason),
            Event::ManifestWritten { reference } => self.manifest_written(now, reference),
            Event::ManifestFailed { checkpoint, reason } => self.manifest_failed(now, checkpoint, &reason),
            Event::EpochClaimed(epoch) => self.epoch_claimed(now, epoch),
            Event::EpochLost { epoch, winner } => self.epoch_lost(now, epoch, &winner),
            Event::EpochUnresolved { epoch, reason } => self.epoch_unresolved(epoch, reason),
            Event::SavepointExported { request, result } => self.savepoint_exported(now, request, result),
            Event::SavepointRequested { request, name } => self.request_savepoint(request, name),
            Event::SuspendRequested { request, savepoint } => {
                self.request_suspend(request, savepoint);
            }
            Event::CheckpointRequested => self.checkpoint_requested = true,
            Event::CancelRequested => self.cancel(now),
        }
        self.pass_time(now);
        std::mem::take(&mut self.commands)
    }

    /// When [`Event::Wakeup`] is due, if nothing else happens before.
    pub fn next_wakeup(&self) -> Option<ProcessingTime> {
        let own = match &self.phase {
            Phase::Running(running) => self.checkpoint_wakeup(running),
            Phase::Stopping {
                deadline, waiting, ..
            } => (!waiting.is_empty()).then_some(*deadline),
            Phase::Restarting { at } => self.has_room().then_some(*at),
            Phase::Created(Opening::Settling) => self.settling_wakeup(),
            Phase::Created(_) | Phase::Deploying { .. } | Phase::Resolving { .. } | Phase::Terminated(_) => {
                None
            }
        };
        let cancel = match (&self.wanted, &self.phase) {
            (Wanted::Cancel { deadline }, Phase::Running(_) | Phase::Resolving { .. }) => Some(*deadline),
            _ => None,
        };
        own.into_iter().chain(cancel).min()
    }

    /// Whether it is over.
    pub fn is_terminated(&self) -> bool {
        matches!(self.phase, Phase::Terminated(_))
    }

    /// The job at a glance.
    pub fn status(&self) -> JobStatus {
        let outcome = match &self.phase {
            Phase::Terminated(outcome) => Some(outcome.clone()),
            _ => None,
        };
        let pending_checkpoint = match &self.phase {
            Phase::Running(running) => running.checkpointing.pending(),
            _ => None,
        };
        JobStatus {
            state: self.state(),
            outcome,
            attempt: self.attempt,
            generation: self.generation,
            seats: self.shown_seats.clone(),
            lineage: self.lineage.clone(),
            epoch: self.tail_epoch(),
            committed: self.committed,
            last_checkpoint: self.statistics.last_checkpoint.clone(),
            pending_checkpoint,
            completed_checkpoints: self.statistics.completed_checkpoints,
            failed_checkpoints: self.statistics.failed_checkpoints,
            checkpoint_failures: self.statistics.checkpoint_failures.iter().cloned().collect(),
            restarts: self.statistics.restarts,
            exceptions: self.statistics.exceptions.iter().cloned().collect(),
            last_cause: self.statistics.last_cause.clone(),
        }
    }

    /// The state of the job.
    pub fn state(&self) -> JobState {
        if let Phase::Terminated(outcome) = &self.phase {
            return outcome.state();
        }
        if matches!(self.wanted, Wanted::Cancel { .. }) {
            return JobState::Cancelling;
        }
        match &self.phase {
            Phase::Created(_) => JobState::Created,
            Phase::Deploying { .. } => JobState::Deploying,
            Phase::Running(_) => JobState::Running,
            Phase::Restarting { .. } => JobState::Restarting,
            Phase::Resolving { then, .. } | Phase::Stopping { then, .. } => match then {
                AfterStop::Restart { .. } | AfterStop::Reopen => JobState::Restarting,
                AfterStop::Fail { .. } | AfterStop::Fenced { .. } => JobState::Failing,
                AfterStop::Cancel => JobState::Cancelling,
                AfterStop::Suspend | AfterStop::Finish => JobState::Running,
            },
            Phase::Terminated(outcome) => outcome.state(),
        }
    }

    fn report(&mut self, now: ProcessingTime, worker: WorkerId, report: WorkerReport) {
        if self.is_of_before(worker, &report) || report.attempt() != self.attempt {
            return;
        }
        match report {
            WorkerReport::Deployed { .. } => self.deployed(now, worker),
            WorkerReport::SplitsDiscovered { node, splits, .. } => self.splits_discovered(node, &splits),
            WorkerReport::Ended { .. } => self.ended(worker),
            WorkerReport::Acknowledged {
                checkpoint, snapshot, ..
            } => self.acknowledged(now, worker, checkpoint, *snapshot),
            WorkerReport::Declined {
                checkpoint, reason, ..
            } => self.declined(now, worker, checkpoint, &reason),
            WorkerReport::Explained {
                checkpoint, holdup, ..
            } => self.explained(now, worker, checkpoint, holdup),
            WorkerReport::Committed { checkpoint, .. } => self.worker_committed(now, worker, checkpoint),
            WorkerReport::CommitRetrying {
                checkpoint, reason, ..
            } => {
                self.statistics.last_cause = Some(format!("worker {worker} could not commit yet: {reason}"));
                self.notify(Notice::CommitRetrying {
                    worker,
                    checkpoint,
                    reason,
                });
            }
            WorkerReport::Failed { error, .. } => self.task_failed(now, worker, error),
            WorkerReport::Stopped { .. } => self.worker_stopped(now, worker),
        }
    }

    /// What time alone brings about, after every fact.
    fn pass_time(&mut self, now: ProcessingTime) {
        match &self.phase {
            Phase::Running(_) => {
                self.expire_cancel(now);
                self.expire_checkpoint(now);
                self.trigger_if_due(now);
            }
            Phase::Resolving { .. } => self.expire_cancel(now),
            Phase::Stopping { .. } => self.expire_stop(now),
            Phase::Created(Opening::Settling) => self.settle(now),
            Phase::Restarting { at } if *at <= now && self.has_room() => self.deploy(),
            _ => {}
        }
    }

    /// Whether enough workers can be given tasks.
    pub(crate) fn has_room(&self) -> bool {
        self.suffices(|worker| worker.is_ready())
    }

    /// Whether those workers that count are what the job waits for.
    pub(crate) fn suffices(&self, counts: impl Fn(&Attached) -> bool) -> bool {
        let counted = || self.workers.values().filter(|worker| counts(worker));
        match self.options.requirement {
            Requirement::Workers(workers) => {
                counted().count() >= usize::try_from(workers.max(1)).unwrap_or(usize::MAX)
            }
            Requirement::Slots(slots) => {
                counted().map(|worker| worker.address.slots).sum::<u32>() >= slots.max(1)
            }
        }
    }

    /// What a worker says about what it ran before it came, if it does.
    fn is_of_before(&mut self, worker: WorkerId, report: &WorkerReport) -> bool {
        let Some(attached) = self.workers.get_mut(&worker) else {
            return true;
        };
        match (&mut attached.before, report) {
            (Before::Nothing, _) => return false,
            (Before::Dismissed(before), WorkerReport::Stopped { attempt }) if before == attempt => {
                attached.before = Before::Nothing;
            }
            (Before::Candidate(running), WorkerReport::Failed { attempt, .. })
                if running.attempt == *attempt =>
            {
                running.phase = AttemptPhase::Broken;
            }
            (Before::Candidate(running), WorkerReport::Ended { attempt })
                if running.attempt == *attempt && running.phase == AttemptPhase::Running =>
            {
                running.phase = AttemptPhase::Ended;
            }
            _ => {}
        }
        true
    }

    pub(crate) fn set_seats(&mut self, seats: Vec<WorkerId>) {
        let named = seats.iter().filter_map(|worker| {
            let attached = self.workers.get(worker)?;
            Some(Seat {
                worker: *worker,
                name: attached.name.clone(),
            })
        });
        self.shown_seats = named.collect();
        self.seats = seats;
    }

    /// A worker that something happened on.
    pub(crate) fn host(&self, worker: WorkerId) -> Option<Seat> {
        let name = self.workers.get(&worker)?.name.clone();
        Some(Seat { worker, name })
    }

    pub(crate) fn tail_epoch(&self) -> Option<Epoch> {
        self.tail.as_ref().map(|tail| tail.record.epoch)
    }

    pub(crate) fn restored_manifest(&self) -> Option<&Arc<Manifest>> {
        self.tail.as_ref()?.manifest.as_ref()
    }

    /// The tail's epoch, if sinks are not known to have committed it.
    pub(crate) fn uncommitted(&self) -> Option<Epoch> {
        let tail = self.tail.as_ref()?;
        let manifest = tail.manifest.as_ref()?;
        (self.committed < Some(manifest.epoch)).then_some(tail.record.epoch)
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.commands.push(Command::Notify(notice));
    }

    pub(crate) fn send_all(&mut self, members: &BTreeSet<WorkerId>, order: &WorkerOrder) {
        self.commands.extend(members.iter().map(|worker| Command::Send {
            worker: *worker,
            order: order.clone(),
        }));
    }

    pub(crate) fn remember(&mut self, now: ProcessingTime, host: Option<Seat>, cause: String) {
        if self.statistics.exceptions.len() == EXCEPTION_HISTORY {
            self.statistics.exceptions.pop_front();
        }
        self.statistics.last_cause = Some(cause.clone());
        self.statistics.exceptions.push_back(ExceptionRecord {
            at: now,
            attempt: self.attempt,
            worker: host.as_ref().map(|host| host.worker),
            host: host.map(|host| host.name),
            cause,
        });
    }

    pub(crate) fn terminate(&mut self, outcome: Outcome) {
        let state = outcome.state().to_string();
        let mut refused: Vec<(RequestId, String)> = self.savepoints.drain(..).collect();
        if let Wanted::Suspend { savepoint, .. } = &mut self.wanted {
            refused.extend(savepoint.take());
        }
        for (request, name) in refused {
            let state = state.clone();
            self.commands.push(Command::Answer {
                request,
                result: Err(SavepointError::NotRunning { name, state }),
            });
        }
        for export in std::mem::take(&mut self.exports) {
            let epoch = export.record.epoch;
            self.commands.push(Command::Answer {
                request: export.request,
                result: Err(SavepointError::Export {
                    name: export.name,
                    reason: format!(
                        "it was claimed as epoch {epoch}, but the job is {state} before it was copied"
                    ),
                }),
            });
        }
        self.phase = Phase::Terminated(outcome.clone());
        self.commands.push(Command::Terminate(outcome));
    }

    fn refuse_after_the_end(&mut self, event: Event) {
        let state = self.state().to_string();
        let (request, name) = match event {
            Event::SavepointRequested { request, name }
            | Event::SuspendRequested {
                request,
                savepoint: Some(name),
            } => (request, name),
            Event::WorkerAttached { request, newcomer } => {
                let name = newcomer.name;
                let reason = NewcomerError::JobEnded { name, state };
                self.commands.push(Command::Refuse { request, reason });
                return;
            }
            _ => return,
        };
        self.commands.push(Command::Answer {
            request,
            result: Err(SavepointError::NotRunning { name, state }),
        });
    }
}

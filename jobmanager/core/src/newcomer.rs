//! Workers that come: who they are, whether they are let in, and which number they get.

use std::net::SocketAddr;

use tidegate_core::{
    Generation, ProcessingTime, RunningAttempt, Severity, WorkerId, WorkerName,
    control::{WorkerAddress, WorkerOrder},
};

use crate::{
    command::Command,
    coordinator::{AfterStop, Coordinator, Phase},
    event::RequestId,
    opening::Opening,
    restart::Verdict,
};

/// A worker that asks to be one of the job's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Newcomer {
    /// Its name: no other process of the job ever had it.
    pub name: WorkerName,
    /// How many slots it has.
    pub slots: u32,
    /// Where it takes data connections; a job with one worker needs none.
    pub data: Option<SocketAddr>,
    /// What it still runs, if it comes back. It keeps the number that it has there. Either it is adopted with what it
    /// runs, or it is told to stop that, and counts from then on.
    pub running: Option<RunningAttempt>,
}

/// Why a worker is not let in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NewcomerError {
    /// Its tasks are led by somebody newer, or by this very coordinator before the clock of generations came round.
    #[error(
        "worker {name} runs attempt {attempt} of generation {theirs}, and generation {ours} does not go before it; this \
         job manager has been replaced, attach to its successor"
    )]
    Overtaken {
        /// The worker.
        name: WorkerName,
        /// What it runs.
        attempt: tidegate_core::Attempt,
        /// Who leads that.
        theirs: Generation,
        /// Who leads here.
        ours: Generation,
    },
    /// Another worker has its name.
    #[error("there is a worker {name} already; no two processes of a job may have one name")]
    NameTaken {
        /// The name.
        name: WorkerName,
    },
    /// Another worker has its number.
    #[error("worker {name} has number {worker}, which another worker has by now; end it and start another")]
    NumberTaken {
        /// The worker.
        name: WorkerName,
        /// Its number.
        worker: WorkerId,
    },
    /// The job has ended.
    #[error("worker {name} comes too late: the job is {state}")]
    JobEnded {
        /// The worker.
        name: WorkerName,
        /// What the job is.
        state: String,
    },
}

/// A worker that has been let in.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) name: WorkerName,
    pub(crate) address: WorkerAddress,
    pub(crate) before: Before,
}

/// What a worker runs that it was not deployed by this coordinator.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// Nothing: it can be given tasks.
    Nothing,
    /// Something that may be adopted.
    Candidate(Box<RunningAttempt>),
    /// Something that it has been told to stop, and has not stopped yet.
    Dismissed(tidegate_core::Attempt),
}

impl Attached {
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.before, Before::Nothing)
    }

    pub(crate) fn candidate(&self) -> Option<&RunningAttempt> {
        match &self.before {
            Before::Candidate(running) => Some(running),
            _ => None,
        }
    }
}

/// A worker of the job, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Its number within the job.
    pub worker: WorkerId,
    /// Its name, which tells its task manager.
    pub name: WorkerName,
}

impl Coordinator {
    pub(crate) fn attach(&mut self, now: ProcessingTime, request: RequestId, newcomer: Newcomer) {
        let worker = match self.number(&newcomer) {
            Ok(worker) => worker,
            Err(reason) => {
                self.commands.push(Command::Refuse { request, reason });
                return;
            }
        };
        let highest = newcomer.running.iter().flat_map(|running| &running.seats).max();
        let highest = highest.copied().unwrap_or(worker).max(worker);
        self.next_worker = self.next_worker.max(highest.next());
        self.commands.push(Command::Seat { request, worker });
        let before = newcomer
            .running
            .map_or(Before::Nothing, |running| Before::Candidate(Box::new(running)));
        let attached = Attached {
            name: newcomer.name,
            address: WorkerAddress {
                worker,
                slots: newcomer.slots,
                data: newcomer.data,
            },
            before,
        };
        self.workers.insert(worker, attached);
        match &self.phase {
            Phase::Created(Opening::AwaitingWorkers) => self.open(now),
            Phase::Created(_) => {}
            _ => self.dismiss_candidates(),
        }
    }

    /// The number of a worker that is let in.
    fn number(&self, newcomer: &Newcomer) -> Result<WorkerId, NewcomerError> {
        let name = newcomer.name.clone();
        if self.workers.values().any(|worker| worker.name == name) {
            return Err(NewcomerError::NameTaken { name });
        }
        let Some(running) = &newcomer.running else {
            return Ok(self.next_worker);
        };
        if let Some(ours) = self.generation
            && running.generation > ours
        {
            return Err(NewcomerError::Overtaken {
                name,
                attempt: running.attempt,
                theirs: running.generation,
                ours,
            });
        }
        let worker = running.worker;
        if self.workers.contains_key(&worker) {
            return Err(NewcomerError::NumberTaken { name, worker });
        }
        Ok(worker)
    }

    /// Tells all workers that still run something of before to stop it.
    pub(crate) fn dismiss_candidates(&mut self) {
        for (worker, attached) in &mut self.workers {
            if let Before::Candidate(running) = &attached.before {
                let attempt = running.attempt;
                attached.before = Before::Dismissed(attempt);
                self.commands.push(Command::Send {
                    worker: *worker,
                    order: WorkerOrder::Stop { attempt },
                });
            }
        }
    }

    /// A process has ended, or was never there: what whoever watches it says.
    pub(crate) fn worker_gone(
        &mut self,
        now: ProcessingTime,
        name: &WorkerName,
        reason: &str,
        severity: Severity,
    ) {
        let attached = self.workers.iter().find(|(_, worker)| worker.name == *name);
        match attached.map(|(id, _)| *id) {
            Some(worker) if severity == Severity::Restart => self.lose_worker(now, worker, reason),
            Some(worker) => {
                // Its end is why the job ends, and not a reason to restart it.
                let cause = format!("worker {name} is lost: {reason}");
                let host = self.host(worker);
                self.remember(now, host, cause.clone());
                self.fail_job(now, cause);
                self.lose_worker(now, worker, reason);
            }
            None => {
                let known = self.statistics.explain_loss(name, reason);
                if !known {
                    self.never_came(now, name, reason);
                }
                if severity == Severity::FailJob {
                    self.fail_job(now, format!("worker {name} is lost: {reason}"));
                }
            }
        }
    }

    /// A worker has ended before it attached. Another may be started, unless the strategy has had enough of that.
    fn never_came(&mut self, now: ProcessingTime, name: &WorkerName, reason: &str) {
        let cause = format!("worker {name} ended before it attached: {reason}");
        let host = None;
        self.remember(now, host, cause.clone());
        if let Some(record) = self.statistics.exceptions.back_mut() {
            record.host = Some(name.clone());
        }
        let waits = matches!(self.phase, Phase::Created(_) | Phase::Restarting { .. });
        if waits && self.restarts.failed(now) == Verdict::GiveUp {
            self.fail_now(cause);
        }
    }

    /// Fails the job, with or without tasks.
    pub(crate) fn fail_job(&mut self, now: ProcessingTime, cause: String) {
        match self.phase {
            Phase::Created(_) | Phase::Restarting { .. } => self.fail_now(cause),
            _ => self.end_attempt(now, AfterStop::Fail { cause, task: None }),
        }
    }
}

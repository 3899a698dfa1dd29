//! The end of an attempt: what failed or was asked for, who still has to stop, and what follows.

use std::collections::BTreeSet;

use tidegate_core::{ProcessingTime, Severity, TaskError, WorkerId, control::WorkerOrder};

use crate::{
    checkpoint::Checkpointing,
    command::Notice,
    coordinator::{AfterStop, Coordinator, ExportStage, Phase, Wanted},
    newcomer::Seat,
    opening::Opening,
    restart::Verdict,
    status::Outcome,
};

impl Coordinator {
    pub(crate) fn task_failed(&mut self, now: ProcessingTime, worker: WorkerId, error: TaskError) {
        let cause = error.to_string();
        let host = self.host(worker);
        match error.severity {
            Severity::Restart => self.attempt_failed(now, host, cause),
            Severity::FailJob => {
                self.remember(now, host, cause.clone());
                let task = Some(error);
                self.end_attempt(now, AfterStop::Fail { cause, task });
            }
        }
    }

    pub(crate) fn lose_worker(&mut self, now: ProcessingTime, worker: WorkerId, reason: &str) {
        let host = self.host(worker);
        if self.workers.remove(&worker).is_none() {
            return;
        }
        // Those who lost their connection with it may have said so first.
        let is_restarting = matches!(
            self.phase,
            Phase::Restarting { .. }
                | Phase::Stopping {
                    then: AfterStop::Restart { .. },
                    ..
                }
        );
        let was_member = match &mut self.phase {
            Phase::Deploying { members, waiting } => {
                waiting.remove(&worker);
                members.remove(&worker)
            }
            Phase::Running(running) => running.members.remove(&worker),
            Phase::Resolving { members, .. } => {
                members.remove(&worker);
                false
            }
            Phase::Stopping { waiting, .. } => {
                waiting.remove(&worker);
                self.finish_stop(now);
                false
            }
            Phase::Created(_) | Phase::Restarting { .. } | Phase::Terminated(_) => false,
        };
        let cause = format!("worker {worker} is lost: {reason}");
        if was_member {
            self.attempt_failed(now, host, cause);
        } else if is_restarting {
            self.remember(now, host, cause);
        }
    }

    /// The attempt cannot go on; the strategy says whether another follows.
    pub(crate) fn attempt_failed(&mut self, now: ProcessingTime, host: Option<Seat>, cause: String) {
        self.remember(now, host, cause.clone());
        if !matches!(self.phase, Phase::Deploying { .. } | Phase::Running(_)) {
            return;
        }
        let then = match self.restarts.failed(now) {
            Verdict::After(delay) => {
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                self.notify(Notice::Restarting { cause, delay_ms });
                self.statistics.restarts += 1;
                AfterStop::Restart { delay_ms }
            }
            Verdict::GiveUp => AfterStop::Fail { cause, task: None },
        };
        self.end_attempt(now, then);
    }

    /// Ends the attempt, if one is going on, or changes what follows its end. A claim in flight is resolved first.
    pub(crate) fn end_attempt(&mut self, now: ProcessingTime, then: AfterStop) {
        let then = match self.wanted {
            Wanted::Cancel { .. } => AfterStop::Cancel,
            _ => then,
        };
        match std::mem::replace(&mut self.phase, Phase::Created(Opening::New)) {
            Phase::Deploying { members, .. } => self.stop(now, members, then),
            Phase::Running(running) => match running.checkpointing {
                Checkpointing::Claiming { candidate, record } => {
                    self.phase = Phase::Resolving {
                        members: running.members,
                        candidate,
                        record,
                        then,
                    };
                }
                checkpointing => {
                    self.drop_checkpoint(
                        &checkpointing,
                        "the job failed or was cancelled while it was taken",
                    );
                    self.stop(now, running.members, then);
                }
            },
            Phase::Resolving {
                members,
                candidate,
                record,
                then: planned,
            } => {
                self.phase = Phase::Resolving {
                    members,
                    candidate,
                    record,
                    then: graver(planned, then),
                };
            }
            Phase::Stopping {
                waiting,
                deadline,
                then: planned,
            } => {
                self.phase = Phase::Stopping {
                    waiting,
                    deadline,
                    then: graver(planned, then),
                };
            }
            other => self.phase = other,
        }
    }

    /// Tells workers to end their tasks.
    pub(crate) fn stop(&mut self, now: ProcessingTime, members: BTreeSet<WorkerId>, then: AfterStop) {
        let attempt = self.attempt;
        self.send_all(&members, &WorkerOrder::Stop { attempt });
        self.phase = Phase::Stopping {
            waiting: members,
            deadline: now.after(self.options.stop_timeout),
            then,
        };
        self.finish_stop(now);
    }

    pub(crate) fn worker_stopped(&mut self, now: ProcessingTime, worker: WorkerId) {
        if let Phase::Stopping { waiting, .. } = &mut self.phase {
            waiting.remove(&worker);
            self.finish_stop(now);
        }
    }

    /// Goes on if all tasks are gone. A job that ends as it should lets savepoints be copied first.
    pub(crate) fn finish_stop(&mut self, now: ProcessingTime) {
        let Phase::Stopping { waiting, then, .. } = &self.phase else {
            return;
        };
        let copying = self
            .exports
            .iter()
            .any(|export| export.stage == ExportStage::Copying);
        let lets_copy = matches!(then, AfterStop::Suspend | AfterStop::Finish);
        if !waiting.is_empty() || (lets_copy && copying) {
            return;
        }
        let epoch = self.tail_epoch();
        let uncommitted = self.uncommitted();
        match then.clone() {
            AfterStop::Restart { delay_ms } => {
                let delay = std::time::Duration::from_millis(delay_ms);
                self.phase = Phase::Restarting { at: now.after(delay) };
            }
            AfterStop::Reopen => self.read_chain(),
            AfterStop::Fail { cause, task } => self.terminate(Outcome::Failed {
                cause,
                task,
                uncommitted,
            }),
            AfterStop::Cancel => self.terminate(Outcome::Canceled { uncommitted }),
            AfterStop::Suspend => self.terminate(Outcome::Suspended { epoch }),
            AfterStop::Finish => self.terminate(Outcome::Finished {
                epoch: epoch.unwrap_or_default(),
            }),
            AfterStop::Fenced { epoch, generation } => self.terminate(Outcome::Fenced { epoch, generation }),
        }
    }

    /// Tasks that do not end hold on to staged output and connections: another attempt beside them is not safe, so the
    /// job ends.
    pub(crate) fn expire_stop(&mut self, now: ProcessingTime) {
        let Phase::Stopping {
            waiting,
            deadline,
            then,
        } = &mut self.phase
        else {
            return;
        };
        if *deadline > now || waiting.is_empty() {
            return;
        }
        let silent: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        if matches!(then, AfterStop::Restart { .. } | AfterStop::Reopen) {
            let cause = format!(
                "workers {} did not stop their tasks within {:?}, so the job cannot be restarted beside them; end the process and start the job again",
                silent.join(", "),
                self.options.stop_timeout
            );
            *then = AfterStop::Fail { cause, task: None };
        }
        waiting.clear();
        self.finish_stop(now);
    }

    pub(crate) fn cancel(&mut self, now: ProcessingTime) {
        if matches!(self.wanted, Wanted::Cancel { .. }) {
            return;
        }
        let ends_anyway = matches!(
            &self.phase,
            Phase::Stopping {
                then: AfterStop::Fail { .. }
                    | AfterStop::Fenced { .. }
                    | AfterStop::Finish
                    | AfterStop::Suspend,
                ..
            }
        );
        if ends_anyway {
            return;
        }
        self.abandon_suspend();
        self.wanted = Wanted::Cancel {
            deadline: now.after(self.options.stop_timeout),
        };
        match &self.phase {
            Phase::Created(_) | Phase::Restarting { .. } => {
                let uncommitted = self.uncommitted();
                self.terminate(Outcome::Canceled { uncommitted });
            }
            // What is being claimed or committed decides first; the deadline ends the wait.
            Phase::Running(running)
                if matches!(
                    running.checkpointing,
                    Checkpointing::Claiming { .. } | Checkpointing::Committing { .. }
                ) => {}
            _ => self.end_attempt(now, AfterStop::Cancel),
        }
    }

    /// A savepoint that was to suspend the job is waiting no longer for its suspension, but for the end.
    fn abandon_suspend(&mut self) {
        if let Wanted::Suspend { savepoint, .. } = &mut self.wanted
            && let Some(savepoint) = savepoint.take()
        {
            self.savepoints.push_back(savepoint);
        }
    }

    pub(crate) fn expire_cancel(&mut self, now: ProcessingTime) {
        let Wanted::Cancel { deadline } = self.wanted else {
            return;
        };
        if deadline > now {
            return;
        }
        let members = match &self.phase {
            Phase::Running(running) => running.members.clone(),
            Phase::Resolving { members, .. } => members.clone(),
            _ => return,
        };
        self.stop(now, members, AfterStop::Cancel);
    }
}

/// What follows an attempt for which two things have been decided: the one that ends more.
fn graver(planned: AfterStop, then: AfterStop) -> AfterStop {
    match (&planned, &then) {
        (AfterStop::Restart { .. } | AfterStop::Reopen, _) => then,
        _ => planned,
    }
}

//! An overdue checkpoint: before it is given up, the workers that owe their part are asked what it waits for.
//!
//! The answers are for people, so they are waited for a bounded time only, and an acknowledgement that comes meanwhile
//! counts as an answer: a checkpoint that has timed out does not come to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tidegate_core::{CheckpointId, Holdup, ProcessingTime, WorkerId, control::WorkerOrder};

use crate::{
    checkpoint::{Checkpointing, Trigger},
    coordinator::{Coordinator, Phase},
};

/// How long workers may take to say what their part waits for.
pub(crate) const EXPLANATION_TIME: Duration = Duration::from_secs(1);
/// How many workers a cause speaks of; of the others it gives the number.
const NAMED_WORKERS: usize = 8;

/// What a worker made of the question.
#[derive(Debug)]
enum Answer {
    Explained(Holdup),
    /// Its part has come after all.
    Acknowledged,
}

/// The question, and what has come of it.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// When answers are not waited for any longer.
    pub(crate) until: ProcessingTime,
    waiting: BTreeSet<WorkerId>,
    answers: BTreeMap<WorkerId, Answer>,
}

impl Inquiry {
    fn new(waiting: BTreeSet<WorkerId>, until: ProcessingTime) -> Self {
        let answers = BTreeMap::new();
        Self {
            until,
            waiting,
            answers,
        }
    }

    /// Takes an answer; true if it was the last.
    fn answered(&mut self, worker: WorkerId, answer: Answer) -> bool {
        if self.waiting.remove(&worker) {
            self.answers.insert(worker, answer);
        }
        self.waiting.is_empty()
    }

    /// Why the checkpoint was not acknowledged in time, as far as is known.
    fn cause(&self, timeout: Duration) -> String {
        let answered = self.answers.iter().map(|(worker, answer)| match answer {
            Answer::Explained(holdup) => format!("worker {worker}: {holdup}"),
            Answer::Acknowledged => format!("worker {worker} acknowledged it too late"),
        });
        let silent = self.waiting.iter();
        let silent = silent.map(|worker| format!("worker {worker} did not say what it waits for"));
        let mut reasons: Vec<String> = answered.chain(silent).collect();
        let more = reasons.len().saturating_sub(NAMED_WORKERS);
        if more > 0 {
            reasons.truncate(NAMED_WORKERS);
            reasons.push(format!("{more} more workers"));
        }
        format!(
            "it was not acknowledged within {timeout:?}: {}",
            reasons.join("; ")
        )
    }
}

impl Coordinator {
    /// Asks the workers that owe their part of the checkpoint in flight what it waits for.
    pub(crate) fn ask_for_explanation(
        &mut self,
        now: ProcessingTime,
        trigger: Trigger,
        silent: BTreeSet<WorkerId>,
    ) {
        let order = WorkerOrder::Explain {
            attempt: self.attempt,
            checkpoint: trigger.checkpoint,
        };
        self.send_all(&silent, &order);
        self.set_checkpointing(Checkpointing::Overdue {
            trigger,
            inquiry: Inquiry::new(silent, now.after(EXPLANATION_TIME)),
        });
    }

    pub(crate) fn explained(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
        holdup: Holdup,
    ) {
        self.overdue_answered(now, worker, checkpoint, Answer::Explained(holdup));
    }

    pub(crate) fn acknowledged_too_late(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
    ) {
        self.overdue_answered(now, worker, checkpoint, Answer::Acknowledged);
    }

    fn overdue_answered(
        &mut self,
        now: ProcessingTime,
        worker: WorkerId,
        checkpoint: CheckpointId,
        answer: Answer,
    ) {
        if let Phase::Running(running) = &mut self.phase
            && let Checkpointing::Overdue { trigger, inquiry } = &mut running.checkpointing
            && trigger.checkpoint == checkpoint
            && inquiry.answered(worker, answer)
        {
            self.give_up_overdue(now);
        }
    }

    /// Gives up an overdue checkpoint with what is known about it.
    pub(crate) fn give_up_overdue(&mut self, now: ProcessingTime) {
        let timeout = self.options.checkpoints.timeout;
        if let Phase::Running(running) = &self.phase
            && let Checkpointing::Overdue { inquiry, .. } = &running.checkpointing
        {
            let cause = inquiry.cause(timeout);
            self.abort_checkpoint(now, &cause);
        }
    }
}

//! Saying what an overdue checkpoint waits for: the executors are asked, and for those that do not answer, because a
//! task holds their thread, what can be seen from outside is said instead.

use std::{collections::BTreeMap, time::Duration};

use tidegate_core::{Attempt, CheckpointId, Holdup, Straggler, WaitsFor, control::WorkerReport};

use super::{Event, Running, Service};
use crate::{executor::Command, worker::WorkerError};

/// How long executors may take to answer. Shorter than the coordinator's patience.
const ANSWER_TIME: Duration = Duration::from_millis(400);

/// The answers of the executors to one question.
#[derive(Debug)]
pub(super) struct Explanation {
    checkpoint: CheckpointId,
    /// By slot.
    answers: BTreeMap<usize, Vec<Straggler>>,
}

impl Service {
    /// Begins to find out what a checkpoint waits for.
    pub(super) fn explain(&mut self, attempt: Attempt, checkpoint: CheckpointId) {
        let events = self.events.clone();
        let Some(running) = self.current(attempt) else {
            return;
        };
        running.explanation = Some(Explanation {
            checkpoint,
            answers: BTreeMap::new(),
        });
        self.tell_all(attempt, &Command::Explain(checkpoint));
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TIME).await;
            let _ = events.send(Event::ExplanationDue(attempt, checkpoint));
        });
    }

    /// An executor has answered.
    pub(super) async fn explained(
        &mut self,
        attempt: Attempt,
        slot: usize,
        checkpoint: CheckpointId,
        stragglers: Vec<Straggler>,
    ) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        let slots = running.watches.len();
        let Some(explanation) = running.asked(checkpoint) else {
            return Ok(());
        };
        explanation.answers.insert(slot, stragglers);
        if explanation.answers.len() < slots {
            return Ok(());
        }
        self.conclude_explanation(attempt, checkpoint).await
    }

    /// Reports what is known, if that has not been done.
    pub(super) async fn conclude_explanation(
        &mut self,
        attempt: Attempt,
        checkpoint: CheckpointId,
    ) -> Result<(), WorkerError> {
        let now_ns = self.worker.clock.nanos();
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        if running.asked(checkpoint).is_none() {
            return Ok(());
        }
        let Some(explanation) = running.explanation.take() else {
            return Ok(());
        };
        let holdup = running.holdup(explanation, now_ns);
        self.report(WorkerReport::Explained {
            attempt,
            checkpoint,
            holdup,
        })
        .await
    }
}

impl Running {
    fn asked(&mut self, checkpoint: CheckpointId) -> Option<&mut Explanation> {
        self.explanation
            .as_mut()
            .filter(|explanation| explanation.checkpoint == checkpoint)
    }

    fn holdup(&self, explanation: Explanation, now_ns: u64) -> Holdup {
        let Explanation {
            checkpoint,
            mut answers,
        } = explanation;
        if self.participant.is_over(checkpoint) {
            return Holdup::Segments;
        }
        let missing = |straggler: &Straggler| !self.participant.has_part(checkpoint, straggler.task.task);
        if self
            .tasks
            .iter()
            .all(|task| self.participant.has_part(checkpoint, *task))
        {
            return Holdup::StagedOutput(self.ledger.pending(checkpoint));
        }
        let stragglers = self.watches.iter().enumerate().flat_map(|(slot, watch)| {
            answers.remove(&slot).unwrap_or_else(|| {
                let hold = watch.hold(now_ns);
                let waits_for = WaitsFor::Thread {
                    operator: hold.as_ref().and_then(|hold| hold.operator.clone()),
                    held_for: hold.as_ref().map_or(ANSWER_TIME, |hold| hold.held_for),
                    holder: hold.map(|hold| hold.holder),
                };
                let tasks = watch.tasks().iter();
                tasks
                    .map(|watched| Straggler {
                        task: watched.task.clone(),
                        waits_for: waits_for.clone(),
                    })
                    .collect()
            })
        });
        Holdup::Tasks(stragglers.filter(missing).collect())
    }
}

//! What is said over one attachment: orders in, reports, measurements and signs of life out.

use std::time::Duration;

use tidegate_core::{
    CheckpointId, Generation,
    control::{WorkerOrder, WorkerReport},
};
use tidegate_proto::control::{FromWorker, MESSAGE_LIMIT_BYTES, ToWorker, WorkerContent, WorkerDirective};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, timeout},
};
use tonic::Streaming;

use super::LinkError;
use crate::{metrics::WorkerMetrics, standing::Standing};

/// The generations that matter to an attachment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Generations {
    /// The highest that the worker has been told of, by whomever.
    pub(super) known: Generation,
    /// That of the coordinator at the other end; 0 while it has none.
    pub(super) other_end: Generation,
}

impl Generations {
    /// Those of a worker that has been told of `known`, and is let in by a coordinator of generation `other_end`.
    pub(super) fn new(known: Generation, other_end: Generation) -> Result<Self, LinkError> {
        let mut generations = Self {
            known,
            other_end: Generation::default(),
        };
        generations.hear(other_end, false)?;
        Ok(generations)
    }

    /// Takes note of a message's generation.
    fn hear(&mut self, from: Generation, is_order: bool) -> Result<(), LinkError> {
        let has_none = from == Generation::default() && !is_order;
        if from < self.known && !has_none {
            return Err(LinkError::Outdated {
                from,
                known: self.known,
            });
        }
        self.known = self.known.max(from);
        self.other_end = self.other_end.max(from);
        Ok(())
    }

    /// Whether the coordinator may be told something: it takes reports under its own generation.
    fn may_report(&self) -> bool {
        self.other_end != Generation::default()
    }
}

/// Hands orders to the worker. Ends well when the coordinator ends the stream.
pub(super) async fn take_orders(
    incoming: &mut Streaming<ToWorker>,
    generations: &watch::Sender<Generations>,
    standing: &Standing,
    orders: &mpsc::Sender<WorkerOrder>,
    silence: Duration,
) -> Result<(), LinkError> {
    let lost = |reason: String| Err(LinkError::Lost { reason });
    loop {
        let message = match timeout(silence, incoming.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(status)) if status.code() == tonic::Code::Aborted => {
                return Err(LinkError::Refused {
                    reason: status.message().to_owned(),
                });
            }
            Ok(Err(status)) => return lost(status.message().to_owned()),
            Err(_) => return lost(format!("it has not been heard of for {silence:?}")),
        };
        let is_order = matches!(message.directive, WorkerDirective::Order(_));
        let mut heard = *generations.borrow();
        heard.hear(message.generation, is_order)?;
        generations.send_if_modified(|before| std::mem::replace(before, heard) != heard);
        match message.directive {
            WorkerDirective::Heartbeat => {}
            WorkerDirective::Order(order) => {
                standing.led_by(message.generation, order.attempt());
                if orders.send(order).await.is_err() {
                    // The worker has ended by itself and says why.
                    return Ok(());
                }
            }
            WorkerDirective::Attached(_) => return lost("it attached the worker twice".to_owned()),
        }
    }
}

/// Takes reports to the coordinator, and whenever a sign of life is due what was measured. Ends when the worker ends.
pub(super) async fn send_reports(
    reports: &mut mpsc::Receiver<WorkerReport>,
    generations: &watch::Sender<Generations>,
    metrics: &WorkerMetrics,
    outgoing: &mpsc::Sender<FromWorker>,
    beat: Duration,
) -> Result<(), LinkError> {
    let mut beats = tokio::time::interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = generations.subscribe();
    loop {
        let may_report = heard.borrow_and_update().may_report();
        let contents = tokio::select! {
            report = reports.recv(), if may_report => match report {
                // No figures come after the end, so the last come right before it.
                Some(report) if ends_tasks(&report) => {
                    [Some(sign_of_life(metrics)), Some(WorkerContent::Report(report))]
                }
                Some(report) => [Some(WorkerContent::Report(report)), None],
                None => return Ok(()),
            },
            _ = heard.changed(), if !may_report => continue,
            _ = beats.tick() => [Some(sign_of_life(metrics)), None],
        };
        for content in contents.into_iter().flatten() {
            let message = FromWorker {
                generation: generations.borrow().known,
                content,
            };
            if outgoing.send(within_limit(message)).await.is_err() {
                // The other half of the link hears why.
                return std::future::pending().await;
            }
        }
    }
}

fn ends_tasks(report: &WorkerReport) -> bool {
    matches!(report, WorkerReport::Ended { .. } | WorkerReport::Stopped { .. })
}

fn sign_of_life(metrics: &WorkerMetrics) -> WorkerContent {
    let measurement = metrics.measure();
    match measurement.tasks.is_empty() {
        true => WorkerContent::Heartbeat,
        false => WorkerContent::Measurement(measurement),
    }
}

/// An acknowledgement that no message can hold becomes a declined checkpoint with a reason, not a broken link.
fn within_limit(message: FromWorker) -> FromWorker {
    let FromWorker {
        generation,
        content:
            WorkerContent::Report(WorkerReport::Acknowledged {
                attempt, checkpoint, ..
            }),
    } = &message
    else {
        return message;
    };
    let size = message.encoded_size();
    if size <= MESSAGE_LIMIT_BYTES {
        return message;
    }
    FromWorker {
        generation: *generation,
        content: WorkerContent::Report(WorkerReport::Declined {
            attempt: *attempt,
            checkpoint: *checkpoint,
            reason: too_large(*checkpoint, size),
        }),
    }
}

fn too_large(checkpoint: CheckpointId, size: usize) -> String {
    format!(
        "the acknowledgement of checkpoint {checkpoint} has {size} bytes where {MESSAGE_LIMIT_BYTES} are the most; keep less \
         state that is not keyed, or run fewer tasks on a worker"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_generations_are_not_obeyed_and_those_without_one_are_not_told_anything() {
        // What is heard, whether as an order, and what comes of it: the known generation and whether reports may go.
        type Step = (u64, bool, Option<(u64, bool)>);
        let cases: [(u64, &[Step]); 4] = [
            (0, &[(0, false, Some((0, false))), (3, true, Some((3, true)))]),
            (
                5,
                &[
                    (0, false, Some((5, false))),
                    (6, false, Some((6, true))),
                    (6, true, Some((6, true))),
                ],
            ),
            (5, &[(0, true, None)]),
            (5, &[(4, false, None)]),
        ];
        for (known, steps) in cases {
            let mut generations = Generations::new(Generation(known), Generation::default()).unwrap();
            for (from, is_order, expected) in steps {
                let heard = generations.hear(Generation(*from), *is_order).ok();
                let found = heard.map(|()| (generations.known.0, generations.may_report()));
                assert_eq!(found, *expected, "{known} {from}");
            }
        }
    }
}

//! One attached worker: its orders out, its reports in, for as long as both are heard of.

use std::time::Duration;

use futures::Stream;
use tidegate_core::{Generation, WorkerId, control::WorkerOrder};
use tidegate_driver::{DriverHandle, ReportSender};
use tidegate_proto::control::{FromWorker, ToWorker, WorkerContent, WorkerDirective};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, timeout},
};
use tonic::{Status, Streaming};

use crate::roster::Seated;

/// Messages to a worker that gRPC has not taken yet. What the worker does not read stays here and in the queue of its
/// orders, which the driver watches.
pub(crate) const OUTGOING_CAPACITY: usize = 16;

/// How often to beat and how long to wait for a beat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// One attached worker.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) driver: DriverHandle,
    pub(crate) reports: ReportSender,
    pub(crate) orders: mpsc::Receiver<WorkerOrder>,
    pub(crate) incoming: Streaming<FromWorker>,
    pub(crate) outgoing: mpsc::Sender<Result<ToWorker, Status>>,
    pub(crate) seat: Seated,
    pub(crate) pulse: Pulse,
}

/// How a session ends.
enum End {
    /// The job has ended.
    JobEnded,
    /// The worker is gone, or as good as gone, with what it is told if it still listens.
    Lost(Status),
}

/// The stream of what is sent to a worker.
pub(crate) fn outgoing_stream<T>(mut queue: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    futures::stream::poll_fn(move |context| queue.poll_recv(context))
}

/// The generation of a job's coordinator as of now.
pub(crate) fn generation(driver: &DriverHandle) -> Generation {
    driver.status().borrow().generation.unwrap_or_default()
}

impl Session {
    pub(crate) async fn run(mut self) {
        let worker = self.reports.worker();
        let end = tokio::select! {
            biased;
            () = self.seat.asked_to_leave() => End::Lost(Status::aborted(
                "its place was given to another process of its name, or its job was withdrawn",
            )),
            end = give_orders(&self.driver, &mut self.orders, &self.outgoing, self.pulse) => end,
            end = take_reports(&self.driver, &self.reports, &mut self.incoming, self.pulse) => end,
        };
        match end {
            End::JobEnded => self.see_off(worker).await,
            End::Lost(status) => {
                let reason = status.message().to_owned();
                tracing::warn!(%worker, name = self.name, reason, "worker lost");
                // A worker that does not read will notice the end of its stream.
                let _ = self.outgoing.try_send(Err(status));
                // A driver that has ended needs not be told.
                let _ = self
                    .driver
                    .lose_worker(worker, format!("worker {:?}: {reason}", self.name))
                    .await;
            }
        }
    }

    /// Ends the stream in order and waits, within bounds, until the worker has ended its own.
    async fn see_off(mut self, worker: WorkerId) {
        drop(self.outgoing);
        let last_words = async { while let Ok(Some(_)) = self.incoming.message().await {} };
        let in_time = timeout(self.pulse.timeout, last_words).await.is_ok();
        tracing::debug!(%worker, name = self.name, in_time, "worker seen off");
    }
}

async fn give_orders(
    driver: &DriverHandle,
    orders: &mut mpsc::Receiver<WorkerOrder>,
    outgoing: &mpsc::Sender<Result<ToWorker, Status>>,
    pulse: Pulse,
) -> End {
    let mut beats = tokio::time::interval(pulse.interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let directive = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => WorkerDirective::Order(order),
                None => return end_of_orders(driver),
            },
            _ = beats.tick() => WorkerDirective::Heartbeat,
        };
        let message = ToWorker {
            generation: generation(driver),
            directive,
        };
        if outgoing.send(Ok(message)).await.is_err() {
            return End::Lost(Status::unavailable("its connection broke"));
        }
    }
}

async fn take_reports(
    driver: &DriverHandle,
    reports: &ReportSender,
    incoming: &mut Streaming<FromWorker>,
    pulse: Pulse,
) -> End {
    loop {
        let message = match timeout(pulse.timeout, incoming.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return End::Lost(Status::unavailable("it ended its stream")),
            Ok(Err(status)) => {
                let reason = format!("its connection broke: {}", status.message());
                return End::Lost(Status::new(status.code(), reason));
            }
            Err(_) => {
                return End::Lost(Status::deadline_exceeded(format!(
                    "it has not been heard of for {:?}",
                    pulse.timeout
                )));
            }
        };
        match message.content {
            // What a beat is late about the next one makes good.
            WorkerContent::Heartbeat | WorkerContent::Measurement(_) => {}
            WorkerContent::Report(report) => {
                let leads = generation(driver);
                if message.generation != leads {
                    return End::Lost(Status::failed_precondition(format!(
                        "it reports to generation {} and generation {leads} leads",
                        message.generation
                    )));
                }
                if reports.send(report).await.is_err() {
                    return end_of_orders(driver);
                }
            }
            WorkerContent::Leaving { reason } => return End::Lost(Status::aborted(reason)),
            WorkerContent::Registration(_) => {
                return End::Lost(Status::failed_precondition("it registered twice on one stream"));
            }
        }
    }
}

/// A driver that is gone has ended its job, or has died.
fn end_of_orders(driver: &DriverHandle) -> End {
    match driver.status().borrow().outcome {
        Some(_) => End::JobEnded,
        None => End::Lost(Status::unavailable("the job's coordinator is gone")),
    }
}

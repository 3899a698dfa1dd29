//! One attached worker: its orders out, its reports in, for as long as both are heard of.

use std::{sync::Arc, time::Duration};

use futures::Stream;
use tidegate_core::{Generation, WorkerId, control::WorkerOrder};
use tidegate_driver::{DriverHandle, ReportSender};
use tidegate_proto::control::{FromWorker, ToWorker, WorkerContent, WorkerDirective};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, timeout},
};
use tonic::{Status, Streaming};

use crate::roster::{Leave, Seated, WorkerWatcher};

/// Messages to a worker that gRPC has not taken yet. What the worker does not read stays here and in the queue of its
/// orders, which the driver watches.
pub(crate) const OUTGOING_CAPACITY: usize = 16;

/// How long to wait, after a worker's connection broke, for word of how its process ended, before the process is ended.
const CAUSE_PATIENCE: Duration = Duration::from_millis(200);

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
    pub(crate) watcher: Option<Arc<dyn WorkerWatcher>>,
    /// The generation that it obeyed when it attached, if it still runs something: until it is told of this coordinator's,
    /// it reports to that.
    pub(crate) stays_with: Option<Generation>,
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
    /// The worker is known to be gone, and its driver as well.
    Dismissed,
}

impl End {
    fn asked(leave: Leave) -> Self {
        match leave {
            Leave::Gone => Self::Dismissed,
            Leave::Close => Self::Lost(Status::unavailable("the job manager is about to end")),
            Leave::MakeRoom => Self::Lost(Status::aborted(
                "its place was given to another process of its name, or its job was withdrawn",
            )),
        }
    }
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
            leave = self.seat.asked_to_leave() => End::asked(leave),
            end = give_orders(&self.driver, &mut self.orders, &self.outgoing, self.pulse) => end,
            end = take_reports(&self.driver, &self.reports, &mut self.incoming, self.watcher.as_deref(), self.stays_with, self.pulse) => end,
        };
        match end {
            End::JobEnded => self.see_off(worker).await,
            End::Dismissed => self.leave(worker),
            End::Lost(status) => {
                let reason = format!("worker {:?}: {}", self.name, status.message());
                tracing::warn!(%worker, reason, "worker lost");
                // A worker that does not read will notice the end of its stream.
                let _ = self.outgoing.try_send(Err(status));
                // A driver that has ended needs not be told.
                let _ = self.driver.lose_worker(worker, reason).await;
                if self.watcher.is_some() {
                    // What is left of its process is ended then. If it has ended by itself, how is a better cause.
                    let _ = timeout(CAUSE_PATIENCE, self.seat.asked_to_leave()).await;
                }
                self.leave(worker);
            }
        }
    }

    fn leave(self, worker: WorkerId) {
        if let Some(watcher) = &self.watcher {
            watcher.lost(worker, &self.name);
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
    watcher: Option<&dyn WorkerWatcher>,
    stays_with: Option<Generation>,
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
            WorkerContent::Heartbeat => {}
            WorkerContent::Measurement(measurement) => {
                if let Some(watcher) = watcher {
                    watcher.measured(reports.worker(), measurement);
                }
            }
            WorkerContent::Report(report) => {
                let leads = generation(driver);
                if message.generation != leads && stays_with != Some(message.generation) {
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

//! One attached task manager: its orders out, its reports in, for as long as both are heard of.

use std::{sync::Arc, time::Duration};

use tidegate_coordinator::cluster::ClusterEvent;
use tidegate_core::Severity;
use tidegate_proto::taskmanager::{
    Content, Directive, FromTaskManager, Order, Report, ToTaskManager, WorkerEnd,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, sleep, timeout},
};
use tonic::{Status, Streaming};

use super::link::TaskManagerLink;
use crate::cluster::dispatcher::Dispatcher;

/// How long a task manager whose connection broke may take to attach again before its workers count as gone: the break is
/// a hint, and whoever is alive tries again after 50 ms.
const REATTACHMENT: Duration = Duration::from_millis(150);

/// One attached task manager.
pub(super) struct Session {
    pub(super) link: Arc<TaskManagerLink>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) incoming: Streaming<FromTaskManager>,
    pub(super) outgoing: mpsc::Sender<Result<ToTaskManager, Status>>,
    pub(super) asked_to_leave: oneshot::Receiver<()>,
    pub(super) dispatcher: Arc<Dispatcher>,
}

/// How a session ends.
enum End {
    /// Another session has its seat, or the port closes.
    Replaced,
    /// It said so.
    Left(String),
    /// Its connection broke; it may come back.
    Broken(String),
    /// It is as good as gone.
    Lost(Status),
}

impl Session {
    pub(super) async fn run(mut self) {
        let end = tokio::select! {
            biased;
            _ = &mut self.asked_to_leave => End::Replaced,
            end = give_orders(&self.dispatcher, &mut self.orders, &self.outgoing) => end,
            end = take_reports(&self.dispatcher, &self.link, &mut self.incoming) => end,
        };
        self.dispatcher.task_managers.leave(&self.link);
        self.link.close();
        let (reason, may_come_back) = match end {
            End::Replaced => {
                let status =
                    Status::aborted("another process of its id has attached, or the job manager is ending");
                // One that does not read will notice the end of its stream.
                let _ = self.outgoing.try_send(Err(status));
                return;
            }
            End::Left(reason) => (format!("it was shut down: {reason}"), false),
            End::Broken(reason) => (reason, true),
            End::Lost(status) => {
                let reason = status.message().to_owned();
                let _ = self.outgoing.try_send(Err(status));
                (reason, false)
            }
        };
        drop(self.outgoing);
        if may_come_back {
            sleep(REATTACHMENT).await;
        }
        let id = self.link.id();
        // Whoever sits there now has told the cluster everything when it came.
        if self.dispatcher.task_managers.find(id).is_some() {
            return;
        }
        tracing::warn!(task_manager = %id, reason, "task manager lost");
        let event = ClusterEvent::TaskManagerLost {
            task_manager: id.clone(),
            incarnation: self.link.registration.incarnation,
            reason,
        };
        // A cluster that has ended needs not be told.
        let _ = self.dispatcher.tell(event).await;
    }
}

async fn give_orders(
    dispatcher: &Dispatcher,
    orders: &mut mpsc::Receiver<Order>,
    outgoing: &mpsc::Sender<Result<ToTaskManager, Status>>,
) -> End {
    let mut beats = tokio::time::interval(dispatcher.options.port.heartbeat_interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let directive = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => Directive::Order(order),
                None => return End::Replaced,
            },
            _ = beats.tick() => Directive::Heartbeat,
        };
        let message = ToTaskManager {
            generation: dispatcher.generation,
            directive,
        };
        if outgoing.send(Ok(message)).await.is_err() {
            return End::Broken("its connection broke".to_owned());
        }
    }
}

async fn take_reports(
    dispatcher: &Dispatcher,
    link: &TaskManagerLink,
    incoming: &mut Streaming<FromTaskManager>,
) -> End {
    let silence = dispatcher.options.port.heartbeat_timeout;
    loop {
        let message = match timeout(silence, incoming.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return End::Broken("it ended its stream".to_owned()),
            Ok(Err(status)) => return End::Broken(format!("its connection broke: {}", status.message())),
            Err(_) => {
                return End::Lost(Status::deadline_exceeded(format!(
                    "it has not been heard of for {silence:?}"
                )));
            }
        };
        if message.generation > dispatcher.generation {
            return End::Lost(Status::failed_precondition(format!(
                "it obeys generation {} and this job manager is generation {}, which is over",
                message.generation, dispatcher.generation
            )));
        }
        let now = dispatcher.clock.now_ms();
        match message.content {
            Content::Heartbeat(resources) => link.heard(now, Some(resources)),
            Content::Report(report) => {
                link.heard(now, None);
                match event(link, report) {
                    Ok(event) => {
                        if dispatcher.tell(event).await.is_err() {
                            return End::Replaced;
                        }
                    }
                    Err(answer) => link.answered(answer),
                }
            }
            Content::Leaving { reason } => return End::Left(reason),
            Content::Registration(_) => {
                return End::Lost(Status::failed_precondition("it registered twice on one stream"));
            }
        }
    }
}

/// What a report means to the cluster; answers to questions are not for it.
fn event(link: &TaskManagerLink, report: Report) -> Result<ClusterEvent, Report> {
    let task_manager = link.id().clone();
    match report {
        Report::WorkerStarted {
            job,
            worker,
            process_id,
        } => {
            tracing::info!(%job, %worker, process_id, "worker started");
            Ok(ClusterEvent::WorkerStarted {
                task_manager,
                job,
                worker,
            })
        }
        Report::WorkerEnded {
            job,
            worker,
            end,
            last_words,
        } => {
            let reason = cause(&end, &last_words);
            tracing::info!(%job, %worker, reason, "worker ended");
            // A job that needs more memory than it may have needs it again after a restart.
            let severity = match end {
                WorkerEnd::MemoryLimit { .. } => Severity::FailJob,
                _ => Severity::Restart,
            };
            Ok(ClusterEvent::WorkerEnded {
                task_manager,
                job,
                worker,
                reason,
                severity,
            })
        }
        answer => Err(answer),
    }
}

fn cause(end: &WorkerEnd, last_words: &str) -> String {
    let last_words = last_words.trim();
    if last_words.is_empty() {
        return end.to_string();
    }
    format!("{end}; its last words were: {last_words}")
}

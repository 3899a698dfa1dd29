//! The loop around the coordinator.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tidegate_coordinator::{
    Command, Coordinator, CoordinatorOptions, Event, JobDescription, JobStatus, NewcomerError, Notice,
    Outcome, RequestId, SavepointError, SavepointInfo,
};
use tidegate_core::{FaultPoint, Faults, Lineage, ProcessingTime, WorkerId, control::WorkerOrder};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    background::Background,
    effect,
    error::DriverError,
    handle::{DriverHandle, MESSAGE_CAPACITY, Message},
    options::DriverOptions,
    publish,
    store::JobStore,
};

/// How often a driver under test looks whether somebody else has struck a fault.
const FAULT_WATCH: Duration = Duration::from_millis(5);
/// How long the end of a job waits for advisory writes and collection.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs one job's coordinator. Made by [`Driver::new`], consumed by [`Driver::run`].
#[derive(Debug)]
pub struct Driver {
    coordinator: Coordinator,
    store: JobStore,
    leader: String,
    faults: Faults,
    messages: mpsc::Receiver<Message>,
    status: watch::Sender<JobStatus>,
    workers: HashMap<WorkerId, mpsc::Sender<WorkerOrder>>,
    requests: HashMap<RequestId, oneshot::Sender<Result<SavepointInfo, SavepointError>>>,
    arrivals: HashMap<RequestId, Arrival>,
    effects: JoinSet<Event>,
    background: Background,
    clock: Clock,
}

/// A worker that waits to be let in.
#[derive(Debug)]
struct Arrival {
    orders: mpsc::Sender<WorkerOrder>,
    answer: oneshot::Sender<Result<WorkerId, NewcomerError>>,
}

/// Wall-clock time that never runs backwards: read once, then moved on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Clock {
    origin: Instant,
    origin_ms: i64,
}

impl Clock {
    fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            origin: Instant::now(),
            origin_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn now(&self) -> ProcessingTime {
        ProcessingTime(self.origin_ms).after(self.origin.elapsed())
    }

    /// The instant at which `now` will be at least `at`.
    fn instant(&self, at: ProcessingTime) -> Instant {
        self.origin + at.since(ProcessingTime(self.origin_ms))
    }
}

impl Driver {
    /// A driver for `job`, whose objects are in `store`, and the handle to reach it. Must be called within a tokio
    /// runtime.
    pub fn new(options: DriverOptions, job: JobDescription, store: JobStore) -> (Self, DriverHandle) {
        let leader = format!("{:032x}", rand::random::<u128>());
        let coordinator = Coordinator::new(CoordinatorOptions {
            description: job,
            leader: leader.clone(),
            fresh_lineage: Lineage::new(format!("{:016x}", rand::random::<u64>())),
            start: (&options.start).into(),
            requirement: options.requirement.into(),
            adoption: options.adoption,
            checkpoints: (&options.checkpoints).into(),
            restart: (&options.restart).into(),
            stop_timeout: options.stop_timeout,
            allow_non_restored_state: options.allow_non_restored_state,
            seed: rand::random(),
        });
        let (sender, messages) = mpsc::channel(MESSAGE_CAPACITY);
        let (status, watched) = watch::channel(coordinator.status());
        let handle = DriverHandle::new(sender, watched, store.clone());
        let driver = Self {
            coordinator,
            background: Background::new(store.clone(), options.faults.clone()),
            store,
            leader,
            faults: options.faults,
            messages,
            status,
            workers: HashMap::new(),
            requests: HashMap::new(),
            arrivals: HashMap::new(),
            effects: JoinSet::new(),
            clock: Clock::new(),
        };
        (driver, handle)
    }

    /// Runs the job to its end.
    ///
    /// Dropping the future is like the death of the process: nothing is lost or doubled, and another run takes over.
    ///
    /// # Errors
    /// [`DriverError::Store`] if the store cannot carry the job at all, [`DriverError::Fenced`] if another run has taken
    /// over. That the job failed is no error of the driver, but an [`Outcome`].
    pub async fn run(mut self) -> Result<Outcome, DriverError> {
        publish::probe(&self.store, &self.leader).await?;
        let mut ended = self.step(Event::Started)?;
        loop {
            if let Some(outcome) = ended {
                return self.take_leave(outcome).await;
            }
            let wakeup = self.coordinator.next_wakeup().map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                Some(answer) = self.effects.join_next() => match answer {
                    Ok(event) => ended = self.answered(event)?,
                    Err(error) => tracing::error!(%error, "a store operation ended without an answer"),
                },
                Some(message) = self.messages.recv() => ended = self.received(message)?,
                () = sleep_until(wakeup) => ended = self.step(Event::Wakeup)?,
                () = self.background.work() => {}
                () = tokio::time::sleep(FAULT_WATCH), if self.faults.is_armed() => {}
            }
            if self.faults.is_dead() {
                return Err(DriverError::Died);
            }
        }
    }

    fn received(&mut self, message: Message) -> Result<Option<Outcome>, DriverError> {
        match message {
            Message::Event(event) => self.step(event),
            Message::Attach {
                request,
                newcomer,
                orders,
                answer,
            } => {
                self.arrivals.insert(request, Arrival { orders, answer });
                self.step(Event::WorkerAttached { request, newcomer })
            }
            Message::Request {
                event,
                request,
                answer,
            } => {
                self.requests.insert(request, answer);
                self.step(event)
            }
        }
    }

    fn answered(&mut self, event: Event) -> Result<Option<Outcome>, DriverError> {
        if matches!(event, Event::EpochClaimed(_)) && self.faults.strikes(FaultPoint::AfterClaim) {
            return Err(DriverError::Died);
        }
        self.step(event)
    }

    /// Hands in one fact and carries out what follows. Workers that turn out to be gone are facts in turn.
    fn step(&mut self, event: Event) -> Result<Option<Outcome>, DriverError> {
        let mut events = vec![event];
        let mut ended = None;
        while let Some(event) = events.pop() {
            if self.faults.is_dead() {
                return Err(DriverError::Died);
            }
            for command in self.coordinator.handle(self.clock.now(), event) {
                match command {
                    Command::Send { worker, order } => events.extend(self.send(worker, order)),
                    Command::Terminate(outcome) => ended = Some(outcome),
                    other => self.carry_out(other)?,
                }
            }
        }
        self.status.send_replace(self.coordinator.status());
        Ok(ended)
    }

    fn carry_out(&mut self, command: Command) -> Result<(), DriverError> {
        let store = self.store.clone();
        match command {
            Command::ReadChain => self.spawn(effect::read_chain(store)),
            Command::CreateGeneration { above } => {
                let (leader, now) = (self.leader.clone(), self.clock.now());
                self.spawn(effect::create_generation(store, leader, now, above));
            }
            Command::ImportSavepoint {
                location,
                checkpoint,
                epoch,
                lineage,
                generation,
            } => {
                let import = effect::Import {
                    location,
                    checkpoint,
                    epoch,
                    lineage,
                    generation,
                };
                self.spawn(effect::import_savepoint(store, import));
            }
            Command::WriteManifest(manifest) => {
                self.strike(FaultPoint::BeforeManifest)?;
                self.spawn(effect::write_manifest(store, manifest));
            }
            Command::ClaimEpoch(record) => {
                self.strike(FaultPoint::BeforeClaim)?;
                self.spawn(effect::claim_epoch(store, *record));
            }
            Command::WriteCommitted { epoch } => {
                let generation = self.coordinator.status().generation.unwrap_or_default();
                self.background.committed(epoch, generation);
            }
            Command::Collect(plan) => self.background.collect(plan),
            Command::ExportSavepoint {
                request,
                name,
                epoch,
                manifest,
            } => self.spawn(effect::export_savepoint(store, request, name, epoch, manifest)),
            Command::Answer { request, result } => {
                if let Some(answer) = self.requests.remove(&request) {
                    // Whoever asked may have gone; the savepoint is there all the same.
                    let _ = answer.send(result);
                }
            }
            Command::Seat { request, worker } => {
                if let Some(arrival) = self.arrivals.remove(&request) {
                    self.workers.insert(worker, arrival.orders);
                    // Whoever brought it may have gone; then the worker is lost as soon as it is given an order.
                    let _ = arrival.answer.send(Ok(worker));
                }
            }
            Command::Refuse { request, reason } => {
                if let Some(arrival) = self.arrivals.remove(&request) {
                    // Nor does it matter to somebody who has gone.
                    let _ = arrival.answer.send(Err(reason));
                }
            }
            Command::Notify(notice) => log(&notice),
            Command::Send { .. } | Command::Terminate(_) => {
                debug_assert!(false, "these are carried out by the caller");
            }
        }
        Ok(())
    }

    fn strike(&self, point: FaultPoint) -> Result<(), DriverError> {
        if self.faults.strikes(point) {
            return Err(DriverError::Died);
        }
        Ok(())
    }

    fn spawn(&mut self, effect: impl Future<Output = Event> + Send + 'static) {
        self.effects.spawn(effect);
    }

    /// Gives a worker an order, or says that the worker is lost.
    fn send(&mut self, worker: WorkerId, order: WorkerOrder) -> Option<Event> {
        let reason = match self.workers.get(&worker).map(|orders| orders.try_send(order)) {
            Some(Ok(())) => return None,
            Some(Err(mpsc::error::TrySendError::Full(_))) => "it does not take its orders",
            Some(Err(mpsc::error::TrySendError::Closed(_))) => "it takes no orders any more",
            None => "it was never attached",
        };
        self.workers.remove(&worker);
        Some(Event::WorkerLost {
            worker,
            reason: reason.to_owned(),
        })
    }

    /// Lets advisory writes and collection come to their end, within bounds.
    async fn take_leave(mut self, outcome: Outcome) -> Result<Outcome, DriverError> {
        if let Outcome::Fenced { epoch, generation } = outcome {
            return Err(DriverError::Fenced { epoch, generation });
        }
        let farewell = async {
            while !self.background.is_idle() {
                self.background.work().await;
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("the store is slow: left what was to be collected to the next run");
        }
        if self.faults.is_dead() {
            return Err(DriverError::Died);
        }
        self.status.send_replace(self.coordinator.status());
        Ok(outcome)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn log(notice: &Notice) {
    match notice {
        Notice::ArgumentsChanged { before, now } => {
            tracing::warn!(
                ?before,
                ?now,
                "the job resumes with other arguments than it ran with"
            );
        }
        Notice::GraphChanged { before, now } => {
            tracing::info!(before, now, "the job resumes with another graph than it ran with");
        }
        Notice::CheckpointCompleted { checkpoint, epoch } => {
            tracing::debug!(%checkpoint, %epoch, "checkpoint claimed");
        }
        Notice::CheckpointFailed {
            checkpoint,
            reason,
            consecutive,
        } => tracing::warn!(%checkpoint, reason, consecutive, "checkpoint failed"),
        Notice::CommitRetrying {
            worker,
            checkpoint,
            reason,
        } => tracing::warn!(%worker, %checkpoint, reason, "commit is retried"),
        Notice::ClaimUnresolved { epoch, reason } => {
            tracing::warn!(%epoch, reason, "claim is unresolved and tried again");
        }
        Notice::Restarting { cause, delay_ms } => tracing::warn!(cause, delay_ms, "restarting"),
        Notice::Adopted { attempt, workers } => {
            tracing::info!(%attempt, workers, "tasks that outlived the former coordinator are gone on with");
        }
        Notice::NotAdopted { reason } => {
            tracing::warn!(
                reason,
                "tasks of a former coordinator are stopped, to be deployed anew"
            );
        }
        Notice::Overtaken { epoch, generation } => {
            tracing::warn!(%epoch, %generation, "an older run's checkpoint came first; beginning again from it");
        }
    }
}

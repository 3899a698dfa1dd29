//! The gRPC service: proves the secret, takes the registration, seats the worker.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tidegate_core::{Generation, WorkerName};
use tidegate_driver::{AttachError, Newcomer, ORDER_CAPACITY};
use tidegate_proto::control::{
    Attached, ClusterSecret, FromWorker, ProtocolRange, Registration, ToWorker, WorkerContent, WorkerControl,
    WorkerDirective,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    admission::{Expectations, Refusal},
    roster::{HostedJob, Roster},
    session::{OUTGOING_CAPACITY, Pulse, Session, generation, outgoing_stream},
};

/// How long a stream may be open before its registration has come.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the port.
pub(crate) struct ControlService {
    pub(crate) roster: Arc<Roster>,
    pub(crate) secret: Option<ClusterSecret>,
    pub(crate) pulse: Pulse,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Stranger => Code::Unauthenticated,
            Refusal::NoRegistration(_) => Code::InvalidArgument,
            Refusal::UnknownJob { .. } => Code::NotFound,
            Refusal::JobEnded { .. } => Code::Unavailable,
            Refusal::Protocol(_)
            | Refusal::Outdated { .. }
            | Refusal::GivenUp { .. }
            | Refusal::Graph { .. }
            | Refusal::Target { .. }
            | Refusal::Slots { .. }
            | Refusal::Newcomer(_)
            | Refusal::Name(_) => Code::FailedPrecondition,
        };
        Self::new(code, refusal.to_string())
    }
}

#[tonic::async_trait]
impl WorkerControl for ControlService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ToWorker, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromWorker>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if !proves_secret(self.secret.as_ref(), &request) {
            return Err(Refusal::Stranger.into());
        }
        let mut incoming = request.into_inner();
        let (seen, registration) = first_message(&mut incoming).await?;
        let stream = self.seat(incoming, seen, registration).await?;
        Ok(Response::new(Box::pin(stream)))
    }
}

impl ControlService {
    /// Lets a worker in and starts its session.
    async fn seat(
        &self,
        incoming: Streaming<FromWorker>,
        seen: Generation,
        registration: Registration,
    ) -> Result<impl Stream<Item = Result<ToWorker, Status>> + use<>, Status> {
        let unknown = || Refusal::UnknownJob {
            job: registration.job.clone(),
        };
        let (job, watcher) = self.roster.find(&registration.job).ok_or_else(unknown)?;
        if let Some(watcher) = &watcher
            && watcher.is_gone(&registration.worker)
        {
            return Err(Refusal::GivenUp {
                worker: registration.worker.clone(),
                job: registration.job.clone(),
            }
            .into());
        }
        if job.driver.status().borrow().outcome.is_some() {
            return Err(ended(&job).into());
        }
        let expectations = Expectations {
            job: &job.job,
            graph_fingerprint: job.graph_fingerprint,
            target: job.target.as_deref(),
            protocol: ProtocolRange::worker_control(),
            // A coordinator has a generation once it has enough workers; until then it gives no orders.
            leads: job.driver.status().borrow().generation,
        };
        let name = WorkerName::parse(&registration.worker).map_err(Refusal::Name)?;
        let protocol_version = expectations.admit(seen, &registration)?;
        let seat = self.roster.take_seat(&job.job, &registration.worker).await;
        let seat = seat.ok_or_else(unknown)?;
        let (order_queue, orders) = mpsc::channel(ORDER_CAPACITY);
        let (outgoing, queue) = mpsc::channel(OUTGOING_CAPACITY);
        let stays_with = registration.running.as_ref().map(|_| seen);
        let newcomer = Newcomer {
            name,
            slots: registration.slots,
            data: registration.data,
            running: registration.running,
        };
        let attached = job.driver.attach_worker(newcomer, order_queue).await;
        let (worker, reports) = attached.map_err(|error| match error {
            AttachError::Gone(_) => ended(&job),
            AttachError::Refused(error) => Refusal::Newcomer(error),
        })?;
        let first = ToWorker {
            generation: generation(&job.driver),
            directive: WorkerDirective::Attached(Attached {
                worker,
                protocol_version,
            }),
        };
        // The queue is empty and its other end is in this function.
        let _ = outgoing.try_send(Ok(first));
        tracing::info!(%worker, name = registration.worker, job = %job.job, slots = registration.slots, "worker attached");
        let session = Session {
            name: registration.worker,
            driver: job.driver,
            watcher,
            stays_with,
            reports,
            orders,
            incoming,
            outgoing,
            seat,
            pulse: self.pulse,
        };
        // It ends with the worker, the job or the port, whichever is first, and tells the driver.
        tokio::spawn(session.run());
        Ok(outgoing_stream(queue))
    }
}

/// Whether a request carries the secret, where there is one.
pub(crate) fn proves_secret<T>(secret: Option<&ClusterSecret>, request: &Request<T>) -> bool {
    let Some(secret) = secret else { return true };
    let proof = request.metadata().get("authorization");
    let proven = proof.is_some_and(|proof| secret.is_proven_by(proof.as_bytes()));
    if !proven {
        tracing::warn!(peer = ?request.remote_addr(), "a stranger was refused");
    }
    proven
}

async fn first_message(incoming: &mut Streaming<FromWorker>) -> Result<(Generation, Registration), Status> {
    let refuse = |why: String| Err(Refusal::NoRegistration(why).into());
    match timeout(REGISTRATION_TIMEOUT, incoming.message()).await {
        Err(_) => Err(Status::deadline_exceeded(
            Refusal::NoRegistration(format!("none came within {REGISTRATION_TIMEOUT:?}")).to_string(),
        )),
        Ok(Err(status)) => Err(status),
        Ok(Ok(None)) => refuse("the stream ended before it".to_owned()),
        Ok(Ok(Some(FromWorker {
            generation,
            content: WorkerContent::Registration(registration),
        }))) => Ok((generation, registration)),
        Ok(Ok(Some(_))) => refuse("it was something else".to_owned()),
    }
}

fn ended(job: &HostedJob) -> Refusal {
    let status = job.driver.status();
    let outcome = status.borrow().outcome.clone();
    Refusal::JobEnded {
        job: job.job.clone(),
        state: outcome.map_or_else(|| "gone".to_owned(), |outcome| outcome.state().to_string()),
    }
}

//! The gRPC service of task managers: proves the secret, takes the registration, seats the task manager.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tidegate_coordinator::cluster::{ClusterEvent, HostedWorker};
use tidegate_core::Generation;
use tidegate_proto::taskmanager::{
    Attached, Content, Directive, FromTaskManager, Registration, TaskManagerControl, ToTaskManager,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    admission::{Refusal, admit},
    link::{ORDER_CAPACITY, TaskManagerLink},
    session::Session,
};
use crate::{
    cluster::dispatcher::Dispatcher,
    service::proves_secret,
    session::{OUTGOING_CAPACITY, outgoing_stream},
};

/// How long a stream may be open before its registration has come.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves task managers.
#[derive(Debug)]
pub(crate) struct TaskManagerService {
    pub(crate) dispatcher: Arc<Dispatcher>,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Stranger => Code::Unauthenticated,
            Refusal::NoRegistration(_) => Code::InvalidArgument,
            Refusal::NotReady => Code::Unavailable,
            Refusal::Protocol(_)
            | Refusal::Outdated { .. }
            | Refusal::Slots { .. }
            | Refusal::Workers { .. } => Code::FailedPrecondition,
        };
        Self::new(code, refusal.to_string())
    }
}

#[tonic::async_trait]
impl TaskManagerControl for TaskManagerService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ToTaskManager, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromTaskManager>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if !proves_secret(self.dispatcher.options.port.secret.as_ref(), &request) {
            return Err(Refusal::Stranger.into());
        }
        let mut incoming = request.into_inner();
        let (seen, registration) = first_message(&mut incoming).await?;
        let version = admit(seen, self.dispatcher.generation, &registration)?;
        let stream = self.seat(incoming, registration, version).await?;
        Ok(Response::new(Box::pin(stream)))
    }
}

impl TaskManagerService {
    /// Lets a task manager in and starts its session.
    async fn seat(
        &self,
        incoming: Streaming<FromTaskManager>,
        registration: Registration,
        protocol_version: u32,
    ) -> Result<impl Stream<Item = Result<ToTaskManager, Status>> + use<>, Refusal> {
        let dispatcher = &self.dispatcher;
        let (order_queue, orders) = mpsc::channel(ORDER_CAPACITY);
        let (outgoing, queue) = mpsc::channel(OUTGOING_CAPACITY);
        let first = ToTaskManager {
            generation: dispatcher.generation,
            directive: Directive::Attached(Attached {
                protocol_version,
                storage: dispatcher.store.root().location().to_owned(),
            }),
        };
        // The queue is empty and its other end is in this function.
        let _ = outgoing.try_send(Ok(first));
        let event = attached(&registration);
        let (id, host, slots) = (
            registration.task_manager.clone(),
            registration.host_name.clone(),
            registration.slots,
        );
        let link = Arc::new(TaskManagerLink::new(
            registration,
            order_queue,
            dispatcher.clock.now_ms(),
        ));
        let asked_to_leave = dispatcher.task_managers.seat(Arc::clone(&link));
        if dispatcher.tell(event).await.is_err() {
            dispatcher.task_managers.leave(&link);
            return Err(Refusal::NotReady);
        }
        tracing::info!(task_manager = %id, host, slots, "task manager attached");
        let session = Session {
            link,
            orders,
            incoming,
            outgoing,
            asked_to_leave,
            dispatcher: Arc::clone(dispatcher),
        };
        // It ends with the task manager or the port, whichever is first, and tells the cluster.
        tokio::spawn(session.run());
        Ok(outgoing_stream(queue))
    }
}

fn attached(registration: &Registration) -> ClusterEvent {
    let workers = registration.workers.iter().map(|running| HostedWorker {
        worker: running.worker.clone(),
        job: running.job.clone(),
        slots: running.slots,
    });
    ClusterEvent::TaskManagerAttached {
        task_manager: registration.task_manager.clone(),
        incarnation: registration.incarnation,
        slots: registration.slots,
        target: registration.target.clone(),
        workers: workers.collect(),
    }
}

async fn first_message(
    incoming: &mut Streaming<FromTaskManager>,
) -> Result<(Generation, Registration), Status> {
    let refuse = |why: String| Err(Refusal::NoRegistration(why).into());
    match timeout(REGISTRATION_TIMEOUT, incoming.message()).await {
        Err(_) => Err(Status::deadline_exceeded(
            Refusal::NoRegistration(format!("none came within {REGISTRATION_TIMEOUT:?}")).to_string(),
        )),
        Ok(Err(status)) => Err(status),
        Ok(Ok(None)) => refuse("the stream ended before it".to_owned()),
        Ok(Ok(Some(FromTaskManager {
            generation,
            content: Content::Registration(registration),
        }))) => Ok((generation, registration)),
        Ok(Ok(Some(_))) => refuse("it was something else".to_owned()),
    }
}

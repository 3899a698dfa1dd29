//! A worker that speaks for itself: it does what it is told and processes nothing.

use tidegate_core::{
    EventTime, RunningAttempt,
    control::{
        Deployment, OperatorSnapshot, Placement, SnapshotTimings, TaskSnapshot, WorkerOrder, WorkerReport,
        WorkerSnapshot,
    },
    plan::ExecutionPlan,
};
use tidegate_proto::{
    control::{FromWorker, ProtocolRange, Registration, WorkerContent, WorkerControlClient, WorkerDirective},
    taskmanager::StartWorker,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Request, Status, transport::Endpoint};

use crate::harness::{TestCluster, graph, within};

/// What a test wants of it.
#[derive(Clone, Copy)]
enum Wish {
    /// All of its input has ended.
    Finish,
    /// It stands still, as by SIGSTOP.
    Silence,
}

pub(crate) struct TestWorker {
    requests: mpsc::UnboundedSender<Wish>,
    working: JoinHandle<Status>,
}

impl TestWorker {
    pub(crate) async fn attach(cluster: &TestCluster, start: &StartWorker) -> Self {
        Self::with(cluster, start, None).await.unwrap()
    }

    /// Attaches, and then does what it is told.
    pub(crate) async fn with(
        cluster: &TestCluster,
        start: &StartWorker,
        running: Option<RunningAttempt>,
    ) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", cluster.handle.address())).unwrap();
        let mut client = WorkerControlClient::new(endpoint.connect().await.unwrap());
        let (outgoing, mut queue) = mpsc::channel(64);
        let registration = Registration {
            job: start.job.clone(),
            worker: start.worker.to_string(),
            protocol: ProtocolRange::worker_control(),
            graph_fingerprint: graph().fingerprint(),
            data: Some("127.0.0.1:1".parse().unwrap()),
            slots: start.slots,
            target: Registration::own_target(),
            running: running.clone(),
        };
        let first = FromWorker {
            generation: running.map(|running| running.generation).unwrap_or_default(),
            content: WorkerContent::Registration(registration),
        };
        outgoing.try_send(first).unwrap();
        let request = Request::new(futures::stream::poll_fn(move |context| queue.poll_recv(context)));
        let mut incoming = client.attach(request).await?.into_inner();
        let (mut generation, me) = match incoming.message().await? {
            Some(message) => match message.directive {
                WorkerDirective::Attached(attached) => (message.generation, attached.worker),
                other => panic!("{other:?}"),
            },
            None => panic!("no answer"),
        };
        let (requests, mut asked) = mpsc::unbounded_channel();
        let working = tokio::spawn(async move {
            let mut deployed: Option<Deployment> = None;
            let mut has_ended = false;
            loop {
                let content = tokio::select! {
                    message = incoming.message() => {
                        let message = match message {
                            Ok(Some(message)) => message,
                            Ok(None) => return Status::ok("the stream ended"),
                            Err(status) => return status,
                        };
                        generation = generation.max(message.generation);
                        match message.directive {
                            WorkerDirective::Order(WorkerOrder::Deploy(deployment)) => {
                                let attempt = deployment.attempt;
                                deployed = Some(*deployment);
                                Some(WorkerContent::Report(WorkerReport::Deployed { attempt }))
                            }
                            WorkerDirective::Order(order) => obey(order, me, deployed.as_ref(), has_ended),
                            _ => Some(WorkerContent::Heartbeat),
                        }
                    }
                    Some(wish) = asked.recv() => {
                        if matches!(wish, Wish::Silence) {
                            std::future::pending::<()>().await;
                        }
                        has_ended = true;
                        let attempt = deployed.as_ref().expect("it is deployed").attempt;
                        Some(WorkerContent::Report(WorkerReport::Ended { attempt }))
                    }
                };
                if let Some(content) = content {
                    let _ = outgoing.send(FromWorker { generation, content }).await;
                }
            }
        });
        Ok(Self { requests, working })
    }

    /// All of its input has ended.
    pub(crate) fn finish(&self) {
        self.requests.send(Wish::Finish).unwrap();
    }

    /// It stands still from now on, with its connections open.
    pub(crate) fn fall_silent(&self) {
        self.requests.send(Wish::Silence).unwrap();
    }

    /// How the job manager ends the stream.
    pub(crate) async fn end(self) -> Status {
        within(self.working).await.unwrap()
    }

    /// It is gone, as by SIGKILL.
    pub(crate) fn die(self) {
        self.working.abort();
    }
}

fn obey(
    order: WorkerOrder,
    me: tidegate_core::WorkerId,
    deployed: Option<&Deployment>,
    has_ended: bool,
) -> Option<WorkerContent> {
    let report = match order {
        WorkerOrder::Trigger { attempt, barrier } => WorkerReport::Acknowledged {
            attempt,
            checkpoint: barrier.checkpoint,
            snapshot: Box::new(snapshot(me, deployed?, has_ended)),
        },
        WorkerOrder::Commit {
            attempt, checkpoint, ..
        } => WorkerReport::Committed { attempt, checkpoint },
        WorkerOrder::Stop { attempt } => WorkerReport::Stopped { attempt },
        _ => return None,
    };
    Some(WorkerContent::Report(report))
}

fn snapshot(me: tidegate_core::WorkerId, deployment: &Deployment, has_ended: bool) -> WorkerSnapshot {
    let placement = Placement::new(&deployment.workers);
    let plan = ExecutionPlan::expand(&graph(), deployment.default_parallelism);
    let mine = plan.tasks().filter(|task| placement.of(*task).0 == me);
    let tasks = mine.map(|task| TaskSnapshot {
        task,
        watermark: EventTime::MIN,
        ended: has_ended,
        operators: vec![(
            format!("node-{}", task.vertex).as_str().into(),
            OperatorSnapshot::default(),
        )],
        timings: SnapshotTimings {
            alignment_us: 3,
            sync_us: 2,
            scan_us: 1,
            upload_us: 4,
            written_bytes: 5,
        },
    });
    WorkerSnapshot {
        segments: vec![],
        tasks: tasks.collect(),
    }
}

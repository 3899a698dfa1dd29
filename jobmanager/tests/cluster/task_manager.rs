//! A task manager that speaks for itself: it starts no processes.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tidegate_core::{Generation, JobId, TaskManagerId, WorkerName};
use tidegate_proto::{
    control::{ProtocolRange, Registration as WorkerRegistration},
    taskmanager::{
        Content, DescribeProblem, Directive, FromTaskManager, LogChunk, LogFile, LogProblem, Order,
        Registration, Report, ResourceUse, RunningWorker, StartWorker, TaskManagerControlClient,
        ToTaskManager, WorkerEnd,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Request, Status, transport::Endpoint};

use crate::harness::{TestCluster, description, within};

/// How it answers when it is asked what job an executable is.
pub(crate) type Describer = Arc<Mutex<Result<String, DescribeProblem>>>;

pub(crate) struct TestTaskManager {
    pub(crate) id: TaskManagerId,
    pub(crate) describer: Describer,
    /// Whether workers that are to be stopped go on.
    keeps: Arc<AtomicBool>,
    generation: Generation,
    outgoing: mpsc::Sender<FromTaskManager>,
    orders: mpsc::UnboundedReceiver<Order>,
    serving: JoinHandle<Status>,
}

pub(crate) fn registration(id: &str, slots: u32) -> Registration {
    Registration {
        task_manager: TaskManagerId::parse(id).unwrap(),
        incarnation: 1,
        protocol: ProtocolRange::task_manager_control(),
        slots,
        memory_bytes: 1 << 30,
        target: WorkerRegistration::own_target(),
        release: "test".into(),
        host_name: "here".into(),
        workers: vec![],
    }
}

impl TestTaskManager {
    pub(crate) async fn attach(cluster: &TestCluster, id: &str, slots: u32) -> Self {
        Self::with(cluster, registration(id, slots), 0, None)
            .await
            .unwrap()
    }

    pub(crate) async fn with(
        cluster: &TestCluster,
        registration: Registration,
        generation: u64,
        authorization: Option<&str>,
    ) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", cluster.handle.address())).unwrap();
        let mut client = TaskManagerControlClient::new(endpoint.connect().await.unwrap());
        let (outgoing, mut queue) = mpsc::channel(64);
        let id = registration.task_manager.clone();
        let first = FromTaskManager {
            generation: Generation(generation),
            content: Content::Registration(registration),
        };
        outgoing.try_send(first).unwrap();
        let mut request = Request::new(futures::stream::poll_fn(move |context| queue.poll_recv(context)));
        if let Some(authorization) = authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.parse().unwrap());
        }
        let mut incoming = client.attach(request).await?.into_inner();
        let first = incoming.message().await?.expect("an answer");
        assert!(matches!(first.directive, Directive::Attached(_)), "{first:?}");
        let describer: Describer = Arc::new(Mutex::new(Ok(description().to_string())));
        let keeps = Arc::new(AtomicBool::new(false));
        let is_kept = Arc::clone(&keeps);
        let (order_queue, orders) = mpsc::unbounded_channel();
        let (answers, asked, generation) = (outgoing.clone(), Arc::clone(&describer), first.generation);
        let serving = tokio::spawn(async move {
            loop {
                let message: ToTaskManager = match incoming.message().await {
                    Ok(Some(message)) => message,
                    Ok(None) => return Status::ok("the stream ended"),
                    Err(status) => return status,
                };
                let content = match message.directive {
                    Directive::Heartbeat => Some(Content::Heartbeat(ResourceUse {
                        cpu_millicores: 5,
                        memory_bytes: 1000,
                        disk_bytes: 0,
                        workers: vec![],
                    })),
                    Directive::Order(order) => answer(&asked, &order)
                        .or_else(|| {
                            let report = obey(&order).filter(|_| !is_kept.load(Relaxed));
                            let _ = order_queue.send(order);
                            report
                        })
                        .map(Content::Report),
                    Directive::Attached(_) => panic!("attached twice"),
                };
                if let Some(content) = content {
                    let _ = answers.send(FromTaskManager { generation, content }).await;
                }
            }
        });
        Ok(Self {
            id,
            describer,
            keeps,
            generation,
            outgoing,
            orders,
            serving,
        })
    }

    /// From now on, workers that are to be stopped go on.
    pub(crate) fn keep_what_is_stopped(&self) {
        self.keeps.store(true, Relaxed);
    }

    pub(crate) async fn order(&mut self) -> Order {
        within(self.orders.recv()).await.expect("it is attached")
    }

    /// The next worker that it is to start; it says that it has.
    pub(crate) async fn started(&mut self) -> StartWorker {
        loop {
            if let Order::StartWorker(start) = self.order().await {
                self.report(Report::WorkerStarted {
                    job: start.job.clone(),
                    worker: start.worker.clone(),
                    process_id: 1,
                })
                .await;
                return start;
            }
        }
    }

    pub(crate) async fn report(&self, report: Report) {
        let message = FromTaskManager {
            generation: self.generation,
            content: Content::Report(report),
        };
        self.outgoing.send(message).await.unwrap();
    }

    pub(crate) async fn ended(&self, job: &JobId, worker: &WorkerName, end: WorkerEnd, last_words: &str) {
        self.report(Report::WorkerEnded {
            job: job.clone(),
            worker: worker.clone(),
            end,
            last_words: last_words.to_owned(),
        })
        .await;
    }

    /// How the job manager ends the stream.
    pub(crate) async fn end(self) -> Status {
        within(self.serving).await.unwrap()
    }

    /// It is gone, as by SIGKILL.
    pub(crate) fn die(self) {
        self.serving.abort();
    }
}

pub(crate) fn running(start: &StartWorker) -> RunningWorker {
    RunningWorker {
        job: start.job.clone(),
        worker: start.worker.clone(),
        slots: start.slots,
    }
}

fn answer(describer: &Describer, order: &Order) -> Option<Report> {
    match order {
        Order::Describe { request, .. } => Some(Report::Described {
            request: *request,
            outcome: describer.lock().unwrap().clone(),
        }),
        Order::ListLogs { request, job } => Some(Report::LogsListed {
            request: *request,
            outcome: Ok(vec![LogFile {
                name: format!("{job}.log"),
                size_bytes: 11,
                modified_ms: 0,
            }]),
        }),
        Order::ReadLog {
            request,
            job,
            file,
            offset,
            limit,
        } => {
            let bytes: Vec<u8> = b"hello there"
                .iter()
                .skip(usize::try_from(*offset).unwrap())
                .take(*limit as usize)
                .copied()
                .collect();
            let outcome = if *file == format!("{job}.log") {
                Ok(LogChunk {
                    bytes,
                    size_bytes: 11,
                })
            } else {
                Err(LogProblem::Missing("there is none".to_owned()))
            };
            Some(Report::LogRead {
                request: *request,
                outcome,
            })
        }
        _ => None,
    }
}

/// A worker that is told to end does.
fn obey(order: &Order) -> Option<Report> {
    match order {
        Order::StopWorker { job, worker } => Some(Report::WorkerEnded {
            job: job.clone(),
            worker: worker.clone(),
            end: WorkerEnd::Stopped,
            last_words: String::new(),
        }),
        _ => None,
    }
}

//! The port where workers attach, as a worker sees it that speaks for itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{sync::Arc, time::Duration};

use tidegate_core::{
    Attempt, Generation, KeySpace, NodeId,
    control::{WorkerOrder, WorkerReport},
    graph::{GraphInput, GraphNode, JobGraph, NodeKind, Partitioning},
};
use tidegate_driver::{Driver, DriverHandle, DriverOptions, JobDescription, JobState, JobStore};
use tidegate_jobmanager::{HostedJob, PortError, WorkerPort, WorkerPortHandle, WorkerPortOptions};
use tidegate_proto::control::{
    ClusterSecret, FromWorker, ProtocolRange, Registration, ToWorker, WorkerContent, WorkerControlClient,
    WorkerDirective,
};
use tokio::sync::mpsc;
use tonic::{Code, Request, Status, Streaming, transport::Endpoint};

const SECRET: &str = "correct-horse-battery-staple";

/// A port with one job that waits for a worker.
struct Cluster {
    port: WorkerPortHandle,
    driver: DriverHandle,
    fingerprint: u64,
}

impl Cluster {
    fn start(options: WorkerPortOptions) -> Self {
        let (port, handle) = WorkerPort::bind(options).unwrap();
        tokio::spawn(port.run());
        let store = JobStore::open("memory://").unwrap();
        let description = description();
        let fingerprint = description.graph.fingerprint();
        let (driver, driver_handle) = Driver::new(DriverOptions::default(), description, store);
        tokio::spawn(driver.run());
        let job = HostedJob {
            job: "counts".into(),
            graph_fingerprint: fingerprint,
            target: None,
            driver: driver_handle.clone(),
        };
        handle.host(job.clone()).unwrap();
        assert!(handle.host(job).is_err(), "the name is taken");
        Self {
            port: handle,
            driver: driver_handle,
            fingerprint,
        }
    }

    fn registration(&self) -> Registration {
        Registration {
            job: "counts".into(),
            worker: "a".into(),
            protocol: ProtocolRange::worker_control(),
            graph_fingerprint: self.fingerprint,
            data: None,
            slots: 1,
            target: Registration::own_target(),
            running: None,
        }
    }

    async fn attach(&self) -> Attached {
        Attached::to(self, None, WorkerContent::Registration(self.registration()))
            .await
            .unwrap()
    }

    async fn refusal(&self, authorization: Option<&str>, first: WorkerContent) -> Status {
        match Attached::to(self, authorization, first).await {
            Ok(_) => panic!("the worker was let in"),
            Err(status) => status,
        }
    }
}

/// A worker's stream.
struct Attached {
    outgoing: mpsc::Sender<FromWorker>,
    incoming: Streaming<ToWorker>,
    generation: Generation,
}

impl Attached {
    async fn to(
        cluster: &Cluster,
        authorization: Option<&str>,
        first: WorkerContent,
    ) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", cluster.port.address())).unwrap();
        let mut client = WorkerControlClient::new(endpoint.connect().await.unwrap());
        let (outgoing, mut queue) = mpsc::channel(16);
        let generation = Generation(0);
        outgoing
            .try_send(FromWorker {
                generation,
                content: first,
            })
            .unwrap();
        let mut request = Request::new(futures::stream::poll_fn(move |context| queue.poll_recv(context)));
        if let Some(authorization) = authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.parse().unwrap());
        }
        let mut incoming = client.attach(request).await?.into_inner();
        let first = incoming.message().await?.expect("an answer");
        assert!(
            matches!(first.directive, WorkerDirective::Attached(_)),
            "{first:?}"
        );
        Ok(Self {
            outgoing,
            incoming,
            generation: first.generation,
        })
    }

    async fn report(&self, generation: Generation, report: WorkerReport) {
        let content = WorkerContent::Report(report);
        let message = FromWorker { generation, content };
        self.outgoing.send(message).await.unwrap();
    }

    async fn order(&mut self) -> WorkerOrder {
        loop {
            let message = self.incoming.message().await.unwrap().expect("an order");
            if let WorkerDirective::Order(order) = message.directive {
                assert!(message.generation > Generation(0), "orders have a generation");
                self.generation = message.generation;
                return order;
            }
        }
    }

    /// How the job manager ends the stream: `Ok` in order.
    async fn end(&mut self) -> Result<(), Status> {
        while self.incoming.message().await?.is_some() {}
        Ok(())
    }
}

fn description() -> JobDescription {
    let node = |id, kind, inputs| GraphNode {
        id: NodeId(id),
        uid: format!("node-{id}").as_str().into(),
        name: format!("node-{id}"),
        kind,
        named: true,
        parallelism: Some(1),
        inputs,
    };
    let input = GraphInput {
        from: NodeId(0),
        port: 0,
        partitioning: Partitioning::Forward,
        slot: 0,
        blocking: false,
    };
    JobDescription {
        job: "counts".into(),
        graph: Arc::new(JobGraph {
            name: "counts".into(),
            space: KeySpace::DEFAULT,
            nodes: vec![
                node(0, NodeKind::Source, vec![]),
                node(1, NodeKind::Sink, vec![input]),
            ],
        }),
        default_parallelism: None,
        arguments: vec![],
    }
}

fn fast() -> WorkerPortOptions {
    WorkerPortOptions {
        heartbeat_interval: Duration::from_millis(20),
        heartbeat_timeout: Duration::from_millis(200),
        ..WorkerPortOptions::default()
    }
}

#[tokio::test]
async fn a_worker_gets_the_drivers_orders_and_the_driver_its_reports() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    let mut worker = cluster.attach().await;
    let WorkerOrder::Deploy(deployment) = worker.order().await else {
        panic!("a deployment comes first");
    };
    assert_eq!(deployment.generation, worker.generation);
    let attempt = deployment.attempt;
    worker
        .report(worker.generation, WorkerReport::Deployed { attempt })
        .await;
    assert_eq!(worker.order().await, WorkerOrder::Start { attempt });
    cluster.driver.cancel().await.unwrap();
    assert_eq!(worker.order().await, WorkerOrder::Stop { attempt });
    worker
        .report(worker.generation, WorkerReport::Stopped { attempt })
        .await;
    assert!(
        worker.end().await.is_ok(),
        "the job has ended, and so does the stream"
    );
    let refused = cluster
        .refusal(None, WorkerContent::Registration(cluster.registration()))
        .await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("\"counts\" is canceled"), "{refused}");
}

#[tokio::test]
async fn strangers_are_refused_and_whoever_knows_the_secret_is_not() {
    let cluster = Cluster::start(WorkerPortOptions {
        secret: Some(ClusterSecret::new(SECRET).unwrap()),
        ..WorkerPortOptions::default()
    });
    let registration = || WorkerContent::Registration(cluster.registration());
    for proof in [
        None,
        Some("Bearer"),
        Some("Bearer correct-horse-battery-stable"),
        Some(SECRET),
    ] {
        let refused = cluster.refusal(proof, registration()).await;
        assert_eq!(refused.code(), Code::Unauthenticated, "{proof:?}");
        assert!(!refused.message().contains(SECRET));
    }
    let proof = format!("Bearer {SECRET}");
    assert!(Attached::to(&cluster, Some(&proof), registration()).await.is_ok());
}

#[tokio::test]
async fn a_port_without_a_secret_stays_on_loopback() {
    let open = |secret| WorkerPortOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        secret,
        ..WorkerPortOptions::default()
    };
    let refused = WorkerPort::bind(open(None)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, PortError::Open { .. }), "{refused}");
    assert!(WorkerPort::bind(open(Some(ClusterSecret::new(SECRET).unwrap()))).is_ok());
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_what_and_why() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    let with = |change: fn(&mut Registration)| {
        let mut registration = cluster.registration();
        change(&mut registration);
        WorkerContent::Registration(registration)
    };
    let cases = [
        (with(|it| it.job = "other".into()), Code::NotFound, "\"other\""),
        (
            with(|it| it.graph_fingerprint ^= 1),
            Code::FailedPrecondition,
            "builds graph",
        ),
        (
            with(|it| it.protocol.oldest = 7),
            Code::FailedPrecondition,
            "versions 7 to 1",
        ),
        (
            WorkerContent::Heartbeat,
            Code::InvalidArgument,
            "must be a registration",
        ),
    ];
    for (first, code, says) in cases {
        let refused = cluster.refusal(None, first).await;
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(says), "{refused}");
    }
}

#[tokio::test]
async fn a_silent_worker_is_lost_and_one_that_beats_is_not() {
    let cluster = Cluster::start(fast());
    let mut silent = cluster.attach().await;
    let _ = silent.order().await;
    // It says nothing for so long; the job goes on with whoever comes next.
    let end = silent.end().await.unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
    let mut status = cluster.driver.status();
    let lost = status
        .wait_for(|status| !status.exceptions.is_empty())
        .await
        .unwrap();
    let cause = lost.exceptions.last().expect("there is one").cause.clone();
    drop(lost);
    assert!(cause.contains("not been heard of for 200ms"), "{cause}");

    let mut alive = cluster.attach().await;
    let beats = async {
        loop {
            let message = FromWorker {
                generation: alive.generation,
                content: WorkerContent::Heartbeat,
            };
            if alive.outgoing.send(message).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Three times the timeout in the job manager's own beats.
    let heard = async {
        for _ in 0..30 {
            alive
                .incoming
                .message()
                .await
                .unwrap()
                .expect("it is still attached");
        }
    };
    tokio::select! { () = beats => panic!("the stream ended"), () = heard => {} }
}

#[tokio::test]
async fn a_worker_replaces_another_of_its_name() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    let mut first = cluster.attach().await;
    let _ = first.order().await;
    let mut second = cluster.attach().await;
    let end = first.end().await.unwrap_err();
    assert_eq!(end.code(), Code::Aborted, "{end}");
    assert!(matches!(second.order().await, WorkerOrder::Deploy(_)));
}

#[tokio::test]
async fn reports_to_another_generation_end_the_stream() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    let mut worker = cluster.attach().await;
    let attempt = Attempt(1);
    let _ = worker.order().await;
    worker
        .report(Generation(0), WorkerReport::Deployed { attempt })
        .await;
    let end = worker.end().await.unwrap_err();
    assert_eq!(end.code(), Code::FailedPrecondition, "{end}");
    let mut status = cluster.driver.status();
    status
        .wait_for(|status| status.state == JobState::Restarting)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_worker_that_leaves_says_why() {
    let cluster = Cluster::start(WorkerPortOptions::default());
    let mut worker = cluster.attach().await;
    let _ = worker.order().await;
    let reason = "task 0[0] does not end".to_owned();
    let content = WorkerContent::Leaving { reason };
    let generation = worker.generation;
    worker
        .outgoing
        .send(FromWorker { generation, content })
        .await
        .unwrap();
    let mut status = cluster.driver.status();
    let lost = status
        .wait_for(|status| !status.exceptions.is_empty())
        .await
        .unwrap();
    let cause = &lost.exceptions.last().expect("there is one").cause;
    assert!(cause.contains("task 0[0] does not end"), "{cause}");
}

#[tokio::test]
async fn a_port_that_shuts_down_lets_its_workers_go() {
    let (port, handle) = WorkerPort::bind(WorkerPortOptions::default()).unwrap();
    let serving = tokio::spawn(port.run());
    let (driver, driver_handle) = Driver::new(
        DriverOptions::default(),
        description(),
        JobStore::open("memory://").unwrap(),
    );
    tokio::spawn(driver.run());
    let cluster = Cluster {
        port: handle.clone(),
        driver: driver_handle.clone(),
        fingerprint: description().graph.fingerprint(),
    };
    let job = HostedJob {
        job: "counts".into(),
        graph_fingerprint: cluster.fingerprint,
        target: None,
        driver: driver_handle,
    };
    handle.host(job).unwrap();
    let mut worker = cluster.attach().await;
    handle.shut_down();
    assert_eq!(worker.end().await.unwrap_err().code(), Code::Unavailable);
    drop(worker);
    drop(cluster);
    serving.await.unwrap().unwrap();
}

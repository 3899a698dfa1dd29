//! Two workers' networks in one process, and sentences about them.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tidegate_core::{Attempt, ChannelId, Control, EventTime, Generation, JobId, WorkerId};
use tidegate_exchange::{
    AttemptOptions, Bincode, ChannelReceiver, ChannelSender, Edge, Identity, Message, Network,
    NetworkOptions, ReadySet, RemoteSender, TaskWaker,
};
use tokio::runtime::{Builder, Runtime};

/// How long a condition may take before the test gives up: only a hang takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Channel `place` of an attempt.
pub(crate) fn channel(attempt: u32, place: u64) -> ChannelId {
    ChannelId((u64::from(attempt) << 40) | place)
}

pub(crate) fn identity(worker: u32, attempt: u32) -> Identity {
    identity_of_generation(worker, attempt, 7)
}

pub(crate) fn identity_of_generation(worker: u32, attempt: u32, generation: u64) -> Identity {
    Identity {
        job: JobId::new("job"),
        generation: Generation(generation),
        attempt: Attempt(attempt),
        worker: WorkerId(worker),
        graph_fingerprint: 0x600d,
    }
}

pub(crate) fn watermark(time: i64) -> Control {
    Control::Watermark(EventTime(time))
}

pub(crate) fn number_edge() -> Edge<u64> {
    Edge::forward(Arc::new(Bincode::default()))
}

pub(crate) fn text_edge() -> Edge<String> {
    Edge::forward(Arc::new(Bincode::default()))
}

pub(crate) fn framed<T: Send + 'static>(edge: Edge<T>, remote: RemoteSender) -> ChannelSender<T> {
    edge.remote_sender(remote)
}

/// Records, and control elements with the number of records before them: batches may be cut anywhere else.
pub(crate) fn numbers(messages: Vec<Message<u64>>) -> (Vec<u64>, Vec<(usize, Control)>) {
    let (mut records, mut controls) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Batch(batch) => records.extend(batch.records),
            Message::Control(control) => controls.push((records.len(), control)),
        }
    }
    (records, controls)
}

struct Worker {
    runtime: Runtime,
    network: Network,
    losses: Arc<AtomicUsize>,
}

/// Workers 0 and 1 in attempt 1.
pub(crate) struct Cluster {
    workers: Vec<Option<Worker>>,
    ready: Arc<ReadySet>,
}

impl Cluster {
    pub(crate) fn of_two() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut NetworkOptions)) -> Self {
        let workers = (0..2)
            .map(|_| {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let losses = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&losses);
                let mut options = NetworkOptions::default();
                change(&mut options);
                let (network, _) = Network::bind(options, runtime.handle(), move |_| {
                    counted.fetch_add(1, SeqCst);
                })
                .unwrap();
                Some(Worker {
                    runtime,
                    network,
                    losses,
                })
            })
            .collect();
        let cluster = Self {
            workers,
            ready: ReadySet::new(1),
        };
        cluster.begin_on(0, identity(0, 1));
        cluster.begin_on(1, identity(1, 1));
        cluster
    }

    fn worker(&self, index: usize) -> &Worker {
        self.workers[index].as_ref().expect("the worker is alive")
    }

    pub(crate) fn network(&self, index: usize) -> &Network {
        &self.worker(index).network
    }

    pub(crate) fn losses(&self, index: usize) -> usize {
        self.worker(index).losses.load(SeqCst)
    }

    pub(crate) fn waker(&self) -> TaskWaker {
        self.ready.waker(0)
    }

    pub(crate) fn begin_on(&self, index: usize, identity: Identity) {
        let workers = (0..2)
            .filter_map(|worker| {
                let alive = self.workers[worker].as_ref()?;
                Some((WorkerId(worker as u32), alive.network.address()))
            })
            .collect();
        self.network(index)
            .begin_attempt(AttemptOptions { identity, workers });
    }

    /// The worker is gone without a word, as if killed.
    pub(crate) fn crash(&mut self, index: usize) {
        let worker = self.workers[index].take().expect("the worker is alive");
        worker.runtime.shutdown_background();
        drop(worker.network);
    }

    pub(crate) fn open_sender<T: Send + 'static>(&self, edge: Edge<T>, id: ChannelId) -> ChannelSender<T> {
        let remote = self.network(0).open_sender(WorkerId(1), id, self.waker());
        framed(edge, remote.unwrap())
    }

    pub(crate) fn open_receiver<T: Send + 'static>(
        &self,
        edge: Edge<T>,
        id: ChannelId,
    ) -> ChannelReceiver<T> {
        let remote = self.network(1).open_receiver(WorkerId(0), id, self.waker());
        edge.remote_receiver(remote.unwrap())
    }

    pub(crate) fn open_broadcast<T: Send + 'static>(
        &self,
        edge: Edge<T>,
        id: ChannelId,
        consumers: usize,
    ) -> Vec<ChannelReceiver<T>> {
        let wakers = vec![self.waker(); consumers];
        self.network(1)
            .open_broadcast_receivers(WorkerId(0), id, &wakers)
            .unwrap()
            .into_iter()
            .map(|remote| edge.remote_receiver(remote))
            .collect()
    }

    /// A channel from worker 0 to worker 1.
    pub(crate) fn channel<T: Send + 'static>(
        &self,
        edge: Edge<T>,
        id: ChannelId,
    ) -> (ChannelSender<T>, ChannelReceiver<T>) {
        let sender = self.open_sender(edge.clone(), id);
        (sender, self.open_receiver(edge, id))
    }

    /// Drains one end and polls the other until the end of input has come.
    pub(crate) fn pump<T>(
        &self,
        sender: &mut ChannelSender<T>,
        receiver: &mut ChannelReceiver<T>,
    ) -> Vec<Message<T>> {
        let mut received = Vec::new();
        eventually("the end of input comes", || {
            let _ = sender.drain().unwrap();
            while let Some(message) = receiver.poll().unwrap() {
                let is_end = matches!(message, Message::Control(Control::End));
                received.push(message);
                if is_end {
                    return true;
                }
            }
            false
        });
        received
    }

    /// What a sender that cannot go on says.
    pub(crate) fn eventual_error<T>(&self, sender: &mut ChannelSender<T>) -> String {
        let mut message = None;
        eventually("the sender fails", || {
            message = sender.drain().err().map(|error| error.to_string());
            message.is_some()
        });
        message.expect("a message")
    }
}

//! The task manager itself: one loop that owns the stream to the job manager and everything that runs here.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Instant};

use tidegate_core::{Generation, TaskManagerId};
use tidegate_proto::{
    control::{ProtocolRange, Registration as WorkerRegistration},
    taskmanager::{Content, Directive, Registration, Report},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, sleep, sleep_until},
};
use tonic::transport::Endpoint;

use crate::{
    artifact::ArtifactCache,
    backoff::Backoff,
    control_group::ControlGroups,
    directories::Directories,
    disk::DiskUse,
    error::TaskManagerError,
    fleet::Fleet,
    link::{Link, LinkError, endpoint},
    metrics::Metrics,
    node::{Node, OpenStorage},
    options::{MemoryControl, TaskManagerOptions},
    resources::ResourceSampler,
};

/// Ends of workers that wait to be told while there is no job manager; more drop the oldest. The registration says what
/// runs, so that what is dropped is only the cause.
const UNTOLD_CAPACITY: usize = 1024;
/// The most slots that a task manager may offer.
const MAX_SLOTS: u32 = 32_768;

/// How a task manager stands with its job manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// It looks for it. Workers run on.
    Detached {
        /// Why, once it has been tried.
        reason: Option<String>,
    },
    /// It obeys.
    Attached {
        /// The generation of the cluster.
        generation: Generation,
    },
}

/// A task manager that is about to work. Made by [`new`](Self::new), consumed by [`run`](Self::run).
pub struct TaskManager {
    node: Arc<Node>,
    endpoint: Endpoint,
    incarnation: u64,
    /// The highest that was heard of.
    generation: Generation,
    fleet: Fleet,
    untold: VecDeque<Report>,
    resources: ResourceSampler,
    attachment: watch::Sender<Attachment>,
    closing: watch::Receiver<bool>,
}

/// What others can do with a running task manager.
#[derive(Clone)]
pub struct TaskManagerHandle {
    attachment: watch::Receiver<Attachment>,
    closing: Arc<watch::Sender<bool>>,
    pub(crate) node: Arc<Node>,
}

impl TaskManagerHandle {
    /// What it is called.
    pub fn id(&self) -> &TaskManagerId {
        &self.node.id
    }

    /// How it stands with its job manager.
    pub fn attachment(&self) -> watch::Receiver<Attachment> {
        self.attachment.clone()
    }

    /// Lets it tell the job manager that it leaves, end its workers within their grace, and return.
    pub fn shut_down(&self) {
        self.closing.send_replace(true);
    }
}

/// Why a session with a job manager is over.
enum End {
    Closing,
    Link(LinkError),
}

impl TaskManager {
    /// Takes the directory and checks what can be checked without the job manager.
    ///
    /// # Errors
    /// If an option makes no sense, or the directory cannot be used.
    pub fn new(options: TaskManagerOptions) -> Result<(Self, TaskManagerHandle), TaskManagerError> {
        check(&options)?;
        let endpoint = endpoint(&options.link)?;
        let directories = Directories::take(&options.directory)?;
        let folder = directories.artifacts();
        let artifacts = ArtifactCache::open(folder.clone(), options.artifacts.clone())
            .map_err(|source| TaskManagerError::Directory { path: folder, source })?;
        let id = match &options.id {
            Some(id) => id.clone(),
            None => directories.own_id(rand::random())?,
        };
        let node = Arc::new(Node {
            metrics: Metrics::new(&id, &options),
            control_groups: control_groups(&id, options.workers.memory_control),
            id,
            describing: tokio::sync::Semaphore::new(options.describe.concurrency),
            directories,
            artifacts,
            options,
        });
        let (attachment, attachment_seen) = watch::channel(Attachment::Detached { reason: None });
        let (closing_sender, closing) = watch::channel(false);
        let handle = TaskManagerHandle {
            attachment: attachment_seen,
            closing: Arc::new(closing_sender),
            node: Arc::clone(&node),
        };
        let task_manager = Self {
            fleet: Fleet::new(Arc::clone(&node)),
            node,
            endpoint,
            incarnation: rand::random(),
            generation: Generation::default(),
            untold: VecDeque::new(),
            resources: ResourceSampler::default(),
            attachment,
            closing,
        };
        Ok((task_manager, handle))
    }

    /// Works until it is told to end, or all handles are gone.
    ///
    /// # Errors
    /// [`TaskManagerError::Refused`] if the job manager has never let it in and says that it will not,
    /// [`TaskManagerError::Replaced`] if another process has its id. Its workers are ended then.
    pub async fn run(mut self) -> Result<(), TaskManagerError> {
        let outcome = self.work().await;
        self.attachment.send_replace(Attachment::Detached {
            reason: Some("the task manager ends".to_owned()),
        });
        self.fleet.end_all().await;
        outcome
    }

    async fn work(&mut self) -> Result<(), TaskManagerError> {
        let mut backoff = Backoff::up_to(self.node.options.link.longest_pause);
        let mut let_in_before = false;
        loop {
            let end = match self.attach().await {
                Ok(link) => {
                    backoff.reset();
                    let_in_before = true;
                    self.obey(link).await
                }
                Err(end) => end,
            };
            let error = match end {
                End::Closing => return Ok(()),
                End::Link(error) => error,
            };
            self.attachment.send_replace(Attachment::Detached {
                reason: Some(error.to_string()),
            });
            self.node.metrics.detached();
            let job_manager = self.node.options.link.job_manager.clone();
            match error {
                LinkError::Refused(reason) if !let_in_before => {
                    return Err(TaskManagerError::Refused { job_manager, reason });
                }
                LinkError::Replaced(reason) => return Err(TaskManagerError::Replaced { reason }),
                LinkError::Refused(reason) => {
                    tracing::error!(
                        job_manager,
                        reason,
                        "refused; workers run on, and this will be tried again"
                    );
                }
                LinkError::Lost(reason) => {
                    tracing::warn!(
                        job_manager,
                        reason,
                        "no job manager; workers run on, and this will be tried again"
                    );
                }
            }
            let pause = backoff.pause(rand::random());
            if self.meanwhile(sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn attach(&mut self) -> Result<Link, End> {
        let (node, endpoint) = (Arc::clone(&self.node), self.endpoint.clone());
        let (generation, registration) = (self.generation, self.registration());
        let attaching =
            async move { Link::attach(&endpoint, &node.options.link, generation, registration).await };
        match self.meanwhile(attaching).await {
            None => Err(End::Closing),
            Some(Err(error)) => Err(End::Link(error)),
            Some(Ok(link)) => Ok(link),
        }
    }

    fn registration(&self) -> Registration {
        let options = &self.node.options;
        Registration {
            task_manager: self.node.id.clone(),
            incarnation: self.incarnation,
            protocol: ProtocolRange::task_manager_control(),
            slots: options.slots,
            memory_bytes: options.memory_bytes,
            target: WorkerRegistration::own_target(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            host_name: host_name(),
            workers: self.fleet.running(),
        }
    }

    /// Waits for something while there is no job manager to report to. `None` if the task manager is to end.
    async fn meanwhile<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(something);
        loop {
            let report = tokio::select! {
                biased;
                () = told(&mut self.closing) => return None,
                done = &mut something => return Some(done),
                report = self.fleet.next_report() => report,
            };
            // The registration tells of starts, and whoever asked something has gone.
            if let Report::WorkerEnded { .. } = report {
                if self.untold.len() == UNTOLD_CAPACITY {
                    self.untold.pop_front();
                }
                self.untold.push_back(report);
            }
        }
    }

    /// Does what a job manager wants, until one of the two is gone.
    async fn obey(&mut self, mut link: Link) -> End {
        self.generation = link.generation;
        let storage = OpenStorage::at(&link.attached.storage);
        tracing::info!(generation = %link.generation, storage = storage.location(), "attached to the job manager");
        self.attachment.send_replace(Attachment::Attached {
            generation: link.generation,
        });
        self.node.metrics.attached();
        let session = self.session(&mut link, &storage).await;
        self.generation = link.generation;
        match session {
            Ok(()) => {
                link.say_farewell("it was told to end".to_owned()).await;
                End::Closing
            }
            Err(error) => End::Link(error),
        }
    }

    /// Ends well if the task manager is to end.
    async fn session(&mut self, link: &mut Link, storage: &OpenStorage) -> Result<(), LinkError> {
        while let Some(report) = self.untold.pop_front() {
            link.say(Content::Report(report)).await?;
        }
        let silence = self.node.options.link.heartbeat_timeout;
        let mut beats = tokio::time::interval(self.node.options.link.heartbeat_interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut disk = DiskUse::default();
        let mut heard = tokio::time::Instant::now();
        loop {
            tokio::select! {
                biased;
                () = told(&mut self.closing) => return Ok(()),
                directive = link.hear() => {
                    heard = tokio::time::Instant::now();
                    take(&mut self.fleet, directive?, storage)?;
                }
                report = self.fleet.next_report() => link.say(Content::Report(report)).await?,
                _ = beats.tick() => {
                    let disk_bytes = disk.bytes(&self.node);
                    let sample = self.resources.sample(Instant::now(), self.fleet.processes(), disk_bytes);
                    self.node.metrics.used(&sample);
                    link.say(Content::Heartbeat(sample)).await?;
                }
                () = sleep_until(heard + silence) => {
                    return Err(LinkError::Lost(format!("it has not been heard of for {silence:?}")));
                }
            }
        }
    }
}

/// Resolves when the task manager is to end: it was told, or nobody could tell it any more.
async fn told(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

fn take(fleet: &mut Fleet, directive: Directive, storage: &OpenStorage) -> Result<(), LinkError> {
    match directive {
        Directive::Heartbeat => Ok(()),
        Directive::Order(order) => {
            fleet.carry_out(order, storage);
            Ok(())
        }
        Directive::Attached(_) => Err(LinkError::Lost("it attached the task manager twice".to_owned())),
    }
}

fn check(options: &TaskManagerOptions) -> Result<(), TaskManagerError> {
    let refuse = |option, value: &dyn std::fmt::Display, reason: &str| {
        Err(TaskManagerError::Option {
            option,
            value: value.to_string(),
            reason: reason.to_owned(),
        })
    };
    if !(1..=MAX_SLOTS).contains(&options.slots) {
        return refuse("slots", &options.slots, "1 to 32768 can be offered");
    }
    let address = options.workers.data_address;
    if address.is_unspecified() {
        return refuse(
            "the data address",
            &address,
            "other workers connect to it; give an address of this machine",
        );
    }
    let bind = options.workers.data_bind.map(|bind| bind.ip());
    let open = bind.into_iter().chain([address]).find(|it| !it.is_loopback());
    if let (Some(address), None) = (open, &options.link.secret) {
        return refuse(
            "the data address",
            &address,
            "other machines reach it, and there is no cluster secret; set TIDEGATE_CLUSTER_SECRET",
        );
    }
    if options.link.heartbeat_timeout <= options.link.heartbeat_interval {
        return refuse(
            "the heartbeat timeout",
            &format_args!("{:?}", options.link.heartbeat_timeout),
            "it must be longer than the interval",
        );
    }
    if options.logs.files == 0 {
        return refuse("the number of log files", &0, "a worker writes to at least 1");
    }
    if options.describe.concurrency == 0 {
        return refuse("the number of descriptions at a time", &0, "at least 1 is needed");
    }
    Ok(())
}

fn control_groups(id: &TaskManagerId, control: MemoryControl) -> Option<ControlGroups> {
    match control {
        MemoryControl::Watch => None,
        MemoryControl::Auto => ControlGroups::take_own(id)
            .inspect_err(|error| {
                tracing::info!(reason = %error, "no control group is delegated; the memory of workers is watched");
            })
            .ok(),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

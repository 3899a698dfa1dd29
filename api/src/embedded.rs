//! A job in this process: one coordinator and one or more workers, over the same exchange as between machines.
//!
//! Everything asynchronous runs on a small runtime of its own, on a thread of its own, so that jobs are started and
//! waited for from anywhere; operators run on their workers' executor threads.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc as blocking},
    thread,
    time::Duration,
};

use tidegate_core::{
    JobId, Severity, TaskManagerId, WorkerName,
    control::{WorkerOrder, WorkerReport},
};
use tidegate_driver::{
    Driver, DriverError, DriverGone, DriverHandle, JobDescription, JobStatus, JobStore, Newcomer,
    ORDER_CAPACITY, Outcome, ReportSender, SavepointInfo, SavepointRequestError,
};
use tidegate_worker::{JobProgram, TaskMetricsEntry, Worker, WorkerError, WorkerMetrics, WorkerOptions};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{Error, Job, Result, RunOptions, options::Place};

/// Threads for sockets, the store and timers; operators have their own.
const IO_THREADS: usize = 2;
/// Reports of a worker that the driver has not taken yet.
const REPORT_CAPACITY: usize = 256;
/// How long an executor that has a core to itself turns before it parks.
const SPIN: Duration = Duration::from_micros(30);

impl Job {
    /// Runs the job in this process until it ends.
    ///
    /// # Errors
    /// See [`RunningJob::join`].
    pub fn run(&self, options: RunOptions) -> Result<Outcome> {
        self.start(options)?.join()
    }

    /// Starts the job in this process.
    ///
    /// # Errors
    /// If the place for its checkpoints cannot be used, or threads or sockets cannot be had.
    pub fn start(&self, options: RunOptions) -> Result<RunningJob> {
        RunningJob::start(self.program(), options)
    }
}

/// A job that runs in this process. Dropped without [`join`](Self::join), it is cancelled.
///
/// ```
/// use tidegate::prelude::*;
///
/// let job = Job::build("endless", |env| {
///     env.source("numbers", GeneratorSource::new(|_seed, sequence| sequence).rate(1000)).discard("nowhere");
///     Ok(())
/// })?;
/// let running = job.start(RunOptions::in_memory())?;
/// running.suspend()?;
/// assert!(matches!(running.join()?, Outcome::Suspended { .. }));
/// # Ok::<(), tidegate::Error>(())
/// ```
pub struct RunningJob {
    thread: Option<thread::JoinHandle<Result<Outcome>>>,
    control: JobControl,
}

/// Looks at a running job and tells it what to do; may be cloned and outlive it.
#[derive(Clone)]
pub struct JobControl {
    job: JobId,
    driver: DriverHandle,
    runtime: tokio::runtime::Handle,
    metrics: Arc<[WorkerMetrics]>,
}

impl RunningJob {
    fn start(program: Arc<JobProgram>, options: RunOptions) -> Result<Self> {
        let (started, starting) = blocking::sync_channel(1);
        let thread = thread::Builder::new()
            .name("tidegate-job".to_owned())
            .spawn(move || run_on_this_thread(program, options, &started))
            .map_err(Error::Threads)?;
        match starting.recv() {
            Ok(control) => Ok(Self {
                thread: Some(thread),
                control,
            }),
            Err(_) => match join_thread(thread) {
                Err(error) => Err(error),
                Ok(_) => Err(Error::Panicked),
            },
        }
    }

    /// Waits until the job ends.
    ///
    /// # Errors
    /// [`Error::Failed`] if the job has failed, with its cause; errors of the store, of the state it was to resume
    /// from, and of anything else that kept it from running.
    pub fn join(mut self) -> Result<Outcome> {
        match self.thread.take() {
            Some(thread) => join_thread(thread),
            None => Err(Error::Panicked),
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }

    /// Looks at the job and tells it what to do, from wherever.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }
}

impl std::ops::Deref for RunningJob {
    type Target = JobControl;

    fn deref(&self) -> &JobControl {
        &self.control
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // An answer would only say that it has ended already.
            let _ = self.control.cancel();
            let _ = thread.join();
        }
    }
}

impl JobControl {
    /// Takes a savepoint and waits until it is complete; the job goes on.
    ///
    /// # Errors
    /// If the name is taken or cannot be one, or the job cannot take one now.
    pub fn savepoint(&self, name: &str) -> Result<SavepointInfo> {
        let (driver, name) = (self.driver.clone(), name.to_owned());
        self.wait(async move { driver.savepoint(&name).await })
    }

    /// Takes a checkpoint, commits it and stops there. What has not been read is read when the job is resumed.
    ///
    /// # Errors
    /// If the job has ended.
    pub fn suspend(&self) -> Result<()> {
        let driver = self.driver.clone();
        self.wait(async move { driver.suspend(None).await }).map(drop)
    }

    /// Takes a savepoint and stops there.
    ///
    /// # Errors
    /// As [`savepoint`](Self::savepoint).
    pub fn suspend_with_savepoint(&self, name: &str) -> Result<Option<SavepointInfo>> {
        let (driver, name) = (self.driver.clone(), name.to_owned());
        self.wait(async move { driver.suspend(Some(&name)).await })
    }

    /// Ends the job without a last checkpoint.
    ///
    /// # Errors
    /// If the job has ended.
    pub fn cancel(&self) -> Result<()> {
        let driver = self.driver.clone();
        self.wait(async move { driver.cancel().await })
    }

    /// How the job is doing now.
    pub fn status(&self) -> JobStatus {
        self.driver.status().borrow().clone()
    }

    /// Waits until `condition` holds for the job's status, or the job has ended; the last status.
    pub fn wait_until(&self, mut condition: impl FnMut(&JobStatus) -> bool + Send + 'static) -> JobStatus {
        let mut status = self.driver.status();
        let last = self.wait(async move {
            let reached = status
                .wait_for(|status| status.outcome.is_some() || condition(status))
                .await;
            Ok::<_, Error>(reached.map(|status| status.clone()).ok())
        });
        last.ok().flatten().unwrap_or_else(|| self.status())
    }

    /// The job's id.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// What all tasks of the current attempt measure.
    pub fn metrics(&self) -> Vec<TaskMetricsEntry> {
        self.metrics.iter().flat_map(WorkerMetrics::tasks).collect()
    }

    /// Runs something beside the job, until the job ends.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Runs something on the job's runtime and blocks this thread, whatever it is, until it is done.
    fn wait<T: Send + 'static, E: Into<Error> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = blocking::sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody waits for it only if the waiting thread has died.
            let _ = done.send(work.await);
        });
        // The runtime goes with the job, and with it whatever ran there.
        result.recv().map_err(|_| Error::Ended)?.map_err(Into::into)
    }
}

fn join_thread(thread: thread::JoinHandle<Result<Outcome>>) -> Result<Outcome> {
    thread.join().unwrap_or(Err(Error::Panicked))
}

fn run_on_this_thread(
    program: Arc<JobProgram>,
    options: RunOptions,
    started: &blocking::SyncSender<JobControl>,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("tidegate-io")
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let outcome = runtime.block_on(run(program, options, started));
    // A blocking read of a source that hangs must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn run(
    program: Arc<JobProgram>,
    options: RunOptions,
    started: &blocking::SyncSender<JobControl>,
) -> Result<Outcome> {
    let store = match &options.place {
        Place::Location(location) => JobStore::open(location).map_err(Error::Storage)?,
        Place::Store(store) => store.clone(),
    };
    let job = JobId::new(program.graph().name.as_str());
    let description = JobDescription {
        job: job.clone(),
        graph: Arc::new(program.graph().clone()),
        default_parallelism: None,
        arguments: options.arguments.clone(),
    };
    let (driver, handle) = Driver::new(options.driver(), description, store.clone());
    let driver = tokio::spawn(driver.run());
    let status = handle.status();
    let (mut workers, mut metrics) = (JoinSet::new(), Vec::new());
    let embedded = TaskManagerId::parse("embedded").expect("letters are a valid id");
    for number in 0..options.workers {
        let worker = Worker::bind(
            worker_options(&options, &store),
            Arc::clone(&program),
            Arc::clone(store.store()),
        )
        .map_err(Error::Worker)?;
        metrics.push(worker.metrics());
        let (orders, inbox) = mpsc::channel(ORDER_CAPACITY);
        let newcomer = Newcomer {
            name: WorkerName::of(&embedded, number.into()),
            slots: options.slots,
            data: worker.data_address(),
            running: None,
        };
        let attached = handle.attach_worker(newcomer, orders).await;
        // A driver that has ended already says why itself.
        if let Ok((_, reports)) = attached {
            workers.spawn(work(worker, inbox, reports, handle.clone()));
        }
    }
    let control = JobControl {
        job,
        driver: handle,
        runtime: tokio::runtime::Handle::current(),
        metrics: metrics.into(),
    };
    // If nobody waits for it any more the job runs on until it is cancelled by the handle's drop.
    let _ = started.send(control);
    let outcome = driver.await.map_err(|_| Error::Panicked)?;
    // The driver has dropped its ends of the workers' orders: they stop their threads and return.
    let mut stuck = None;
    while let Some(worker) = workers.join_next().await {
        if let Ok(Err(error @ WorkerError::IgnoresCancellation { .. })) = worker {
            stuck = Some(error);
        }
    }
    if let Some(error) = stuck {
        return Err(Error::IgnoresCancellation {
            cause: outcome_in_words(&outcome),
            source: error,
        });
    }
    match outcome? {
        Outcome::Failed {
            cause,
            task,
            uncommitted,
        } => {
            let by_task = task
                .as_ref()
                .is_some_and(|task| task.severity == Severity::FailJob);
            // What fails before an attempt was ever made fails in finding what to start from.
            let in_opening = status.borrow().exceptions.is_empty();
            Err(match by_task || in_opening {
                true => Error::StateRefused { cause },
                false => Error::Failed {
                    cause,
                    task: task.map(Box::new),
                    uncommitted,
                },
            })
        }
        outcome => Ok(outcome),
    }
}

/// Runs one worker and takes its reports to the driver.
async fn work(
    worker: Worker,
    orders: mpsc::Receiver<WorkerOrder>,
    to_driver: ReportSender,
    driver: DriverHandle,
) -> Result<(), WorkerError> {
    let (reports, mut outgoing) = mpsc::channel::<WorkerReport>(REPORT_CAPACITY);
    let id = to_driver.worker();
    let forward = async move {
        while let Some(report) = outgoing.recv().await {
            if to_driver.send(report).await.is_err() {
                break;
            }
        }
    };
    let (result, ()) = tokio::join!(worker.run(watch::channel(id).1, orders, reports), forward);
    if let Err(error) = &result {
        // A driver that is gone needs not be told.
        let _ = driver.lose_worker(id, error.to_string()).await;
    }
    result
}

fn worker_options(options: &RunOptions, store: &JobStore) -> WorkerOptions {
    let threads = options.workers.saturating_mul(options.slots);
    WorkerOptions {
        slots: options.slots,
        job_root: store.root().clone(),
        local_directory: None,
        data_secret: None,
        data_bind: (options.workers > 1).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        // Turning steals the core from whoever has the work, where there are more threads than cores.
        spin: if threads < crate::command_line::default_parallelism() {
            SPIN
        } else {
            Duration::ZERO
        },
        cancel_timeout: options.cancel_timeout,
        faults: options.faults.clone(),
    }
}

/// How the job would have ended, had all its tasks.
fn outcome_in_words(outcome: &Result<Outcome, DriverError>) -> String {
    match outcome {
        Ok(Outcome::Failed { cause, .. }) => format!("the job has failed: {cause}"),
        Ok(outcome) => format!("the job is {}", outcome.state()),
        Err(error) => error.to_string(),
    }
}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Died => Self::Died,
            DriverError::Store(error) => Self::Storage(error),
            other => Self::Driver(other),
        }
    }
}

impl From<DriverGone> for Error {
    fn from(_: DriverGone) -> Self {
        Self::Ended
    }
}

impl From<SavepointRequestError> for Error {
    fn from(error: SavepointRequestError) -> Self {
        match error {
            SavepointRequestError::Gone(_) => Self::Ended,
            SavepointRequestError::Store(error) => Self::Storage(error),
            SavepointRequestError::Savepoint(error) => Self::Savepoint(error),
        }
    }
}

//! Which jobs are hosted and which workers sit where.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_core::{JobId, WorkerId, WorkerName, metrics::WorkerMeasurement};
use tidegate_driver::DriverHandle;
use tokio::sync::oneshot;

/// A job whose workers may attach.
#[derive(Clone, Debug)]
pub struct HostedJob {
    /// Its id.
    pub job: JobId,
    /// The fingerprint of its graph: workers that build another are refused.
    pub graph_fingerprint: u64,
    /// What its executable was compiled for: workers that were compiled for something else are refused. `None` takes any.
    pub target: Option<String>,
    /// Its driver.
    pub driver: DriverHandle,
}

/// A job of this name is hosted already.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("job \"{job}\" is hosted already; withdraw it first, or give the other a name of its own")]
pub struct AlreadyHosted {
    /// Which.
    pub job: JobId,
}

/// Is told of the workers of a job as they measure and go. Nothing in it may wait.
pub(crate) trait WorkerWatcher: fmt::Debug + Send + Sync {
    /// Whether a worker of this name has been given up: it is not let in.
    fn is_gone(&self, name: &str) -> bool;
    /// A worker has measured.
    fn measured(&self, worker: WorkerId, measurement: WorkerMeasurement);
    /// A worker is lost to its driver, which has been told.
    fn lost(&self, worker: WorkerId, name: &str);
}

/// Why a session is asked to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leave {
    /// The worker is gone, which its driver has been told.
    Gone,
    /// Another worker takes the seat, or the job is withdrawn.
    MakeRoom,
    /// The port closes: its job may go on elsewhere.
    Close,
}

/// All hosted jobs. The lock is a leaf, held for a look-up.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    jobs: Mutex<HashMap<JobId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    job: HostedJob,
    watcher: Option<Arc<dyn WorkerWatcher>>,
    seats: HashMap<String, Seat>,
}

/// Held by the roster: whoever drops it asks the session in the seat to leave.
#[derive(Debug)]
struct Seat {
    asks_to_leave: oneshot::Sender<Leave>,
    /// Resolves when the session has left.
    left: oneshot::Receiver<()>,
}

/// Held by the session of a worker while it lasts.
#[derive(Debug)]
pub(crate) struct Seated {
    asked_to_leave: oneshot::Receiver<Leave>,
    _leaves: oneshot::Sender<()>,
}

impl Seated {
    /// Resolves when the session is to end.
    pub(crate) async fn asked_to_leave(&mut self) -> Leave {
        // The roster drops its end unless the worker is gone.
        (&mut self.asked_to_leave).await.unwrap_or(Leave::MakeRoom)
    }
}

impl Roster {
    pub(crate) fn host(
        &self,
        job: HostedJob,
        watcher: Option<Arc<dyn WorkerWatcher>>,
    ) -> Result<(), AlreadyHosted> {
        let mut jobs = self.lock();
        if jobs.contains_key(&job.job) {
            return Err(AlreadyHosted { job: job.job });
        }
        let entry = Entry {
            job,
            watcher,
            seats: HashMap::new(),
        };
        jobs.insert(entry.job.job.clone(), entry);
        Ok(())
    }

    pub(crate) fn withdraw(&self, job: &JobId) -> Option<HostedJob> {
        self.lock().remove(job).map(|entry| entry.job)
    }

    pub(crate) fn withdraw_all(&self) {
        for (_, entry) in self.lock().drain() {
            for seat in entry.seats.into_values() {
                // A session that has left by itself needs not be asked.
                let _ = seat.asks_to_leave.send(Leave::Close);
            }
        }
    }

    /// A hosted job and who watches its workers.
    pub(crate) fn find(&self, job: &JobId) -> Option<(HostedJob, Option<Arc<dyn WorkerWatcher>>)> {
        let jobs = self.lock();
        let entry = jobs.get(job)?;
        Some((entry.job.clone(), entry.watcher.clone()))
    }

    /// Asks a worker to leave that is known to be gone, if it is there.
    pub(crate) fn dismiss(&self, job: &JobId, worker: &WorkerName) {
        let mut jobs = self.lock();
        let seat = jobs
            .get_mut(job)
            .and_then(|entry| entry.seats.remove(worker.as_str()));
        if let Some(seat) = seat {
            // A session that has left by itself needs not be asked.
            let _ = seat.asks_to_leave.send(Leave::Gone);
        }
    }

    /// Gives a worker's seat to a new session, once whichever sat there has left. `None` if the job has been withdrawn.
    pub(crate) async fn take_seat(&self, job: &JobId, worker: &str) -> Option<Seated> {
        loop {
            let (asks_to_leave, asked_to_leave) = oneshot::channel();
            let (leaves, left) = oneshot::channel();
            let predecessor = {
                let mut jobs = self.lock();
                let seats = &mut jobs.get_mut(job)?.seats;
                // Seats of workers that are gone do not pile up.
                seats.retain(|_, seat| !is_over(&mut seat.left));
                let predecessor = seats.remove(worker).map(|seat| seat.left);
                if predecessor.is_none() {
                    let seat = Seat { asks_to_leave, left };
                    seats.insert(worker.to_owned(), seat);
                }
                predecessor
            };
            match predecessor {
                // Nothing is ever sent; the session drops its end.
                Some(left) => drop(left.await),
                None => {
                    return Some(Seated {
                        asked_to_leave,
                        _leaves: leaves,
                    });
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        // Nothing under the lock leaves the maps half changed.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(left: &mut oneshot::Receiver<()>) -> bool {
    matches!(left.try_recv(), Err(oneshot::error::TryRecvError::Closed))
}

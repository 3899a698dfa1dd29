//! How a job is to be run.

use std::time::Duration;

use tidegate_core::Faults;
use tidegate_driver::{DriverOptions, RequirementSetting};

pub use tidegate_driver::{CheckpointSettings, JobStore, RestartSettings, StartSetting};

use crate::command_line::default_parallelism;

/// How long tasks may take to end when they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How to run a job in this process.
///
/// ```no_run
/// use std::time::Duration;
/// use tidegate::{RunOptions, options::CheckpointSettings};
///
/// let options = RunOptions::at("checkpoints/my-job").workers(2).parallelism(1).checkpoints(CheckpointSettings {
///     interval: Duration::from_secs(5),
///     ..CheckpointSettings::default()
/// });
/// ```
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub(crate) place: Place,
    pub(crate) workers: u32,
    pub(crate) slots: u32,
    pub(crate) checkpoints: CheckpointSettings,
    pub(crate) restart: RestartSettings,
    pub(crate) start: StartSetting,
    pub(crate) allow_non_restored_state: bool,
    pub(crate) arguments: Vec<String>,
    pub(crate) cancel_timeout: Duration,
    pub(crate) faults: Faults,
}

/// Where a job keeps its checkpoints.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// To be opened.
    Location(String),
    /// Open.
    Store(JobStore),
}

impl RunOptions {
    /// Keeps checkpoints in memory, where they end with the process: for tests and for jobs that are cheap to repeat. A
    /// failure is not met with a restart, so that a test sees it.
    pub fn in_memory() -> Self {
        Self::at("memory://").restart(RestartSettings::None)
    }

    /// Keeps checkpoints at `location`: a local directory, a `file://` URL or one of another kind that the job was
    /// built for. A job that finds checkpoints of its own there goes on from them.
    pub fn at(location: impl Into<String>) -> Self {
        Self::in_place(Place::Location(location.into()))
    }

    /// Keeps checkpoints in a store that is open already: several runs in one process can share one that is in memory.
    pub fn in_store(store: JobStore) -> Self {
        Self::in_place(Place::Store(store))
    }

    fn in_place(place: Place) -> Self {
        Self {
            place,
            workers: 1,
            slots: default_parallelism(),
            checkpoints: CheckpointSettings::default(),
            restart: RestartSettings::default(),
            start: StartSetting::Resume,
            allow_non_restored_state: false,
            arguments: Vec::new(),
            cancel_timeout: CANCEL_TIMEOUT,
            faults: Faults::default(),
        }
    }

    /// How many slots each worker has, the cores of the machine unless set; operators that do not say otherwise have as
    /// many tasks as there are slots in all.
    #[must_use]
    pub fn parallelism(mut self, slots: u32) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// How many workers run in this process, 1 unless set. Two or more exchange records over loopback TCP, as they would
    /// between machines.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// When checkpoints are taken and how many are kept.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: CheckpointSettings) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// The time from one checkpoint to the next.
    #[must_use]
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoints.interval = interval;
        self
    }

    /// What happens after a failure.
    #[must_use]
    pub fn restart(mut self, restart: RestartSettings) -> Self {
        self.restart = restart;
        self
    }

    /// From where the job starts; from its last checkpoint unless set.
    #[must_use]
    pub fn start(mut self, start: StartSetting) -> Self {
        self.start = start;
        self
    }

    /// Whether state that no operator of the job claims is dropped; otherwise the job refuses to start.
    #[must_use]
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.allow_non_restored_state = allow;
        self
    }

    /// The job's own arguments: kept in its checkpoints, to warn when it is resumed with others.
    #[must_use]
    pub fn arguments(mut self, arguments: Vec<String>) -> Self {
        self.arguments = arguments;
        self
    }

    /// How long tasks may take to end when the job ends or restarts, and a cancelled job to finish a commit; 10 s unless
    /// set. A task that takes longer, because a user's function does not return, ends the job: see
    /// [`Error::IgnoresCancellation`](crate::Error::IgnoresCancellation).
    #[must_use]
    pub fn cancel_timeout(mut self, timeout: Duration) -> Self {
        self.cancel_timeout = timeout;
        self
    }

    /// Where to die, for tests of what survives.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    pub(crate) fn driver(&self) -> DriverOptions {
        DriverOptions {
            start: self.start.clone(),
            requirement: RequirementSetting::Workers(self.workers),
            adoption: None,
            checkpoints: self.checkpoints.clone(),
            restart: self.restart.clone(),
            allow_non_restored_state: self.allow_non_restored_state,
            stop_timeout: self.cancel_timeout,
            faults: self.faults.clone(),
        }
    }
}

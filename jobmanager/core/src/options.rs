//! What a coordinator is told once, at its start.

use std::{sync::Arc, time::Duration};

use tidegate_core::{JobId, Lineage, graph::JobGraph};

/// The job.
#[derive(Clone, Debug)]
pub struct JobDescription {
    /// Its id.
    pub job: JobId,
    /// Its graph.
    pub graph: Arc<JobGraph>,
    /// The parallelism of operators that do not say otherwise; `None` is the number of slots.
    pub default_parallelism: Option<u32>,
    /// The program arguments, kept in manifests to warn when they change.
    pub arguments: Vec<String>,
}

/// From where a job starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartMode {
    /// From the tail of its chain; from nothing when there is none.
    Resume,
    /// From nothing, as a new lineage. What the chain held is no longer reachable and is collected in time.
    Fresh,
    /// From a savepoint, as a new lineage.
    FromSavepoint {
        /// Where it lies, as the driver understands it.
        location: String,
    },
}

/// What must be attached before tasks are deployed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requirement {
    /// So many workers, whatever slots they have; tasks are spread over all that are there.
    Workers(u32),
    /// So many slots, on any number of workers; tasks are spread over exactly so many.
    Slots(u32),
}

/// When checkpoints are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointOptions {
    /// From one trigger to the next.
    pub interval: Duration,
    /// After which a checkpoint that has not been acknowledged and written is aborted; a second later at most, in which
    /// workers say what it waits for.
    pub timeout: Duration,
    /// At least this long from the end of one to the next trigger.
    pub minimum_pause: Duration,
    /// How many failures in a row are tolerated; one more restarts the job.
    pub tolerable_failures: u32,
    /// How many checkpoints are kept.
    pub retained: u32,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(600),
            minimum_pause: Duration::ZERO,
            tolerable_failures: 10,
            retained: 2,
        }
    }
}

/// When and how often a failed job is restarted.
#[derive(Clone, PartialEq, Debug)]
pub enum RestartStrategy {
    /// Waits longer after every failure, and short again after a time without any.
    ExponentialDelay {
        /// The first delay.
        initial: Duration,
        /// The longest delay.
        max: Duration,
        /// By how much each delay is longer than the one before.
        multiplier: f64,
        /// Up to which share of itself a delay is moved at random, from 0 to 1.
        jitter: f64,
        /// After how long without a failure the next delay is the first again.
        reset_after: Duration,
        /// How many failures without a reset are too many; `None` is no limit.
        attempts: Option<u32>,
    },
    /// Waits the same time, so many times.
    FixedDelay {
        /// How long.
        delay: Duration,
        /// How many restarts there are in all.
        attempts: u32,
    },
    /// Waits the same time, unless failures come too fast.
    FailureRate {
        /// How many failures in a window are tolerated.
        max_failures: u32,
        /// How long the window is.
        window: Duration,
        /// How long to wait.
        delay: Duration,
    },
    /// Never restarts.
    None,
}

impl Default for RestartStrategy {
    fn default() -> Self {
        Self::ExponentialDelay {
            initial: Duration::from_millis(50),
            max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
            reset_after: Duration::from_secs(600),
            attempts: None,
        }
    }
}

/// Everything a coordinator is told.
#[derive(Clone, Debug)]
pub struct CoordinatorOptions {
    /// The job.
    pub description: JobDescription,
    /// An identity that no other coordinator has ever had.
    pub leader: String,
    /// The lineage to use if the job does not continue one.
    pub fresh_lineage: Lineage,
    /// From where to start.
    pub start: StartMode,
    /// What to wait for before deploying.
    pub requirement: Requirement,
    /// For how long workers that still run what a coordinator before this one deployed are waited for, to be gone on with;
    /// `None` begins anew at once.
    pub adoption: Option<Duration>,
    /// When to take checkpoints.
    pub checkpoints: CheckpointOptions,
    /// When to restart.
    pub restart: RestartStrategy,
    /// How long workers may take to stop, and a cancelled job to finish a commit.
    pub stop_timeout: Duration,
    /// Whether state that no operator claims is dropped rather than refused.
    pub allow_non_restored_state: bool,
    /// Where the jitter of restarts comes from.
    pub seed: u64,
}

//! A whole job, run in steps.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_driver::{JobStore, Outcome};

use super::feed::{AnyFeed, Feed};
use crate::{Error, Job, Result, RunOptions, RunningJob, options::RestartSettings};

/// How long a look at a feed takes before the job itself is looked at.
const PATIENCE: Duration = Duration::from_millis(20);

/// The feeds of a job that is to be run in steps.
#[derive(Default)]
pub struct Feeds(Vec<Box<dyn AnyFeed>>);

impl Feeds {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more: a source for the job.
    pub fn feed<T: Serialize + DeserializeOwned + Clone + Send + 'static>(&mut self) -> Feed<T> {
        let feed = Feed::new();
        self.0.push(Box::new(feed.clone()));
        feed
    }
}

/// A whole job under test. A test feeds it, takes a [step](Self::step), and looks at what the job has
/// [collected](crate::Stream::collect): whatever follows from the records fed so far is there, at any parallelism. Between two
/// steps it may be [restarted](Self::restart), from its last snapshot and at another size.
///
/// The job runs as it would elsewhere, embedded, on threads of its own; only its checkpoints are in memory, and a failure
/// is not met with a restart. Processing time is that of the machine: [single operators](super::HarnessBuilder) can be tested
/// with a clock that the test moves.
///
/// ```
/// use std::time::Duration;
/// use tidegate::{prelude::*, testing::{Feeds, JobSteps}};
///
/// let mut feeds = Feeds::new();
/// let clicks = feeds.feed::<(String, i64)>();
/// let env = Env::new("clicks");
/// let counts = env
///     .source("clicks", clicks.clone())
///     .watermarks(WatermarkStrategy::monotonous().event_time(|(_, time): &(String, i64)| *time))
///     .key_by(|(user, _)| user.clone())
///     .window(Tumbling::of(Duration::from_secs(1)))
///     .aggregate("clicks-per-second", Count::new())
///     .map(|counted| (counted.key, counted.window.end.0, counted.value))
///     .collect("counts");
/// let mut job = JobSteps::start(env.build()?, feeds, |options| options.parallelism(2))?;
///
/// clicks.push([("ann".to_string(), 100), ("bob".to_string(), 200), ("ann".to_string(), 300)]);
/// job.step()?;
/// assert_eq!(counts.sorted(), [], "no window has ended");
///
/// job.restart(|options| options.parallelism(1).workers(2))?;
/// clicks.push([("ann".to_string(), 1_500)]);
/// job.step()?;
/// assert_eq!(counts.sorted(), [("ann".to_string(), 1000, 2), ("bob".to_string(), 1000, 1)]);
///
/// job.finish()?;
/// assert_eq!(counts.len(), 3);
/// # Ok::<(), tidegate::Error>(())
/// ```
pub struct JobSteps {
    job: Job,
    feeds: Feeds,
    store: JobStore,
    /// `None` once it has ended.
    running: Option<RunningJob>,
    steps: u64,
}

impl JobSteps {
    /// Starts the job, whose sources are `feeds`, with options that `adjust` may change.
    ///
    /// # Errors
    /// As of [`Job::start`].
    pub fn start(job: Job, feeds: Feeds, adjust: impl FnOnce(RunOptions) -> RunOptions) -> Result<Self> {
        let store = JobStore::open("memory://").map_err(Error::Storage)?;
        let running = job.start(adjust(options(&store)))?;
        Ok(Self {
            job,
            feeds,
            store,
            running: Some(running),
            steps: 0,
        })
    }

    /// Waits until all that was fed has gone through the job and everything that follows from it has been committed.
    ///
    /// # Errors
    /// If the job fails, with its cause.
    pub fn step(&mut self) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        for feed in &self.feeds.0 {
            while !feed.wait_until_read(PATIENCE) {
                if running.is_finished() {
                    return self.ended().map(drop);
                }
            }
        }
        self.steps += 1;
        // A barrier comes behind all records that have been read, and a savepoint's too commits what came before it.
        match running.savepoint(&format!("step-{}", self.steps)) {
            Ok(savepoint) => {
                let status = running.wait_until(move |status| status.committed >= Some(savepoint.epoch));
                if status.outcome.is_some() {
                    return self.ended().map(drop);
                }
                Ok(())
            }
            Err(error) => {
                // Its sources may have ended, and the job with them; or it has failed, which says more than this error.
                let is_ending = self.feeds.0.iter().all(|feed| feed.has_ended());
                if !is_ending && running.status().outcome.is_none() {
                    return Err(error);
                }
                match self.ended()? {
                    Some(Outcome::Finished { .. }) => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Suspends the job and starts it again from there, with options that `adjust` may change.
    ///
    /// # Errors
    /// As of [`Job::start`]; if the job has failed, with its cause.
    pub fn restart(&mut self, adjust: impl FnOnce(RunOptions) -> RunOptions) -> Result<()> {
        if let Some(running) = &self.running {
            running.suspend()?;
        }
        self.ended()?;
        self.running = Some(self.job.start(adjust(options(&self.store)))?);
        Ok(())
    }

    /// Ends all input and waits until the job has finished.
    ///
    /// # Errors
    /// If the job fails, with its cause.
    pub fn finish(mut self) -> Result<()> {
        self.feeds.0.iter().for_each(|feed| feed.end());
        self.ended().map(drop)
    }

    /// Waits for the job's end.
    fn ended(&mut self) -> Result<Option<Outcome>> {
        self.running.take().map(RunningJob::join).transpose()
    }
}

fn options(store: &JobStore) -> RunOptions {
    RunOptions::in_store(store.clone()).restart(RestartSettings::None)
}

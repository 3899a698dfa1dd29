//! A job that keeps 16 bytes for each of many keys, and is told how many updates to make.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tidegate::{JobStatus, prelude::*};

use crate::{
    BenchmarkError,
    faucet::{Faucet, Tap},
    job_run::failed,
    keyed_input::key,
    nexmark::Draws,
    runner::{Moment, Usage},
    watch_sink::{WatchSink, Watched},
};

/// How many keys there are once a job is loaded.
pub(crate) const KEYS: u64 = 10_000_000;
/// As good as never.
pub(crate) const NO_CHECKPOINTS: Duration = Duration::from_secs(24 * 3_600);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Which keys are updated once all are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Updates {
    /// Each as likely as any.
    Uniform,
    /// 95 % of updates on 5 % of keys.
    Hot,
    /// None: every record is a new key.
    Insert,
}

impl Updates {
    /// The key of record `number`. The first records are all keys, one after the other.
    fn key(self, number: u64) -> u64 {
        if number < KEYS || self == Self::Insert {
            return key(number);
        }
        let mut draws = Draws::of(number);
        match self {
            Self::Hot if draws.below(100) < 95 => key(draws.below(KEYS / 20)),
            _ => key(draws.below(KEYS)),
        }
    }
}

/// A running job with one slot.
pub(crate) struct StateJob {
    id: &'static str,
    running: RunningJob,
    watched: Arc<Watched>,
    pub(crate) tap: Tap,
}

/// What happened in a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) records: u64,
    /// Processor time of the executor's thread.
    pub(crate) thread_cpu: Duration,
    /// Of the whole process.
    pub(crate) usage: Usage,
    pub(crate) longest_gap: Duration,
    pub(crate) longest_wall_gap: Duration,
    /// Gaps above [`LONG_GAP`](crate::watch_sink::LONG_GAP) of processor time.
    pub(crate) long_gaps: u64,
}

impl StateJob {
    /// Starts it with checkpoints at `directory`, or goes on from what is there. Nothing flows yet.
    pub(crate) fn start(
        id: &'static str,
        directory: &Path,
        interval: Duration,
        updates: Updates,
    ) -> Result<Self, BenchmarkError> {
        let (tap, sink) = (Tap::default(), WatchSink::default());
        let watched = sink.watched();
        let env = Env::new("state");
        env.source(
            "keys",
            Faucet::new(tap.clone(), move |number| updates.key(number)),
        )
        .key_by(|key| *key)
        .fold(
            "state",
            || (0_u64, 0_u64),
            |(count, sum): &mut (u64, u64), key: u64| {
                *count += 1;
                *sum = sum.wrapping_add(key);
            },
            Emit::EveryRecord,
        )
        .sink("watch", sink);
        let job = env.build().map_err(|cause| failed(id, cause))?;
        let options = RunOptions::at(directory.display().to_string())
            .parallelism(1)
            .checkpoint_interval(interval);
        let running = job.start(options).map_err(|cause| failed(id, cause))?;
        Ok(Self {
            id,
            running,
            watched,
            tap,
        })
    }

    /// What its sink sees.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// How the job is doing.
    pub(crate) fn status(&self) -> JobStatus {
        self.running.status()
    }

    /// Waits for a condition; fails if the job ends before it holds.
    pub(crate) fn wait(&self, mut condition: impl FnMut(&Self) -> bool) -> Result<(), BenchmarkError> {
        while !condition(self) {
            if self.running.is_finished() {
                let ended = format!("it ended before its time: {:?}", self.status().outcome);
                return Err(BenchmarkError::Job {
                    id: self.id,
                    cause: ended.into(),
                });
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Lets records flow up to `number` and waits until they have passed.
    pub(crate) fn advance_to(&self, number: u64) -> Result<(), BenchmarkError> {
        self.tap.allow(number);
        self.wait(|job| job.watched.records() >= number)
    }

    /// Waits until one more checkpoint has been triggered and claimed.
    pub(crate) fn wait_for_checkpoint(&self) -> Result<(), BenchmarkError> {
        let before = self.status().completed_checkpoints;
        // The first to be claimed may have been triggered before.
        self.wait(|job| job.status().completed_checkpoints >= before + 2)
    }

    /// Lets records flow for a while.
    pub(crate) fn phase(&self, length: Duration) -> Result<Phase, BenchmarkError> {
        let before = self.watched.records();
        self.tap.open();
        // It has to be running when the watch begins.
        self.wait(|job| job.watched.records() > before)?;
        self.watched.begin();
        let (records, thread_cpu, start) = (self.watched.records(), self.watched.thread_cpu(), Moment::now());
        let until = Instant::now() + length;
        self.wait(|_| Instant::now() >= until)?;
        let phase = Phase {
            records: self.watched.records() - records,
            thread_cpu: self.watched.thread_cpu().saturating_sub(thread_cpu),
            usage: start.elapsed(),
            longest_gap: self.watched.longest_gap(),
            longest_wall_gap: self.watched.longest_wall_gap(),
            long_gaps: self.watched.long_gaps(),
        };
        self.tap.close();
        Ok(phase)
    }

    /// Takes a savepoint and says how large it is: all state, written whole.
    pub(crate) fn savepoint_bytes(&self, name: &str) -> Result<u64, BenchmarkError> {
        self.running
            .savepoint(name)
            .map(|savepoint| savepoint.size)
            .map_err(|cause| failed(self.id, cause))
    }

    /// Takes a last checkpoint and stops; another can go on from it.
    pub(crate) fn suspend(self) -> Result<(), BenchmarkError> {
        self.running.suspend().map_err(|cause| failed(self.id, cause))?;
        self.running
            .join()
            .map(drop)
            .map_err(|cause| failed(self.id, cause))
    }

    /// Stops without a checkpoint.
    pub(crate) fn cancel(self) -> Result<(), BenchmarkError> {
        self.running.cancel().map_err(|cause| failed(self.id, cause))?;
        self.running
            .join()
            .map(drop)
            .map_err(|cause| failed(self.id, cause))
    }
}

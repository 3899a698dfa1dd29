//! Runs a job over records that come on a schedule, and says how late they were.

use std::time::{Duration, Instant};

use tidegate::{JobStatus, RunOptions, Stream, prelude::*};

use crate::{
    BenchmarkError,
    job_run::failed,
    latency_sink::{Latencies, LatencySink},
    runner::{Moment, Status, Usage},
    schedule::{Schedule, ScheduledSource},
    suite::checkpoint_directory,
};

/// Between making a schedule and its first record.
const HEAD_START: Duration = Duration::from_millis(300);

/// When records come, and how the job runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) per_second: u64,
    pub(crate) records: u64,
    /// How many records are passed over: threads start, maps grow, state is loaded.
    pub(crate) passed_over: u64,
    pub(crate) parallelism: u32,
    pub(crate) checkpoint_interval: Duration,
}

/// What came of a run.
pub(crate) struct ScheduledRun {
    pub(crate) latencies: Latencies,
    pub(crate) usage: Usage,
    /// How many threads there were while it ran.
    pub(crate) threads: u64,
    /// How the job was right before its input ended.
    pub(crate) status: JobStatus,
}

impl Plan {
    /// The schedule, which starts right after now.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            start: Instant::now() + HEAD_START,
            per_second: self.per_second,
            records: self.records,
        }
    }

    /// Runs a job of the numbers of records, which gives each number back.
    pub(crate) fn run(
        &self,
        job: impl FnOnce(Stream<u64>) -> Stream<u64>,
    ) -> Result<ScheduledRun, BenchmarkError> {
        let directory = checkpoint_directory()?;
        let schedule = self.schedule();
        let sink = LatencySink::new(schedule, self.passed_over);
        let env = Env::new("latency");
        job(env.source("schedule", ScheduledSource::new(schedule))).sink("latencies", sink.clone());
        let job = env.build().map_err(|cause| failed(self.id, cause))?;
        let options = RunOptions::at(directory.path().display().to_string())
            .parallelism(self.parallelism)
            .checkpoint_interval(self.checkpoint_interval);
        let start = Moment::now();
        let running = job.start(options).map_err(|cause| failed(self.id, cause))?;
        let threads = Status::Threads.read().unwrap_or(0);
        let end = schedule.start + schedule.due(schedule.records.saturating_sub(1));
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let status = running.status();
        running.join().map_err(|cause| failed(self.id, cause))?;
        Ok(ScheduledRun {
            latencies: sink.latencies(),
            usage: start.elapsed(),
            threads,
            status,
        })
    }
}

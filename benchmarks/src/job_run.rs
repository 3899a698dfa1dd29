//! Runs a job as a benchmark does.

use std::time::Duration;

use tidegate::{Job, RunOptions, Stream, prelude::*};
use tidegate_core::source::Source;

use crate::{
    BenchmarkError,
    checksum::Checksum,
    checksum_sink::ChecksumSink,
    runner::{Moment, Status, Usage},
    suite::checkpoint_directory,
};

/// From one checkpoint to the next, unless a row says otherwise.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// The sum of the results' checksums.
    pub(crate) checksum: u64,
    /// From before the job was started until it had ended: with threads started, a last checkpoint and all.
    pub(crate) usage: Usage,
    /// How many threads there were while it ran.
    pub(crate) threads: u64,
}

/// Runs a job from a source to a sink of checksums, with checkpoints every second to a local directory.
pub(crate) fn run_job<T: Record, O: Record + Checksum>(
    id: &'static str,
    parallelism: u32,
    source: impl Source<T> + 'static,
    job: impl FnOnce(Stream<T>) -> Stream<O>,
) -> Result<Ran, BenchmarkError> {
    let directory = checkpoint_directory()?;
    let sink = ChecksumSink::default();
    let seen = sink.seen();
    let env = Env::new("benchmark");
    job(env.source("source", source)).sink("checksum", sink);
    let job: Job = env.build().map_err(|cause| failed(id, cause))?;
    let options = RunOptions::at(directory.path().display().to_string())
        .parallelism(parallelism)
        .checkpoint_interval(CHECKPOINT_INTERVAL);
    let start = Moment::now();
    let running = job.start(options).map_err(|cause| failed(id, cause))?;
    let threads = Status::Threads.read().unwrap_or(0);
    running.join().map_err(|cause| failed(id, cause))?;
    Ok(Ran {
        checksum: seen.checksum(),
        usage: start.elapsed(),
        threads,
    })
}

pub(crate) fn failed(
    id: &'static str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> BenchmarkError {
    BenchmarkError::Job {
        id,
        cause: Box::new(cause),
    }
}

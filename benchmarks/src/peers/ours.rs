//! Our side of a comparison.

use tidegate::{Job, RunOptions, prelude::*};

use super::{
    open_loop,
    outcome::{Outcome, Request},
    recovery::{self, RECOVERY},
};
use crate::{
    BenchmarkError,
    checksum_sink::ChecksumSink,
    job_run::{CHECKPOINT_INTERVAL, failed, run_job},
    keyed_input::KeyedInput,
    nexmark::query::{HighestBid, HotItems, LocalItems, NewSellers, Query},
    prepared::Prepared,
    suite::checkpoint_directory,
};

const ID: &str = "E5b";
/// The name by which the keyed running sum of E2 is asked for.
pub(super) const SUM: &str = "sum";
/// The names of the jobs whose records come on a schedule.
pub(super) const LATENCY: &str = "latency";
pub(super) const STATE: &str = "state";
const KEYS: u64 = 1_000_000;

/// Runs a query with checkpoints every second to a local directory.
///
/// # Errors
/// If there is no such query, or the job fails.
pub fn run_ours(request: &Request) -> Result<Outcome, BenchmarkError> {
    match request.query.as_str() {
        "q3" => run::<LocalItems>(request),
        "q5" => run::<HotItems>(request),
        "q7" => run::<HighestBid>(request),
        "q8" => run::<NewSellers>(request),
        SUM => run_sum(request),
        LATENCY => open_loop::small(request),
        STATE => open_loop::large(request),
        RECOVERY => recovery::measure(request),
        other => Err(BenchmarkError::Unknown {
            name: other.to_owned(),
            known: "q3, q5, q7, q8, sum, latency, state, recovery".to_owned(),
        }),
    }
}

fn run<Q: Query>(request: &Request) -> Result<Outcome, BenchmarkError> {
    let directory = checkpoint_directory()?;
    let prepared = Prepared::new(request.events, request.parallelism as usize);
    let sink = ChecksumSink::default();
    let seen = sink.seen();
    let env = Env::new("prepared");
    Q::job(env.source("events", prepared.clone())).sink("checksum", sink);
    let job: Job = env.build().map_err(|cause| failed(ID, cause))?;
    let options = RunOptions::at(directory.path().display().to_string())
        .parallelism(request.parallelism)
        .checkpoint_interval(CHECKPOINT_INTERVAL);
    job.run(options).map_err(|cause| failed(ID, cause))?;
    let usage = prepared.usage();
    Ok(Outcome::new(
        request.events,
        seen.records(),
        Some(seen.checksum()),
        usage,
    ))
}

fn run_sum(request: &Request) -> Result<Outcome, BenchmarkError> {
    let input = KeyedInput::uniform(KEYS);
    let source = GeneratorSource::new(move |_seed, place| input.pair(place)).count(request.events);
    let ran = run_job(ID, request.parallelism, source, |pairs| {
        pairs
            .key_by(|pair| pair.0)
            .aggregate("sum", Sum::of(|pair: &(u64, u64)| pair.1), Emit::EveryRecord)
    })?;
    // Every record has a result.
    Ok(Outcome::new(
        request.events,
        request.events,
        Some(ran.checksum),
        ran.usage,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_run_and_others_are_refused() {
        let request = |query: &str| Request {
            query: query.to_owned(),
            parallelism: 1,
            events: 10_000,
        };
        for query in ["q3", "q5", "q7", "q8", SUM] {
            assert!(run_ours(&request(query)).unwrap().results > 0, "{query}");
        }
        let late = run_ours(&request(LATENCY)).unwrap();
        assert!(late.figures.contains_key("p99_ms"), "{late:?}");
        assert!(matches!(
            run_ours(&request("q99")),
            Err(BenchmarkError::Unknown { .. })
        ));
    }
}

//! Our side's counterpart: `tidegate-peer-renoir q5 2 8000000` runs a Nexmark query on Renoir over prepared events and prints
//! what came of it.

mod query;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use renoir::prelude::*;
use tidegate_benchmarks::{
    checksum::Checksum,
    peers::{Outcome, Request},
    prepared::Prepared,
};

fn main() -> ExitCode {
    // Both sides run on the same allocator with the same settings.
    tidegate::tune_allocator();
    let Some(request) = Request::parse(std::env::args().skip(1)) else {
        eprintln!("a query, a parallelism and a number of events are needed: q5 2 8000000");
        return ExitCode::FAILURE;
    };
    match run(&request) {
        Ok(outcome) => {
            println!(
                "{}",
                serde_json::to_string(&outcome).expect("an outcome is plain numbers")
            );
            ExitCode::SUCCESS
        }
        Err(unknown) => {
            eprintln!("there is no query {unknown}; there are q3, q5, q7, q8");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<Outcome, String> {
    let prepared = Prepared::new(request.events, request.parallelism as usize);
    let config = RuntimeConfig::local(u64::from(request.parallelism)).map_err(|error| error.to_string())?;
    let context = StreamContext::new(config);
    let parts = prepared.clone();
    let events = context
        .stream_par_iter(move |index, _parts| parts.part(index))
        .batch_mode(BatchMode::fixed(query::BATCH));
    let seen = Seen::default();
    // Only q3 means exactly the same to both: windows of event time are aligned to the first record of a key here.
    let is_same = request.query == "q3";
    match request.query.as_str() {
        "q3" => {
            let seen = seen.clone();
            query::local_items(events).for_each(move |result| seen.add(result.checksum()));
        }
        "q5" => {
            let seen = seen.clone();
            query::hot_items(events).for_each(move |_| seen.add(0));
        }
        "q7" => {
            let seen = seen.clone();
            query::highest_bid(events).for_each(move |result| seen.add(result.checksum()));
        }
        "q8" => {
            let seen = seen.clone();
            query::new_sellers(events).for_each(move |_| seen.add(0));
        }
        unknown => return Err(unknown.to_owned()),
    }
    context.execute_blocking();
    let usage = prepared.usage();
    let checksum = is_same.then(|| seen.checksum.load(Relaxed));
    Ok(Outcome::new(
        request.events,
        seen.results.load(Relaxed),
        checksum,
        usage,
    ))
}

/// What has come out so far.
#[derive(Clone, Default)]
struct Seen {
    results: Arc<AtomicU64>,
    checksum: Arc<AtomicU64>,
}

impl Seen {
    fn add(&self, checksum: u64) {
        self.results.fetch_add(1, Relaxed);
        self.checksum.fetch_add(checksum, Relaxed);
    }
}

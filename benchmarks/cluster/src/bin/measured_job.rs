//! The job that is measured on a cluster and embedded: the same executable, the same arguments.

use std::path::PathBuf;

use tidegate::prelude::*;
use tidegate_benchmarks::{
    keyed_input::key,
    nexmark::{
        Draws, Generator,
        query::{HotItems, Query},
    },
};
use tidegate_cluster_benchmarks::{payload::CountWithPayload, progress::ProgressSink};

/// What it computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Kind {
    /// A running sum per key, keys uniform.
    Sum,
    /// Nexmark q5.
    Q5,
    /// A count and some bytes per key: first every key once, then one in twenty of them over and over.
    State,
}

#[derive(clap::Args)]
struct Args {
    /// What to compute.
    #[arg(long)]
    kind: Kind,
    /// How many records there are; without it, no end of them.
    #[arg(long)]
    records: Option<u64>,
    /// How many keys they fall on.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How many come in a second; without it, as many as can.
    #[arg(long)]
    rate: Option<u64>,
    /// How many bytes are kept per key, for `state`.
    #[arg(long, default_value_t = 0)]
    payload: usize,
    /// The folder where its tasks tell how far they have come.
    #[arg(long)]
    marks: PathBuf,
}

impl Args {
    fn source<T, F>(&self, function: F) -> GeneratorSource<F>
    where
        F: Fn(u64, u64) -> T + Send + Sync + 'static,
    {
        let source = GeneratorSource::new(function);
        let source = match self.records {
            Some(records) => source.count(records),
            None => source,
        };
        match self.rate {
            Some(rate) => source.rate(rate),
            None => source,
        }
    }
}

fn main() -> tidegate::Result<()> {
    tidegate::main("measured", |env, args: Args| {
        let sink = ProgressSink::to(&args.marks);
        let keys = args.keys.max(20);
        match args.kind {
            Kind::Sum => env
                .source(
                    "pairs",
                    args.source(move |_seed, number| {
                        let key = key(Draws::of(number).below(keys));
                        // The same for all records of a key: then its sums are the same in whatever order they come.
                        (key, key % 1_000)
                    }),
                )
                .key_by(|pair: &(u64, u64)| pair.0)
                .aggregate("sum", Sum::of(|pair: &(u64, u64)| pair.1), Emit::EveryRecord)
                .map(|sum| (sum.key, sum.value))
                .sink("progress", sink),
            Kind::Q5 => {
                let generator = Generator::new();
                let events = env.source(
                    "events",
                    args.source(move |_seed, number| generator.event(number)),
                );
                HotItems::job(events).sink("progress", sink)
            }
            Kind::State => env
                .source(
                    "keys",
                    args.source(move |_seed, number| {
                        let place = match number < keys {
                            true => number,
                            false => Draws::of(number).below(keys / 20),
                        };
                        key(place)
                    }),
                )
                .key_by(|key: &u64| *key)
                .aggregate(
                    "state",
                    CountWithPayload { bytes: args.payload },
                    Emit::EveryRecord,
                )
                .map(|count| count.key)
                .sink("progress", sink),
        };
        Ok(())
    })
}

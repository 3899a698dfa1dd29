//! A job for tests with real processes: counts numbers per key and writes every count, so that each lost or doubled record
//! shows in the output.

use std::path::PathBuf;

use tidegate::prelude::*;

/// Numbers that are counted per key.
#[derive(clap::Args)]
struct Args {
    /// How many numbers there are.
    #[arg(long)]
    records: u64,
    /// How many keys they fall on.
    #[arg(long)]
    keys: u64,
    /// How many come in a second.
    #[arg(long)]
    rate: u64,
    /// Where to write the counts.
    #[arg(long)]
    output: PathBuf,
    /// What the counts are called in the job's graph.
    #[arg(long, default_value = "counts")]
    uid: String,
}

#[derive(Serialize, Deserialize, Clone)]
struct Count {
    key: u64,
    count: u64,
}

fn main() -> tidegate::Result<()> {
    tidegate::main("counting-job", |env, args: Args| {
        let keys = args.keys;
        env.source(
            "numbers",
            GeneratorSource::new(|_seed, sequence| sequence)
                .count(args.records)
                .rate(args.rate),
        )
        .key_by(move |number: &u64| number % keys)
        .fold(
            &args.uid,
            || 0u64,
            |count, _number| *count += 1,
            Emit::EveryRecord,
        )
        .map(|counted| Count {
            key: counted.key,
            count: counted.value,
        })
        .sink("rows", FileSink::json_lines(&args.output));
        Ok(())
    })
}

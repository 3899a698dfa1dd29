//! The ledger as a job: balances of accounts entry by entry, their sums per window, each written exactly once.

use std::{path::PathBuf, time::Duration};

use tidegate::prelude::*;
use tidegate_cluster_tests::{Balance, Entry, WINDOW_MS, WindowSum, entry};

/// How far entries are out of order at most, in event time.
const OUT_OF_ORDERNESS: Duration = Duration::from_millis(8);

/// Balances and sums of accounts.
#[derive(clap::Args)]
struct Args {
    /// How many entries there are.
    #[arg(long)]
    entries: u64,
    /// How many accounts they fall on.
    #[arg(long, default_value_t = 50)]
    accounts: u64,
    /// How many come in a second.
    #[arg(long)]
    rate: u64,
    /// What they are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> tidegate::Result<()> {
    tidegate::main("ledger", |env, args: Args| {
        let accounts = args.accounts;
        let entries = env
            .source(
                "entries",
                GeneratorSource::new(move |seed, sequence| entry(seed, sequence, accounts))
                    .seed(args.seed)
                    .count(args.entries)
                    .rate(args.rate),
            )
            .watermarks(
                WatermarkStrategy::bounded_out_of_orderness(OUT_OF_ORDERNESS)
                    .event_time(|entry: &Entry| entry.time_ms),
            );
        entries
            .clone()
            .key_by(|entry| entry.account)
            .fold(
                "balances",
                || (0u64, 0u64),
                |(entries, balance), entry: Entry| {
                    *entries += 1;
                    *balance += entry.fixed;
                },
                Emit::EveryRecord,
            )
            .map(|account| Balance {
                account: account.key,
                entries: account.value.0,
                balance: account.value.1,
            })
            .sink("balance-rows", FileSink::json_lines(args.output.join("balances")));
        entries
            .key_by(|entry| entry.account)
            .window(Tumbling::of(Duration::from_millis(WINDOW_MS.unsigned_abs())))
            .aggregate("windows", Sum::of(|entry: &Entry| entry.varying))
            .map(|windowed| WindowSum {
                account: windowed.key,
                start_ms: windowed.window.start.0,
                sum: windowed.value,
            })
            .sink("window-rows", FileSink::json_lines(args.output.join("windows")));
        Ok(())
    })
}

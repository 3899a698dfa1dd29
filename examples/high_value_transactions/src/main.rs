//! Watches payments: those above 10 000 go out as alerts, and what each user spends is summed up by the minute.
//!
//! The transactions are made up from a seed, so two runs with one seed, however often they are killed and started again,
//! have the same output:
//!
//! ```text
//! cargo run -p high_value_transactions -- --count 1000000 --seed 7 --output transactions
//! ```

mod transaction;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use tidegate::prelude::*;

use transaction::{DISORDER_MS, MinuteSum, Transaction};

/// Above this a transaction is an alert: 10 000, in cents.
const HIGH_CENTS: u64 = 10_000 * 100;

const MINUTE: Duration = Duration::from_secs(60);

/// Alerts for high transactions, and the sum per user and minute.
#[derive(clap::Args)]
struct Args {
    /// How many transactions to make up.
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// What they are made up from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Make up no more than so many a second.
    #[arg(long, value_name = "RECORDS")]
    throttle: Option<u64>,
    /// Where to write: a directory for each output is made in it.
    #[arg(long, default_value = "high-value-transactions", value_name = "DIRECTORY")]
    output: PathBuf,
}

fn main() -> tidegate::Result<()> {
    tidegate::main("high-value-transactions", |env, args: Args| {
        build(env, &args);
        Ok(())
    })
}

fn build(env: &Env, args: &Args) {
    let generator = GeneratorSource::new(Transaction::generate)
        .seed(args.seed)
        .count(args.count);
    let transactions = match args.throttle {
        Some(per_second) => env.source("transactions", Throttle::new(generator, per_second)),
        None => env.source("transactions", generator),
    };
    // Two transactions may change places if one is as late as can be and the other as early.
    let bound = Duration::from_millis(2 * DISORDER_MS.unsigned_abs());
    let transactions = transactions.watermarks(
        WatermarkStrategy::bounded_out_of_orderness(bound)
            .event_time(|transaction: &Transaction| transaction.at_ms),
    );

    transactions
        .clone()
        .filter(|transaction| transaction.cents > HIGH_CENTS)
        .name("high")
        .sink("alerts", FileSink::json_lines(args.output.join("alerts")));

    transactions
        .key_by(|transaction| transaction.user)
        .window(Tumbling::of(MINUTE))
        .aggregate(
            "spent-per-user-and-minute",
            Sum::of(|transaction: &Transaction| transaction.cents),
        )
        .map(|spent| MinuteSum {
            user: spent.key,
            minute_ms: spent.window.start.0,
            cents: spent.value,
        })
        .name("minute-rows")
        .sink("minutes", FileSink::csv(args.output.join("minutes")));
}

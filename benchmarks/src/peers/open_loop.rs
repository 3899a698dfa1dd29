//! Our side where records come on a schedule: how late they are, with little state and with a gigabyte.

use std::time::Duration;

use tidegate::{BoxError, prelude::*};

use super::outcome::{Outcome, Request};
use crate::{
    BenchmarkError,
    job_run::CHECKPOINT_INTERVAL,
    rows::last_of_each,
    scheduled_run::{Plan, ScheduledRun},
};

const ID: &str = "peers";
const PER_SECOND: u64 = 100_000;

/// How long the small job is passed over: the peer's compiler is at work then.
const SMALL_WARM_UP_SECONDS: u64 = 10;

const LARGE_KEYS: u64 = 1_000_000;
const LARGE_BYTES: usize = 1_000;
/// Until all keys are there, and half as long again.
const LARGE_WARM_UP_SECONDS: u64 = 15;
const LARGE_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// The last number of each of 100 k keys, checkpoints every second.
pub(super) fn small(request: &Request) -> Result<Outcome, BenchmarkError> {
    let plan = plan(request, SMALL_WARM_UP_SECONDS, CHECKPOINT_INTERVAL);
    Ok(outcome(request, &plan.run(last_of_each)?))
}

/// A kilobyte for each of a million keys; once all are there, records go to a twentieth of them. Checkpoints every ten
/// seconds.
pub(super) fn large(request: &Request) -> Result<Outcome, BenchmarkError> {
    let plan = plan(request, LARGE_WARM_UP_SECONDS, LARGE_CHECKPOINT_INTERVAL);
    let ran = plan.run(|numbers| {
        numbers
            .key_by(|number| large_key(*number))
            .process("last", |states| {
                Ok(KeepLast {
                    last: states.value("last", StateOptions::default())?,
                })
            })
    })?;
    let mut outcome = outcome(request, &ran);
    if let Some(last) = &ran.status.last_checkpoint {
        outcome.figure("checkpoint_s", last.duration.as_secs_f64());
        outcome.figure("written_mb", last.written_bytes as f64 / 1e6);
    }
    Ok(outcome)
}

fn plan(request: &Request, warm_up_seconds: u64, checkpoint_interval: Duration) -> Plan {
    Plan {
        id: ID,
        per_second: PER_SECOND,
        records: request.events,
        passed_over: warm_up_seconds * PER_SECOND,
        parallelism: request.parallelism,
        checkpoint_interval,
    }
}

fn outcome(request: &Request, ran: &ScheduledRun) -> Outcome {
    let mut outcome = Outcome::new(request.events, request.events, None, ran.usage);
    for (name, quantile) in [
        ("p50_ms", 0.5),
        ("p99_ms", 0.99),
        ("p99.9_ms", 0.999),
        ("longest_ms", 1.0),
    ] {
        outcome.figure(name, ran.latencies.millis_at(quantile));
    }
    outcome
}

fn large_key(number: u64) -> u64 {
    if number < LARGE_KEYS {
        number
    } else {
        number % (LARGE_KEYS / 20)
    }
}

/// What is kept for a key: the last number, and enough beside it to make a kilobyte.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Last {
    number: u64,
    padding: String,
}

struct KeepLast {
    last: ValueState<Last>,
}

impl ProcessFunction for KeepLast {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn on_record(&self, number: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), BoxError> {
        let first = || Last {
            number,
            padding: "x".repeat(LARGE_BYTES - size_of::<u64>()),
        };
        self.last.update(context, first, |last| last.number = number);
        context.emit(number);
        Ok(())
    }
}

//! The job against a sequential program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path};

use tidegate_example_tests::{lines, rows};

use super::*;

/// What is put out: alerts by their numbers, and sums by user and minute.
#[derive(PartialEq, Debug, Default)]
struct Results {
    alerts: Vec<Transaction>,
    minutes: Vec<MinuteSum>,
}

/// Makes up all transactions, one after the other.
fn reference(seed: u64, count: u64) -> Results {
    let mut results = Results::default();
    let mut minutes: BTreeMap<(u32, i64), u64> = BTreeMap::new();
    for transaction in (0..count).map(|id| Transaction::generate(seed, id)) {
        let minute = transaction.at_ms - transaction.at_ms.rem_euclid(60_000);
        *minutes.entry((transaction.user, minute)).or_default() += transaction.cents;
        if transaction.cents > 1_000_000 {
            results.alerts.push(transaction);
        }
    }
    results.minutes = minutes
        .into_iter()
        .map(|((user, minute_ms), cents)| MinuteSum {
            user,
            minute_ms,
            cents,
        })
        .collect();
    results
}

fn published(output: &Path) -> Results {
    let alerts = lines(&output.join("alerts"), 0);
    let minutes = rows(&output.join("minutes"));
    let mut results = Results {
        alerts: alerts
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        minutes: minutes
            .iter()
            .map(|row| MinuteSum {
                user: row[0].parse().unwrap(),
                minute_ms: row[1].parse().unwrap(),
                cents: row[2].parse().unwrap(),
            })
            .collect(),
    };
    results.alerts.sort();
    results.minutes.sort();
    results
}

#[test]
fn every_size_computes_what_a_sequential_program_computes() {
    let (seed, count) = (7, 50_000);
    let expected = reference(seed, count);
    assert!(expected.alerts.len() > 100 && expected.minutes.len() > 5_000);
    assert_ne!(expected, reference(seed + 1, count), "the seed has no say");
    for (workers, parallelism) in [(1, 1), (1, 3), (2, 2)] {
        let place = tempfile::tempdir().unwrap();
        let args = Args {
            count,
            seed,
            throttle: None,
            output: place.path().to_owned(),
        };
        let env = Env::new("high-value-transactions");
        build(&env, &args);
        let options = RunOptions::in_memory()
            .workers(workers)
            .parallelism(parallelism)
            .checkpoint_interval(Duration::from_millis(50));
        env.build().unwrap().run(options).unwrap();
        assert!(
            published(place.path()) == expected,
            "{workers} workers × {parallelism}"
        );
    }
}

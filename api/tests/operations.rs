//! Every operation of the DSL in whole jobs, at several parallelisms and over one and two workers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

/// Builds a job, runs it at every size, and checks what it collected each time.
fn at_every_size<T, const N: usize>(build: impl Fn(&Env) -> Collected<T>, expected: [T; N])
where
    T: Record + Ord + Clone + std::fmt::Debug,
{
    let mut expected = expected.to_vec();
    expected.sort();
    for (workers, slots) in [(1, 1), (1, 3), (2, 1), (2, 2)] {
        let env = Env::new("test");
        let collected = build(&env);
        let outcome = env
            .build()
            .unwrap()
            .run(RunOptions::in_memory().workers(workers).parallelism(slots));
        assert!(
            matches!(outcome, Ok(Outcome::Finished { .. })),
            "{workers} × {slots}: {outcome:?}"
        );
        assert_eq!(collected.sorted(), expected, "{workers} workers × {slots} slots");
    }
}

fn numbers(env: &Env) -> Stream<u64> {
    env.source(
        "numbers",
        GeneratorSource::new(|_seed, sequence| sequence).count(10),
    )
}

#[test]
fn map_filter_and_flat_map() {
    at_every_size(
        |env| {
            numbers(env)
                .filter(|number| number % 3 == 0)
                .map(|number| number * 10)
                .flat_map(|number| [number, number + 1])
                .inspect(|_| {})
                .collect("out")
        },
        [0, 1, 30, 31, 60, 61, 90, 91],
    );
}

#[test]
fn a_stream_used_twice_and_joined_again_has_every_record_twice() {
    at_every_size(
        |env| {
            let numbers = numbers(env);
            numbers
                .clone()
                .filter(|number| *number < 2)
                .union(numbers.filter(|number| *number < 3))
                .collect("out")
        },
        [0, 0, 1, 1, 2],
    );
}

#[test]
fn a_stream_joined_with_itself_has_every_record_twice() {
    at_every_size(
        |env| {
            let few = numbers(env).filter(|number| *number < 2);
            few.clone()
                .union(few.clone())
                .union(few.rebalance())
                .collect("out")
        },
        [0, 0, 0, 1, 1, 1],
    );
}

#[test]
fn streams_are_built_in_loops() {
    at_every_size(
        |env| {
            let numbers = numbers(env).filter(|number| *number < 2);
            (1..4u64)
                .map(|factor| numbers.clone().map(move |number| number + 10 * factor))
                .reduce(Stream::union)
                .unwrap()
                .union(numbers)
                .collect("out")
        },
        [0, 1, 10, 11, 20, 21, 30, 31],
    );
}

#[test]
fn partitionings_keep_every_record() {
    at_every_size(
        |env| {
            numbers(env)
                .rebalance()
                .map(|n| n)
                .global()
                .map(|n| n)
                .rebalance()
                .collect("out")
        },
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
}

#[test]
fn operators_of_different_parallelism_are_connected() {
    at_every_size(
        |env| {
            numbers(env)
                .parallelism(2)
                .map(|n| n)
                .parallelism(5)
                .map(|n| n + 1)
                .parallelism(1)
                .collect("out")
        },
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
}

#[test]
fn a_broadcast_reaches_every_task() {
    at_every_size(
        |env| {
            numbers(env)
                .filter(|n| *n == 7)
                .broadcast()
                .into_stream()
                .map(|n| n)
                .parallelism(3)
                .collect("out")
        },
        [7, 7, 7],
    );
}

#[test]
fn splits_and_dead_letters_divide() {
    at_every_size(
        |env| {
            let (small, large) = numbers(env).split(|number| *number < 5);
            let [a, b, c] = small.split_into(|number| *number as usize % 3);
            let (fine, refused) = large
                .try_map(|number| if *number == 7 { Err("seven") } else { Ok(*number) })
                .with_dead_letters();
            let refused = refused.map(|letter| letter.record + 1000);
            a.map(|n| n + 100)
                .union(b.map(|n| n + 200))
                .union(c.map(|n| n + 300))
                .union(fine)
                .union(refused)
                .collect("out")
        },
        [100, 103, 201, 204, 302, 5, 6, 1007, 8, 9],
    );
}

#[test]
fn every_fallible_operation_refuses() {
    at_every_size(
        |env| {
            let odd = |n: &u64| if n.is_multiple_of(2) { Ok(*n) } else { Err("odd") };
            numbers(env)
                .try_filter(move |n| odd(n).map(|n| n > 0))
                .or_drop()
                .try_filter_map(|n| {
                    if *n == 4 {
                        Ok::<_, String>(None)
                    } else {
                        Ok(Some(*n))
                    }
                })
                .or_fail()
                .try_flat_map(|n| if *n == 6 { Err("six") } else { Ok(vec![*n; 2]) })
                .or_drop()
                .try_inspect(|n| if *n == 2 { Err("two") } else { Ok(()) })
                .or_drop()
                .collect("out")
        },
        [8, 8],
    );
}

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Parity {
    Even,
    Odd { from: String },
}

fn parity(number: u64) -> Parity {
    if number.is_multiple_of(2) {
        Parity::Even
    } else {
        Parity::Odd { from: "one".into() }
    }
}

#[test]
fn keyed_aggregates_see_each_record_once() {
    at_every_size(
        |env| {
            let reduced = numbers(env).key_by(|number| parity(*number)).reduce(
                "reduced",
                |sum, number| *sum += number,
                Emit::AtEnd,
            );
            let folded = env
                .source("others", IteratorSource::new(|| 0..4u64))
                .key_by(|number| number % 2)
                .fold(
                    "folded",
                    || 100,
                    |sum: &mut u64, number| *sum += number,
                    Emit::EveryRecord,
                );
            reduced
                .map(|sum| (sum.key, sum.value))
                .union(folded.map(|sum| (parity(sum.key), sum.value)))
                .collect("out")
        },
        [
            (Parity::Even, 20),
            (parity(1), 25),
            (Parity::Even, 100),
            (Parity::Even, 102),
            (parity(1), 101),
            (parity(1), 104),
        ],
    );
}

//! A keyed running sum through the operator, against one bare hash map in the same process.
//!
//! `cargo bench -p tidegate-operators --bench accumulation`

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_core::{Batch, EncodeKey, KeySelector, KeySpace, TARGET_RECORDS};
use tidegate_operators::{Emit, aggregate, aggregate::Sum, harness::HarnessBuilder, reduce};

const KEYS: u64 = 1_000_000;
const BATCHES: usize = 8 * 1024;
const ROUNDS: usize = 5;

/// A record is its own key.
struct Itself;

impl KeySelector<u64> for Itself {
    type Key = u64;
    type Probe<'a> = u64;

    fn probe(&self, record: &u64) -> u64 {
        *record
    }
}

/// Uniform keys, by splitmix64.
fn key(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % KEYS
}

fn batches(first: u64) -> Vec<Batch<u64>> {
    let batch = |index: usize| {
        let start = first + (index * TARGET_RECORDS) as u64;
        let mut batch = Batch::new();
        (start..start + TARGET_RECORDS as u64)
            .for_each(|n| batch.push_keyed(key(n), None, key(n).key_hash()));
        batch
    };
    (0..BATCHES).map(batch).collect()
}

/// The time that this thread has spent on a processor: what others do on the machine does not count. Where the system
/// does not tell, the time since `start`.
fn cpu_time(start: Instant) -> Duration {
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn millions_per_second(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    let before = cpu_time(start);
    work();
    let spent = cpu_time(start) - before;
    (BATCHES * TARGET_RECORDS) as f64 / spent.as_secs_f64() / 1e6
}

fn main() {
    let sum = aggregate(
        Arc::new(Itself),
        Sum::of(|n: &u64| *n),
        Emit::AtEnd,
        KeySpace::DEFAULT,
    );
    let mut operator = HarnessBuilder::new("sum")
        .one_input(sum)
        .expect("the operator opens");
    let add = reduce(
        Arc::new(Itself),
        |sum: &mut u64, n| *sum += n,
        Emit::EveryRecord,
        KeySpace::DEFAULT,
    );
    let mut emitting = HarnessBuilder::new("emitting")
        .one_input(add)
        .expect("the operator opens");
    let mut bare = hashbrown::HashMap::<u64, u64, foldhash::fast::FixedState>::default();
    for round in 0..ROUNDS {
        let input = batches(round as u64);
        let copy = input.clone();
        let emitted = input.clone();
        let by_map = millions_per_second(|| {
            for batch in copy {
                for record in batch.records {
                    *bare.entry(record).or_insert(0) += record;
                }
            }
        });
        black_box(&bare);
        let by_operator = millions_per_second(|| {
            for batch in input {
                operator.push_batch(batch).expect("sums do not fail");
            }
        });
        let by_emitting = millions_per_second(|| {
            for batch in emitted {
                emitting.push_batch(batch).expect("sums do not fail");
                black_box(emitting.take_batches());
            }
        });
        println!(
            "round {round}: bare map {by_map:.1} M/s, operator {by_operator:.1} M/s ({:.2}), emitting every record {by_emitting:.1} M/s ({:.2})",
            by_operator / by_map,
            by_emitting / by_map
        );
    }
}

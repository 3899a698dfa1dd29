//! What a table costs beside a bare map, and what a checkpoint costs beside none.
//!
//! `cargo bench -p tidegate-state [-- sum | memory | checkpoints]`; figures are medians of alternating runs, in CPU time of the thread.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use hashbrown::HashMap;
use tidegate_core::{
    CheckpointId, EncodeKey, KeyGroup, KeySpace, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, SnapshotSink},
};
use tidegate_state::{Hint, LOOK_AHEAD, Table, Value};

const BATCH: usize = 1024;

struct Count {
    bytes: u64,
}

impl SnapshotSink for Count {
    fn block(&mut self, _: &str, _: KeyGroup, _: BlockKind, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        black_box(bytes);
    }
}

/// The time that this thread has spent on a processor: what others do on the machine does not count.
fn cpu_time() -> Duration {
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// xorshift64*: fast, and good enough to spread keys.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

fn uniform(count: usize, keys: u64) -> Vec<u64> {
    let mut random = Random(88_172_645_463_325_252);
    (0..count)
        .map(|_| ((u128::from(random.next()) * u128::from(keys)) >> 64) as u64)
        .collect()
}

/// 95 % of updates on 5 % of keys.
fn skewed(count: usize, keys: u64) -> Vec<u64> {
    let mut random = Random(88_172_645_463_325_252);
    (0..count)
        .map(|_| {
            let range = if random.next() % 100 < 95 { keys / 20 } else { keys };
            random.next() % range
        })
        .collect()
}

fn bare(keys: &[u64]) -> Duration {
    let mut map: HashMap<u64, u64, foldhash::fast::FixedState> = HashMap::default();
    let start = cpu_time();
    for key in keys {
        let sum = map.entry(*key).or_insert(0);
        *sum = sum.wrapping_add(*key);
    }
    let time = cpu_time() - start;
    black_box(map);
    time
}

fn table<V: serde::Serialize + serde::de::DeserializeOwned + Send + 'static>() -> Table<u64, Value<V>> {
    let mut table = Table::new("sums", KeySpace::DEFAULT);
    table.assign(KeySpace::DEFAULT.all());
    table
}

/// One batch: hashes first, as the edge does it, then the updates.
fn update(table: &mut Table<u64, Value<u64>>, batch: &[u64], hashes: &mut Vec<u64>, hints: &mut Vec<Hint>) {
    hashes.clear();
    hashes.extend(batch.iter().map(EncodeKey::key_hash));
    let mut records = batch.iter();
    for hashes in hashes.chunks(LOOK_AHEAD) {
        table.look_ahead(hashes, hints);
        for (hint, key) in hints.iter().zip(records.by_ref()) {
            match table.get_mut_at(*hint, key) {
                Some(sum) => *sum = sum.wrapping_add(*key),
                None => {
                    table.insert(hint.hash(), *key, *key);
                }
            }
        }
    }
}

fn sum(keys: &[u64]) -> Duration {
    let mut table = table();
    let (mut hashes, mut hints) = (Vec::new(), Vec::new());
    let start = cpu_time();
    for batch in keys.chunks(BATCH) {
        update(&mut table, batch, &mut hashes, &mut hints);
    }
    let time = cpu_time() - start;
    black_box(table);
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64() / 1e6
}

fn throughput(keys: u64) {
    let input = uniform(20_000_000, keys);
    let (mut bares, mut tables) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        bares.push(bare(&input));
        tables.push(sum(&input));
    }
    let (bare, table) = (median(bares), median(tables));
    println!(
        "sum, {keys:>9} keys: bare {:6.1} M/s, table {:6.1} M/s, ratio {:.2}",
        rate(input.len(), bare),
        rate(input.len(), table),
        bare.as_secs_f64() / table.as_secs_f64()
    );
}

/// Updates with a checkpoint per second, in slices of about 100 µs between batches.
fn with_checkpoints(name: &str, keys: u64, input: &[u64]) {
    let mut table = table();
    for key in 0..keys {
        table.get_or_insert_with(key.key_hash(), key, || 0);
    }
    let (mut hashes, mut hints) = (Vec::new(), Vec::new());
    let mut run = |interval: Option<Duration>, next: &mut u64| {
        let (mut longest, mut bytes, mut claimed, mut checkpoints) = (Duration::ZERO, 0, None, 0);
        let (mut freezes, mut scanning) = (Duration::ZERO, false);
        let start = cpu_time();
        let mut last_freeze = Instant::now();
        for batch in input.chunks(BATCH) {
            update(&mut table, batch, &mut hashes, &mut hints);
            let now = Instant::now();
            let is_due = interval.is_some_and(|interval| now - last_freeze >= interval);
            if scanning {
                let mut count = Count { bytes: 0 };
                let before = cpu_time();
                let progress = table.scan(2000, &mut count).expect("sums can be serialised");
                bytes += count.bytes;
                longest = longest.max(cpu_time() - before);
                if progress == Progress::Done {
                    scanning = false;
                    table.claimed(CheckpointId(*next));
                    claimed = Some(CheckpointId(*next));
                    checkpoints += 1;
                }
            } else if is_due {
                last_freeze = now;
                *next += 1;
                table.freeze(Freeze {
                    checkpoint: CheckpointId(*next),
                    since: claimed,
                });
                freezes = freezes.max(now.elapsed());
                scanning = true;
            }
        }
        (cpu_time() - start, longest, freezes, bytes, checkpoints)
    };
    let mut next = 0;
    let (mut offs, mut ons) = (Vec::new(), Vec::new());
    let (mut longest, mut freeze, mut bytes, mut checkpoints) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for _ in 0..3 {
        offs.push(run(None, &mut next).0);
        let on = run(Some(Duration::from_secs(1)), &mut next);
        ons.push(on.0);
        longest = longest.max(on.1);
        freeze = freeze.max(on.2);
        bytes += on.3;
        checkpoints += on.4;
    }
    let (off, on) = (median(offs), median(ons));
    println!(
        "{name}, {keys} keys: off {:.1} M/s, on {:.1} M/s, ratio {:.2}; {checkpoints} checkpoints, {:.1} MB each; \
         longest freeze {freeze:?}, longest slice {longest:?}",
        rate(input.len(), off),
        rate(input.len(), on),
        off.as_secs_f64() / on.as_secs_f64(),
        bytes as f64 / 1e6 / f64::from(checkpoints.max(1)),
    );
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn memory() {
    let (mut worst, mut stall) = ((0.0, 0), Duration::ZERO);
    let before = resident();
    let mut table = table::<(u64, u64)>();
    for key in 0..16_000_000u64 {
        let start = Instant::now();
        table.get_or_insert_with(key.key_hash(), key, || (key, key));
        stall = stall.max(start.elapsed());
        if key >= 8_000_000 && key % 250_000 == 0 {
            let beyond = (resident() - before) as f64 / key as f64 - 24.0;
            if beyond > worst.0 {
                worst = (beyond, key);
            }
        }
    }
    println!(
        "memory: at worst {:.1} B per key beyond key and value, at {} keys; {:.1} at the end, by the table's own count \
         {:.1}; longest insert {stall:?} (wall clock)",
        worst.0,
        worst.1,
        (resident() - before) as f64 / 16e6 - 24.0,
        table.memory_bytes() as f64 / 16e6 - 24.0,
    );
}

fn main() {
    let only = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    if only.as_deref() == Some("sum") {
        return [100_000, 1_000_000, 10_000_000].into_iter().for_each(throughput);
    }
    if only.as_deref() != Some("checkpoints") {
        memory();
    }
    if only.as_deref() == Some("memory") {
        return;
    }
    if only.as_deref() != Some("checkpoints") {
        [100_000, 1_000_000, 10_000_000].into_iter().for_each(throughput);
    }
    let keys = 10_000_000;
    with_checkpoints("uniform", keys, &uniform(60_000_000, keys));
    with_checkpoints("skewed", keys, &skewed(120_000_000, keys));
}

//! T2, T6, T11: the keyed state table alone, without an engine around it: what E2, E6 to E8 and E11 can at best come to.

use std::time::{Duration, Instant};

use tidegate_core::{
    CheckpointId, EncodeKey, KeyGroup, KeySpace, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, SnapshotSink},
};
use tidegate_state::{Table, Value};

use super::RUNS;
use crate::{
    BenchmarkError,
    checksum::Checksum,
    keyed_input::{KeyedInput, key},
    nexmark::Draws,
    runner::{Bar, Basis, Comparison, Report, Row, Sample, Status, Summary, Usage, measured, thread_cpu},
    yardstick,
};

const BATCH: u64 = 1024;

fn table<V: serde::Serialize + serde::de::DeserializeOwned + Send + 'static>() -> Table<u64, Value<V>> {
    let mut table = Table::new("sums", KeySpace::DEFAULT);
    table.assign(KeySpace::DEFAULT.all());
    table
}

pub(super) fn keyed_sum(report: &mut Report) -> Result<(), BenchmarkError> {
    const RECORDS: u64 = 48_000_000;
    let input = KeyedInput::uniform(1_000_000);
    let ours = || {
        let (checksum, usage) = measured(|| {
            let mut sums = table::<u64>();
            let mut hashes = Vec::new();
            let mut total = 0u64;
            for start in (0..RECORDS).step_by(BATCH as usize) {
                let places = start..(start + BATCH).min(RECORDS);
                hashes.clear();
                hashes.extend(places.clone().map(|place| input.pair(place).0.key_hash()));
                for (place, hash) in places.zip(&hashes) {
                    let (key, value) = input.pair(place);
                    let sum = sums.get_or_insert_with(*hash, key, || 0);
                    *sum += value;
                    total = total.wrapping_add((key, *sum).checksum());
                }
            }
            total
        });
        Ok(Sample {
            work: RECORDS,
            checksum,
            usage,
        })
    };
    let yardstick = || {
        let (checksum, usage) = measured(|| yardstick::keyed_sum(&input, RECORDS));
        Ok(Sample {
            work: RECORDS,
            checksum,
            usage,
        })
    };
    let comparison = Comparison::alternate("T2", RUNS, ours, yardstick)?;
    let ratio = comparison.ratio(Basis::Cpu);
    report.rows.push(Row {
        id: "T2",
        what: "keyed running sum, 1 M keys, table alone : one hashbrown map".to_owned(),
        figure: ratio.median,
        unit: "x",
        bar: Bar::None,
        ratio: Some(ratio.median),
        spread: ratio.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads: 1,
        note: format!(
            "{:.1} : {:.1} M records / CPU s",
            comparison.rate(Basis::Cpu).median / 1e6,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6
        ),
    });
    Ok(())
}

/// Counts what a checkpoint would write.
#[derive(Default)]
struct Written {
    bytes: u64,
    bases: u64,
}

impl SnapshotSink for Written {
    fn block(&mut self, _state: &str, _group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        self.bases += u64::from(kind == BlockKind::Base);
    }
}

/// Which keys are updated.
#[derive(Clone, Copy, Debug)]
enum Updates {
    Uniform,
    /// 95 % of updates on 5 % of keys.
    Hot,
}

const KEYS: u64 = 10_000_000;

impl Updates {
    #[inline]
    fn place(self, draws: &mut Draws) -> u64 {
        match self {
            Self::Uniform => draws.below(KEYS),
            Self::Hot => match draws.below(100) {
                0..95 => draws.below(KEYS / 20),
                _ => draws.below(KEYS),
            },
        }
    }
}

/// A table that is updated, and checkpointed between batches as a task does it.
struct Updated {
    table: Table<u64, Value<(u64, u64)>>,
    updates: u64,
    checkpoint: u64,
    is_scanning: bool,
    written: Written,
    longest_gap: Duration,
    hashes: Vec<(u64, u64)>,
}

/// As many entries as a task looks at before it reads the clock, and how long it goes on.
const SCAN_STEP: usize = 512;
const SLICE: Duration = Duration::from_micros(100);

impl Updated {
    fn loaded() -> Self {
        let mut table = table();
        for place in 0..KEYS {
            let key = key(place);
            table.get_or_insert_with(key.key_hash(), key, || (0, 0));
        }
        Self {
            table,
            updates: 0,
            checkpoint: 0,
            is_scanning: false,
            written: Written::default(),
            longest_gap: Duration::ZERO,
            hashes: Vec::new(),
        }
    }

    fn batch(&mut self, updates: Updates) {
        self.hashes.clear();
        let first = self.updates;
        self.hashes.extend((first..first + BATCH).map(|number| {
            let key = key(updates.place(&mut Draws::of(number)));
            (key, key.key_hash())
        }));
        for (key, hash) in &self.hashes {
            let value = self.table.get_or_insert_with(*hash, *key, || (0, 0));
            *value = (value.0 + 1, value.1.wrapping_add(*key));
        }
        self.updates += BATCH;
    }

    fn freeze(&mut self) {
        let since = (self.checkpoint > 0).then_some(CheckpointId(self.checkpoint));
        self.checkpoint += 1;
        self.table.freeze(Freeze {
            checkpoint: CheckpointId(self.checkpoint),
            since,
        });
        self.is_scanning = true;
    }

    fn slice(&mut self) {
        let start = Instant::now();
        while self.is_scanning && start.elapsed() < SLICE {
            let progress = self
                .table
                .scan(SCAN_STEP, &mut self.written)
                .expect("numbers can be serialised");
            if progress == Progress::Done {
                self.is_scanning = false;
                self.table.claimed(CheckpointId(self.checkpoint));
            }
        }
    }

    /// Updates for `length`, with a checkpoint every second if asked for.
    fn run(&mut self, updates: Updates, length: Duration, every: Option<Duration>) -> Sample {
        let before = self.updates;
        let ((), usage) = measured(|| {
            let start = Instant::now();
            let mut due = every;
            let mut last = thread_cpu();
            while start.elapsed() < length {
                self.batch(updates);
                if let (Some(at), Some(every)) = (due, every)
                    && start.elapsed() >= at
                    && !self.is_scanning
                {
                    self.freeze();
                    due = Some(at + every);
                }
                self.slice();
                let now = thread_cpu();
                self.longest_gap = self.longest_gap.max(now - last);
                last = now;
            }
        });
        Sample {
            work: self.updates - before,
            checksum: 0,
            usage,
        }
    }

    /// Finishes a pending scan and returns what has been written since the last call.
    fn settle(&mut self) -> Written {
        while self.is_scanning {
            self.slice();
        }
        std::mem::take(&mut self.written)
    }
}

const CYCLE: u32 = 48;

pub(super) fn checkpoints(report: &mut Report) -> Result<(), BenchmarkError> {
    let (mut on, mut off) = (Updated::loaded(), Updated::loaded());
    on.freeze();
    let full = on.settle().bytes;
    for (updates, what, bar) in [
        (Updates::Uniform, "uniform", 0.85),
        (Updates::Hot, "95 % on 5 %", 0.95),
    ] {
        let mut comparison = Comparison::default();
        on.longest_gap = Duration::ZERO;
        off.longest_gap = Duration::ZERO;
        for _ in 0..RUNS {
            let length = Duration::from_secs(u64::from(CYCLE) / RUNS as u64 + 1);
            comparison
                .ours
                .push(on.run(updates, length, Some(Duration::from_secs(1))));
            comparison
                .yardstick
                .push(off.run(updates, Duration::from_secs(2), None));
        }
        let written = on.settle();
        let ratio = comparison.ratio(Basis::Cpu);
        report.rows.push(Row {
            id: "T6",
            what: format!("10 M keys, checkpoints on : off, {what}, table alone"),
            figure: ratio.median,
            unit: "x",
            bar: Bar::AtLeast(bar),
            ratio: Some(ratio.median),
            spread: ratio.spread,
            cpu_seconds: comparison.cpu_seconds(),
            threads: 1,
            note: format!(
                "{:.1} : {:.1} M updates / CPU s, {} bases",
                comparison.rate(Basis::Cpu).median / 1e6,
                comparison.yardstick_rate(Basis::Cpu).median / 1e6,
                written.bases
            ),
        });
        report.rows.push(gap(what, &on, &off));
    }
    report.rows.push(bytes(&mut on, full));
    Ok(())
}

fn gap(what: &str, on: &Updated, off: &Updated) -> Row {
    Row {
        id: "T7",
        what: format!("longest gap between batches, {what}, table alone"),
        figure: on.longest_gap.as_secs_f64() * 1e3,
        unit: "ms of CPU",
        bar: Bar::AtMost(2.0),
        ratio: None,
        spread: f64::NAN,
        cpu_seconds: 0.0,
        threads: 1,
        note: format!(
            "without checkpoints {:.2} ms",
            off.longest_gap.as_secs_f64() * 1e3
        ),
    }
}

/// One in a hundred keys changes between checkpoints, for a whole cycle of bases.
fn bytes(table: &mut Updated, full: u64) -> Row {
    let (written, usage): (Vec<f64>, Usage) = measured(|| {
        (0..CYCLE)
            .map(|_| {
                for _ in 0..KEYS / 100 / BATCH {
                    table.batch(Updates::Uniform);
                }
                table.freeze();
                table.settle().bytes as f64
            })
            .collect()
    });
    let mean = written.iter().sum::<f64>() / written.len() as f64;
    let summary = Summary::of(written);
    Row {
        id: "T8",
        what: "bytes per checkpoint of a full one, 1 % of 10 M keys changed, table alone".to_owned(),
        figure: mean / full as f64 * 100.0,
        unit: "%",
        bar: Bar::AtMost(5.0),
        ratio: None,
        spread: summary.spread,
        cpu_seconds: usage.cpu.as_secs_f64(),
        threads: 1,
        note: format!(
            "{:.1} MB of {:.0} MB, over {CYCLE} checkpoints",
            mean / 1e6,
            full as f64 / 1e6
        ),
    }
}

pub(super) fn memory(report: &mut Report) -> Result<(), BenchmarkError> {
    const STEP: u64 = 250_000;
    const PAYLOAD: f64 = 24.0;
    let before = Status::Resident.read().unwrap_or(0);
    let mut table = table::<(u64, u64)>();
    let mut worst = (0.0, 0);
    let ((), usage) = measured(|| {
        for place in 0..16_000_000 {
            let key = key(place);
            table.get_or_insert_with(key.key_hash(), key, || (0, 0));
            let keys = place + 1;
            if keys >= 8_000_000 && keys % STEP == 0 {
                let resident = Status::Resident.read().unwrap_or(u64::MAX).saturating_sub(before);
                let each = resident as f64 / keys as f64 - PAYLOAD;
                if each > worst.0 {
                    worst = (each, keys);
                }
            }
        }
    });
    report.rows.push(Row {
        id: "T11",
        what: "resident bytes per key beyond key and value, worst of 8 to 16 M keys, table alone".to_owned(),
        figure: worst.0,
        unit: "B",
        bar: Bar::AtMost(40.0),
        ratio: None,
        spread: f64::NAN,
        cpu_seconds: usage.cpu.as_secs_f64(),
        threads: 1,
        note: format!("at {:.2} M keys", worst.1 as f64 / 1e6),
    });
    Ok(())
}

//! E6 and E7: two jobs with 10 M keys, one with checkpoints every second and one without, in turn: what checkpoints cost, and
//! for how long they keep records waiting.

use std::time::Duration;

use super::RUNS;
use crate::{
    BenchmarkError,
    job_run::CHECKPOINT_INTERVAL,
    runner::{Bar, Report, Row, Status, Summary, longest_standstill},
    state_job::{KEYS, NO_CHECKPOINTS, Phase, StateJob, Updates},
    suite::checkpoint_directory,
    watch_sink::LONG_GAP,
};

/// All key groups are written as base again within so many checkpoints.
const CYCLE: u64 = 48;
const WITHOUT: Duration = Duration::from_secs(3);
/// How long the machine is watched alone.
const ALONE: Duration = Duration::from_secs(1);

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    for (updates, what, bar) in [
        (Updates::Uniform, "uniform", 0.85),
        (Updates::Hot, "95 % on 5 % of keys", 0.95),
    ] {
        let measured = Measured::of(updates)?;
        report.rows.push(measured.throughput(what, bar));
        report.rows.push(measured.gap(what));
    }
    Ok(())
}

struct Measured {
    with: Vec<Phase>,
    without: Vec<Phase>,
    checkpoints: u64,
    failed: u64,
    /// The last checkpoint under load, in words.
    last: String,
    threads: u64,
    /// How long a thread stood still, by the clock of its own processor time, that did nothing but look at it.
    machine: Duration,
}

impl Measured {
    fn of(updates: Updates) -> Result<Self, BenchmarkError> {
        let (first, second) = (checkpoint_directory()?, checkpoint_directory()?);
        let with = StateJob::start("E6", first.path(), CHECKPOINT_INTERVAL, updates)?;
        with.advance_to(KEYS)?;
        let without = StateJob::start("E6", second.path(), NO_CHECKPOINTS, updates)?;
        without.advance_to(KEYS)?;
        // From here on every checkpoint has one before it to measure changes from.
        with.wait_for_checkpoint()?;
        let mut measured = Self {
            with: Vec::new(),
            without: Vec::new(),
            checkpoints: with.status().completed_checkpoints,
            failed: 0,
            last: String::new(),
            threads: Status::Threads.read().unwrap_or(0),
            machine: Duration::ZERO,
        };
        let each = CHECKPOINT_INTERVAL * (CYCLE as u32 / RUNS as u32 + 1);
        for _ in 0..RUNS {
            measured.with.push(with.phase(each)?);
            if let Some(last) = with.status().last_checkpoint {
                measured.last = format!(
                    "the last one wrote {:.0} MB in {:.2} s and stood still for {} us",
                    last.written_bytes as f64 / 1e6,
                    last.duration.as_secs_f64(),
                    last.longest_sync_us
                );
            }
            measured.without.push(without.phase(WITHOUT)?);
            measured.machine = measured.machine.max(longest_standstill(ALONE));
        }
        let status = with.status();
        measured.checkpoints = status.completed_checkpoints - measured.checkpoints;
        measured.failed = status.failed_checkpoints;
        with.cancel()?;
        without.cancel()?;
        Ok(measured)
    }

    fn ratio(&self, seconds: impl Fn(&Phase) -> f64) -> Summary {
        let rate = |phase: &Phase| phase.records as f64 / seconds(phase);
        Summary::of(
            self.with
                .iter()
                .zip(&self.without)
                .map(|(with, without)| rate(with) / rate(without)),
        )
    }

    fn throughput(&self, what: &str, bar: f64) -> Row {
        let thread = self.ratio(|phase| phase.thread_cpu.as_secs_f64());
        let process = self.ratio(|phase| phase.usage.cpu.as_secs_f64());
        let wall = self.ratio(|phase| phase.usage.wall.as_secs_f64());
        let rate = |phases: &[Phase]| {
            Summary::of(
                phases
                    .iter()
                    .map(|phase| phase.records as f64 / phase.thread_cpu.as_secs_f64() / 1e6),
            )
            .median
        };
        Row {
            id: "E6",
            what: format!("10 M keys, updates {what}, checkpoints every 1 s : none"),
            figure: thread.median,
            unit: "x",
            bar: Bar::AtLeast(bar),
            ratio: Some(thread.median),
            spread: thread.spread,
            cpu_seconds: self.with.iter().map(|phase| phase.usage.cpu.as_secs_f64()).sum(),
            threads: self.threads,
            note: format!(
                "{:.1} : {:.1} M updates / CPU s of the executor; {:.2} x by CPU of all threads, {:.2} x by the wall; {} checkpoints, {} failed, {}",
                rate(&self.with),
                rate(&self.without),
                process.median,
                wall.median,
                self.checkpoints,
                self.failed,
                self.last
            ),
        }
    }

    fn gap(&self, what: &str) -> Row {
        let longest = |phases: &[Phase], gap: fn(&Phase) -> Duration| {
            phases.iter().map(gap).max().unwrap_or_default().as_secs_f64() * 1e3
        };
        let per_minute = |phases: &[Phase]| {
            let seconds: f64 = phases.iter().map(|phase| phase.thread_cpu.as_secs_f64()).sum();
            phases.iter().map(|phase| phase.long_gaps as f64).sum::<f64>() / seconds * 60.0
        };
        let cpu: fn(&Phase) -> Duration = |phase| phase.longest_gap;
        let wall: fn(&Phase) -> Duration = |phase| phase.longest_wall_gap;
        Row {
            id: "E7",
            what: format!("longest gap between batches meanwhile, updates {what}"),
            figure: longest(&self.with, cpu),
            unit: "ms of CPU",
            bar: Bar::AtMost(2.0),
            ratio: None,
            spread: Summary::of(self.with.iter().map(|phase| phase.longest_gap.as_secs_f64())).spread,
            cpu_seconds: 0.0,
            threads: self.threads,
            note: format!(
                "without checkpoints {:.2} ms; above {} ms {:.1} times a minute with, {:.1} without; a thread alone {:.2} ms; on the wall {:.1} ms with, {:.1} ms without",
                longest(&self.without, cpu),
                LONG_GAP.as_millis(),
                per_minute(&self.with),
                per_minute(&self.without),
                self.machine.as_secs_f64() * 1e3,
                longest(&self.with, wall),
                longest(&self.without, wall)
            ),
        }
    }
}

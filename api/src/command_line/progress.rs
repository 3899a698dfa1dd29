//! What a job is doing, in a line.

use std::{collections::BTreeMap, fmt, time::Duration};

use tidegate_core::{ProcessingTime, VertexId};
use tidegate_driver::{CheckpointFailure, JobStatus};
use tidegate_worker::TaskMetricsEntry;

use super::event_time::{EventTimeProgress, Watermarks};

/// From which share of its time on a task counts as held back.
const HELD_BACK: f64 = 0.1;

/// The counters of a job at one time, summed over the tasks of each chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    at: Duration,
    chains: BTreeMap<VertexId, ChainSample>,
    watermarks: Watermarks,
}

#[derive(Clone, Debug, Default)]
struct ChainSample {
    name: String,
    tasks: u32,
    is_source: bool,
    records_in: u64,
    records_written: u64,
    backpressured: Duration,
    state_bytes: u64,
    malformed: u64,
    held_back_by: Option<VertexId>,
}

impl Sample {
    /// What the counters say `at` so long after the start.
    pub(super) fn take(at: Duration, tasks: &[TaskMetricsEntry]) -> Self {
        let mut chains: BTreeMap<VertexId, ChainSample> = BTreeMap::new();
        for entry in tasks {
            let chain = chains.entry(entry.task.vertex).or_insert_with(|| ChainSample {
                name: entry.name.clone(),
                is_source: entry.is_source,
                ..ChainSample::default()
            });
            let metrics = &entry.metrics;
            chain.tasks += 1;
            chain.records_in += metrics.records_in.get();
            chain.records_written += metrics.records_written.get();
            chain.backpressured += entry.times().backpressured;
            chain.state_bytes += metrics.state_bytes.get();
            chain.malformed += metrics.malformed.get();
            let consumer = metrics
                .held_back_by
                .get()
                .checked_sub(1)
                .and_then(|id| u32::try_from(id).ok());
            chain.held_back_by = consumer.map(VertexId).or(chain.held_back_by);
        }
        Self {
            at,
            chains,
            watermarks: Watermarks::take(tasks),
        }
    }

    fn sum(&self, value: impl Fn(&ChainSample) -> u64) -> u64 {
        self.chains.values().map(value).sum()
    }

    fn read(&self) -> u64 {
        self.sum(|chain| if chain.is_source { chain.records_in } else { 0 })
    }

    fn written(&self) -> u64 {
        self.sum(|chain| chain.records_written)
    }
}

/// One line of progress.
#[derive(Debug)]
pub(super) struct ProgressLine {
    elapsed: Duration,
    state: String,
    read: u64,
    read_per_second: f64,
    written_per_second: f64,
    checkpoint: Option<CheckpointSummary>,
    state_bytes: u64,
    malformed: u64,
    event_time: Option<EventTimeProgress>,
    held_back: Vec<HeldBack>,
    restarts: u32,
    /// The last checkpoint that failed since the line before, if one did.
    failed: Option<CheckpointFailure>,
}

#[derive(Debug)]
struct CheckpointSummary {
    epoch: u64,
    age: Duration,
    bytes: u64,
}

#[derive(Debug)]
struct HeldBack {
    chain: String,
    by: Option<String>,
    share: f64,
}

impl ProgressLine {
    /// What happened between two samples.
    pub(super) fn between(before: &Sample, after: &Sample, status: &JobStatus, now: ProcessingTime) -> Self {
        let elapsed = after.at.saturating_sub(before.at).max(Duration::from_millis(1));
        // A restart begins its counters anew.
        let rate = |before: u64, after: u64| {
            after.checked_sub(before).unwrap_or(after) as f64 / elapsed.as_secs_f64()
        };
        let held_back = after.chains.iter().filter_map(|(vertex, chain)| {
            let earlier = before
                .chains
                .get(vertex)
                .map_or(Duration::ZERO, |chain| chain.backpressured);
            let waited = chain.backpressured.saturating_sub(earlier);
            let share = waited.as_secs_f64() / (elapsed.as_secs_f64() * f64::from(chain.tasks.max(1)));
            let by = chain
                .held_back_by
                .and_then(|by| after.chains.get(&by))
                .map(|chain| chain.name.clone());
            (share >= HELD_BACK).then(|| HeldBack {
                chain: chain.name.clone(),
                by,
                share: share.min(1.0),
            })
        });
        Self {
            elapsed: after.at,
            state: status.state.to_string(),
            read: after.read(),
            read_per_second: rate(before.read(), after.read()),
            written_per_second: rate(before.written(), after.written()),
            checkpoint: status.last_checkpoint.as_ref().map(|last| CheckpointSummary {
                epoch: last.epoch.0,
                age: now.since(last.claimed_at),
                bytes: last.total_bytes,
            }),
            state_bytes: after.sum(|chain| chain.state_bytes),
            malformed: after.sum(|chain| chain.malformed),
            event_time: after.watermarks.lowest(now),
            held_back: held_back.collect(),
            restarts: status.restarts,
            failed: latest_failure(&status.checkpoint_failures, elapsed, now),
        }
    }
}

/// The last checkpoint that failed in the time before `now`.
fn latest_failure(
    failures: &[CheckpointFailure],
    within: Duration,
    now: ProcessingTime,
) -> Option<CheckpointFailure> {
    let last = failures.last()?;
    (now.since(last.failed_at) <= within).then(|| last.clone())
}

impl fmt::Display for ProgressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.1}s {} · in {}/s ({} read) · out {}/s",
            self.elapsed.as_secs_f64(),
            self.state,
            Count(self.read_per_second),
            Count(self.read as f64),
            Count(self.written_per_second),
        )?;
        match &self.checkpoint {
            Some(last) => {
                let age = last.age.as_secs_f64();
                write!(f, " · epoch {} {age:.1}s old, {}", last.epoch, Bytes(last.bytes))?;
            }
            None => write!(f, " · no checkpoint yet")?,
        }
        write!(f, " · state {}", Bytes(self.state_bytes))?;
        if self.malformed > 0 {
            write!(f, " · {} malformed", self.malformed)?;
        }
        if self.restarts > 0 {
            write!(
                f,
                " · {} restart{}",
                self.restarts,
                if self.restarts == 1 { "" } else { "s" }
            )?;
        }
        if let Some(failed) = &self.failed {
            write!(f, " · {failed}")?;
        }
        if let Some(event_time) = &self.event_time {
            write!(f, " · {event_time}")?;
        }
        for held_back in &self.held_back {
            write!(
                f,
                " · [{}] held back {:.0} %",
                held_back.chain,
                held_back.share * 100.0
            )?;
            if let Some(by) = &held_back.by {
                write!(f, " by [{by}]")?;
            }
        }
        Ok(())
    }
}

/// A count or a rate, short.
struct Count(f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1e6 => write!(f, "{:.2}M", n / 1e6),
            n if n >= 1e4 => write!(f, "{:.1}k", n / 1e3),
            n => write!(f, "{n:.0}"),
        }
    }
}

/// A size, short.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{BarrierKind, CheckpointId};

    use super::*;

    #[test]
    fn sizes_and_counts_are_short() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        for (count, text) in [
            (0.0, "0"),
            (9999.0, "9999"),
            (12_345.0, "12.3k"),
            (2_500_000.0, "2.50M"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn a_checkpoint_that_failed_is_told_with_its_cause_while_it_is_news() {
        let failure = |checkpoint, failed_at| CheckpointFailure {
            checkpoint: CheckpointId(checkpoint),
            kind: BarrierKind::Checkpoint,
            triggered_at: ProcessingTime(0),
            failed_at: ProcessingTime(failed_at),
            reason: "task 1[0] (sums) waits for its turn".to_owned(),
        };
        let failures = [failure(3, 500), failure(4, 1_500)];
        let told = |now| latest_failure(&failures, Duration::from_secs(1), ProcessingTime(now));
        assert_eq!(
            told(2_000).unwrap().to_string(),
            "checkpoint 4 failed: task 1[0] (sums) waits for its turn"
        );
        assert_eq!(told(2_501), None);
        assert_eq!(
            latest_failure(&[], Duration::from_secs(1), ProcessingTime(0)),
            None
        );
    }
}

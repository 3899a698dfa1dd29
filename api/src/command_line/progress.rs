//! What a job is doing: what happened between two samples, and that as one line.

use std::{fmt, time::Duration};

use tidegate_core::ProcessingTime;
use tidegate_driver::{CheckpointFailure, JobStatus};

use super::{
    event_time::EventTimeProgress,
    sample::{ChainSample, Sample},
    units::{Bytes, Count},
};

/// From which share of its time on a chain counts as held back.
const HELD_BACK: f64 = 0.1;

/// What a job is doing. Its [`Display`](fmt::Display) is a line for a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub(super) elapsed: Duration,
    pub(super) state: String,
    pub(super) read: Flow,
    pub(super) written: Flow,
    pub(super) checkpoint: Option<LastCheckpoint>,
    /// How long ago the checkpoint that is being taken was triggered.
    pub(super) pending_checkpoint: Option<Duration>,
    pub(super) state_bytes: u64,
    pub(super) malformed: u64,
    pub(super) late: u64,
    pub(super) event_time: Option<EventTimeProgress>,
    /// In the order of the plan: producers before consumers.
    pub(super) chains: Vec<ChainProgress>,
    pub(super) restarts: u32,
    /// The last checkpoint that failed between the samples, if one did.
    pub(super) failed: Option<CheckpointFailure>,
}

/// Records so far, and how many there are in a second now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flow {
    pub(super) total: u64,
    pub(super) per_second: u64,
}

/// The last claimed checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LastCheckpoint {
    pub(super) epoch: u64,
    pub(super) age: Duration,
    pub(super) duration: Duration,
    pub(super) bytes: u64,
}

/// What the tasks of a chain did between two samples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ChainProgress {
    pub(super) name: String,
    pub(super) tasks: u32,
    pub(super) received: Flow,
    pub(super) sent: Flow,
    /// The share of their time in which they ran.
    pub(super) busy: Share,
    /// The share of their time in which a consumer held them back.
    pub(super) backpressured: Share,
    /// The consumer that did so last, if it did so much.
    pub(super) held_back_by: Option<String>,
}

impl ChainProgress {
    /// Whether it is worth mention that its consumers hold it back.
    pub(super) fn is_held_back(&self) -> bool {
        self.backpressured >= Share::of(HELD_BACK)
    }
}

/// A part of a whole, in percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Share(u8);

impl Share {
    pub(super) fn of(part: f64) -> Self {
        Self((part.clamp(0.0, 1.0) * 100.0).round() as u8)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl Progress {
    /// What happened between two samples.
    pub(super) fn between(before: &Sample, after: &Sample, status: &JobStatus, now: ProcessingTime) -> Self {
        let elapsed = after.at.saturating_sub(before.at).max(Duration::from_millis(1));
        let nothing = ChainSample::default();
        let chains = after.chains.iter().map(|(vertex, chain)| {
            let earlier = before.chains.get(vertex).unwrap_or(&nothing);
            let time = elapsed.as_secs_f64() * f64::from(chain.tasks.max(1));
            let share =
                |earlier: Duration, later: Duration| Share::of(since(earlier, later).as_secs_f64() / time);
            let mut progress = ChainProgress {
                name: chain.name.clone(),
                tasks: chain.tasks,
                received: Flow::between(earlier.records_in, chain.records_in, elapsed),
                sent: Flow::between(earlier.records_out, chain.records_out, elapsed),
                busy: share(earlier.busy, chain.busy),
                backpressured: share(earlier.backpressured, chain.backpressured),
                held_back_by: None,
            };
            if progress.is_held_back() {
                let by = chain.held_back_by.and_then(|by| after.chains.get(&by));
                progress.held_back_by = by.map(|by| by.name.clone());
            }
            progress
        });
        Self {
            elapsed: after.at,
            state: status.state.to_string(),
            read: Flow::between(before.read(), after.read(), elapsed),
            written: Flow::between(before.written(), after.written(), elapsed),
            checkpoint: status.last_checkpoint.as_ref().map(|last| LastCheckpoint {
                epoch: last.epoch.0,
                age: now.since(last.claimed_at),
                duration: last.duration,
                bytes: last.total_bytes,
            }),
            pending_checkpoint: status
                .pending_checkpoint
                .map(|(_, triggered_at)| now.since(triggered_at)),
            state_bytes: after.sum(|chain| chain.state_bytes),
            malformed: after.sum(|chain| chain.malformed),
            late: after.sum(|chain| chain.late),
            event_time: after.watermarks.lowest(now),
            chains: chains.collect(),
            restarts: status.restarts,
            failed: latest_failure(&status.checkpoint_failures, elapsed, now),
        }
    }
}

impl Flow {
    fn between(before: u64, after: u64, elapsed: Duration) -> Self {
        // A restart begins its counters anew.
        let new = after.checked_sub(before).unwrap_or(after);
        Self {
            total: after,
            per_second: (new as f64 / elapsed.as_secs_f64()).round() as u64,
        }
    }
}

/// As much was added to a time, which a restart begins anew.
fn since(before: Duration, after: Duration) -> Duration {
    after.checked_sub(before).unwrap_or(after)
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

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.1}s {} · in {}/s ({} read) · out {}/s",
            self.elapsed.as_secs_f64(),
            self.state,
            Count(self.read.per_second),
            Count(self.read.total),
            Count(self.written.per_second),
        )?;
        match &self.checkpoint {
            Some(last) => {
                let age = last.age.as_secs_f64();
                write!(f, " · epoch {} {age:.1}s old, {}", last.epoch, Bytes(last.bytes))?;
            }
            None => write!(f, " · no checkpoint yet")?,
        }
        write!(f, " · state {}", Bytes(self.state_bytes))?;
        for (count, what) in [(self.malformed, "malformed"), (self.late, "late")] {
            if count > 0 {
                write!(f, " · {count} {what}")?;
            }
        }
        if self.restarts > 0 {
            write!(f, " · {}", Restarts(self.restarts))?;
        }
        if let Some(failed) = &self.failed {
            write!(f, " · {failed}")?;
        }
        if let Some(event_time) = &self.event_time {
            write!(f, " · {event_time}")?;
        }
        for chain in self.chains.iter().filter(|chain| chain.is_held_back()) {
            write!(f, " · [{}] held back {}", chain.name, chain.backpressured)?;
            if let Some(by) = &chain.held_back_by {
                write!(f, " by [{by}]")?;
            }
        }
        Ok(())
    }
}

/// A number of restarts.
pub(super) struct Restarts(pub(super) u32);

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} restart{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{BarrierKind, CheckpointId};

    use super::*;

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

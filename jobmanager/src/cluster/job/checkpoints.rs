//! The checkpoints of a job that are remembered.

use std::collections::VecDeque;

use tidegate_core::{BarrierKind, CheckpointId, Epoch, layout};
use tidegate_driver::{CheckpointFailure, CheckpointStatistics, CheckpointSummary, JobStatus};

use crate::cluster::view::{
    CheckpointCounts, CheckpointHistory, CheckpointLatest, CheckpointState, CheckpointView,
};

/// How many claimed checkpoints are remembered.
const CAPACITY: usize = 64;

/// Claimed checkpoints, newest last; the oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct CheckpointRing {
    claimed: VecDeque<CheckpointView>,
    /// Whether those that were retained before this job manager came have been added.
    has_retained: bool,
}

impl CheckpointRing {
    /// Notes the last one that a coordinator shows.
    pub(crate) fn observe(&mut self, status: &JobStatus, job_root: &str) {
        let Some(last) = &status.last_checkpoint else {
            return;
        };
        if self
            .claimed
            .back()
            .is_some_and(|known| known.id >= last.checkpoint.0)
        {
            return;
        }
        if self.claimed.len() == CAPACITY {
            self.claimed.pop_front();
        }
        self.claimed.push_back(claimed(last, job_root));
    }

    /// Whether whoever calls this is to read what is retained: the first is.
    pub(crate) fn begin_reading(&mut self) -> bool {
        !std::mem::replace(&mut self.has_retained, true)
    }

    /// Reading did not succeed.
    pub(crate) fn read_again(&mut self) {
        self.has_retained = false;
    }

    /// Adds checkpoints of before.
    pub(crate) fn add_retained(&mut self, retained: &[CheckpointSummary], job_root: &str) {
        for summary in retained.iter().rev() {
            let oldest = self.claimed.front().map_or(u64::MAX, |known| known.id);
            let view = retained_view(summary, job_root).filter(|view| view.id < oldest);
            if let Some(view) = view
                && self.claimed.len() < CAPACITY
            {
                self.claimed.push_front(view);
            }
        }
    }

    /// How checkpoints have gone.
    pub(crate) fn history(&self, status: Option<&JobStatus>, now_ms: i64) -> CheckpointHistory {
        let mut history: Vec<CheckpointView> = self.claimed.iter().cloned().collect();
        let failures = status.map_or(&[] as &[_], |status| status.checkpoint_failures.as_slice());
        history.extend(failures.iter().map(failed));
        if let Some((checkpoint, since)) = status.and_then(|status| status.pending_checkpoint) {
            history.push(pending(checkpoint, since.0, now_ms));
        }
        history.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.id));
        let latest = |wanted: fn(&CheckpointView) -> bool| history.iter().find(|it| wanted(it)).cloned();
        let (completed, failed) = status.map_or((0, 0), |status| {
            (status.completed_checkpoints, status.failed_checkpoints)
        });
        let in_progress = u64::from(status.is_some_and(|status| status.pending_checkpoint.is_some()));
        CheckpointHistory {
            counts: CheckpointCounts {
                total: completed + failed + in_progress,
                in_progress,
                completed,
                failed,
                restored: status.map_or(0, |status| u64::from(status.restarts)),
            },
            latest: CheckpointLatest {
                completed: latest(|it| it.status == CheckpointState::Completed && !it.is_savepoint),
                savepoint: latest(|it| it.status == CheckpointState::Completed && it.is_savepoint),
                failed: latest(|it| it.status == CheckpointState::Failed),
            },
            history,
        }
    }
}

/// What people call a kind of checkpoint.
pub(crate) fn kind_name(kind: BarrierKind) -> &'static str {
    match kind {
        BarrierKind::Checkpoint => "CHECKPOINT",
        BarrierKind::Savepoint => "SAVEPOINT",
        BarrierKind::Suspend => "SUSPEND",
        BarrierKind::SuspendWithSavepoint => "SUSPEND_WITH_SAVEPOINT",
    }
}

pub(crate) fn is_savepoint(kind: BarrierKind) -> bool {
    matches!(kind, BarrierKind::Savepoint | BarrierKind::SuspendWithSavepoint)
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn claimed(statistics: &CheckpointStatistics, job_root: &str) -> CheckpointView {
    CheckpointView {
        id: statistics.checkpoint.0,
        status: CheckpointState::Completed,
        epoch: Some(statistics.epoch.0),
        is_savepoint: is_savepoint(statistics.kind),
        checkpoint_type: kind_name(statistics.kind).to_owned(),
        trigger_timestamp: statistics.triggered_at.0,
        latest_ack_timestamp: statistics.triggered_at.0 + millis(statistics.acknowledged_after),
        end_to_end_duration: millis(statistics.duration),
        state_size: statistics.total_bytes,
        checkpointed_size: statistics.written_bytes,
        longest_alignment_us: statistics.longest_alignment_us,
        longest_sync_us: statistics.longest_sync_us,
        external_path: Some(location(job_root, statistics.epoch)),
        failure_message: None,
    }
}

/// What an epoch's record and manifest tell; how long it took is not among it.
fn retained_view(summary: &CheckpointSummary, job_root: &str) -> Option<CheckpointView> {
    let kind = summary.taken_as?;
    Some(CheckpointView {
        status: CheckpointState::Completed,
        epoch: Some(summary.epoch.0),
        is_savepoint: is_savepoint(kind),
        checkpoint_type: kind_name(kind).to_owned(),
        latest_ack_timestamp: summary.written_at_ms,
        state_size: summary.size,
        external_path: Some(location(job_root, summary.epoch)),
        ..pending(summary.checkpoint?, summary.written_at_ms, summary.written_at_ms)
    })
}

/// Where a job can be started from.
fn location(job_root: &str, epoch: Epoch) -> String {
    format!("{job_root}/{}", layout::epoch(epoch))
}

fn failed(failure: &CheckpointFailure) -> CheckpointView {
    CheckpointView {
        status: CheckpointState::Failed,
        is_savepoint: is_savepoint(failure.kind),
        checkpoint_type: kind_name(failure.kind).to_owned(),
        end_to_end_duration: failure.failed_at.0 - failure.triggered_at.0,
        failure_message: Some(failure.reason.clone()),
        ..pending(failure.checkpoint, failure.triggered_at.0, failure.failed_at.0)
    }
}

fn pending(checkpoint: CheckpointId, since_ms: i64, now_ms: i64) -> CheckpointView {
    CheckpointView {
        id: checkpoint.0,
        status: CheckpointState::InProgress,
        epoch: None,
        is_savepoint: false,
        checkpoint_type: kind_name(BarrierKind::Checkpoint).to_owned(),
        trigger_timestamp: since_ms,
        latest_ack_timestamp: -1,
        end_to_end_duration: (now_ms - since_ms).max(0),
        state_size: 0,
        checkpointed_size: 0,
        longest_alignment_us: 0,
        longest_sync_us: 0,
        external_path: None,
        failure_message: None,
    }
}

//! What a job's tasks had measured at one time, summed over the tasks of each chain.

use std::{collections::BTreeMap, time::Duration};

use tidegate_core::VertexId;
use tidegate_worker::TaskMetricsEntry;

use super::event_time::Watermarks;

/// The sums at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// How long after the start.
    pub(super) at: Duration,
    pub(super) chains: BTreeMap<VertexId, ChainSample>,
    pub(super) watermarks: Watermarks,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ChainSample {
    pub(super) name: String,
    pub(super) tasks: u32,
    pub(super) is_source: bool,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) records_written: u64,
    pub(super) busy: Duration,
    pub(super) backpressured: Duration,
    pub(super) state_bytes: u64,
    pub(super) malformed: u64,
    pub(super) late: u64,
    pub(super) held_back_by: Option<VertexId>,
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
            let (metrics, times) = (&entry.metrics, entry.times());
            chain.tasks += 1;
            chain.records_in += metrics.records_in.get();
            chain.records_out += metrics.records_out.get();
            chain.records_written += metrics.records_written.get();
            chain.busy += times.busy;
            chain.backpressured += times.backpressured;
            chain.state_bytes += metrics.state_bytes.get();
            chain.malformed += metrics.malformed.get();
            chain.late += metrics.late_records.get();
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

    /// A sum over all chains.
    pub(super) fn sum(&self, value: impl Fn(&ChainSample) -> u64) -> u64 {
        self.chains.values().map(value).sum()
    }

    /// Records that sources have read.
    pub(super) fn read(&self) -> u64 {
        self.sum(|chain| if chain.is_source { chain.records_in } else { 0 })
    }

    /// Records that sinks have written.
    pub(super) fn written(&self) -> u64 {
        self.sum(|chain| chain.records_written)
    }
}

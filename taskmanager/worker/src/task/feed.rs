//! What feeds a task's chain: a source, or edges with their alignment and watermarks.

use tidegate_core::{CheckpointId, EventTime};
use tidegate_exchange::AnyEdgeReader;

use crate::{alignment::Alignment, head::TaskHead, source_node::SourceHead, watermarks::Watermarks};

/// One edge into a task.
pub(crate) struct TaskInput {
    pub(crate) slot: u8,
    pub(crate) reader: Box<dyn AnyEdgeReader>,
}

/// What feeds a chain.
pub(crate) enum Feed {
    Source {
        head: Box<dyn SourceHead>,
        state: SourceState,
    },
    Edges(EdgeFeed),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceState {
    /// Waits for its splits, for the start of the job, or for both.
    Preparing {
        assigned: bool,
        started: bool,
    },
    Reading,
    /// A barrier that suspends the job has been emitted.
    Suspended,
}

pub(crate) struct EdgeFeed {
    pub(super) head: Box<dyn TaskHead>,
    pub(super) inputs: Vec<TaskInput>,
    /// For each channel of the task, its input and its place there.
    pub(super) channels: Vec<(usize, usize)>,
    pub(super) alignment: Alignment,
    pub(super) watermarks: Watermarks,
    /// Where the next look for input starts.
    pub(super) next: usize,
}

impl EdgeFeed {
    pub(crate) fn new(
        head: Box<dyn TaskHead>,
        inputs: Vec<TaskInput>,
        restored: CheckpointId,
        watermark: EventTime,
    ) -> Self {
        let channels: Vec<_> = inputs
            .iter()
            .enumerate()
            .flat_map(|(index, input)| (0..input.reader.channels()).map(move |channel| (index, channel)))
            .collect();
        let count = channels.len();
        Self {
            head,
            inputs,
            channels,
            alignment: Alignment::new(count, restored),
            watermarks: Watermarks::new(count, watermark),
            next: 0,
        }
    }
}

//! What feeds a task's chain: a source, or edges with their alignment and watermarks.

use tidegate_core::{
    CheckpointId, Control, EventTime, MissingBarrier, NamedTask, TaskId, VertexId, metrics::WatermarkHolder,
};
use tidegate_exchange::{AnyEdgeReader, ChannelError};

use crate::{alignment::Alignment, head::TaskHead, source_node::SourceHead, watermarks::Watermarks};

/// Who is at the other end of an edge into a task.
pub(crate) struct Upstream {
    pub(crate) vertex: VertexId,
    /// The name of the producers' chain.
    pub(crate) name: String,
    /// The producer on the edge's first channel; the others follow in order.
    pub(crate) first: u32,
}

/// One edge into a task.
pub(crate) struct TaskInput {
    pub(crate) slot: u8,
    pub(crate) upstream: Upstream,
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

    /// The control element that comes next in a channel, taken, unless it is a record's turn, or the channel waits.
    pub(super) fn take_control(&mut self, channel: usize) -> Result<Option<Control>, ChannelError> {
        if self.alignment.is_blocked(channel) {
            return Ok(None);
        }
        let (input, place) = self.channels[channel];
        let reader = &mut self.inputs[input].reader;
        let control = reader.next_control(place)?;
        if control.is_some() {
            reader.poll(place)?;
        }
        Ok(control)
    }

    /// The channels whose barrier has not come.
    pub(super) fn missing_barriers(&self) -> Vec<MissingBarrier> {
        let missing = self.alignment.open().map(|channel| {
            let (input, _) = self.channels[channel];
            MissingBarrier {
                input: u32::try_from(input).unwrap_or(u32::MAX),
                from: NamedTask {
                    task: self.producer(channel),
                    name: self.inputs[input].upstream.name.clone(),
                },
            }
        });
        missing.collect()
    }

    /// Who holds the task's watermark where it is.
    pub(super) fn watermark_held_by(&self) -> WatermarkHolder {
        self.watermarks
            .held_by()
            .map_or(WatermarkHolder::Nobody, |channel| {
                let TaskId { vertex, index } = self.producer(channel);
                WatermarkHolder::Channel { vertex, task: index }
            })
    }

    /// The task at the other end of a channel.
    fn producer(&self, channel: usize) -> TaskId {
        let (input, place) = self.channels[channel];
        let upstream = &self.inputs[input].upstream;
        TaskId {
            vertex: upstream.vertex,
            index: upstream.first + u32::try_from(place).unwrap_or(u32::MAX - upstream.first),
        }
    }
}

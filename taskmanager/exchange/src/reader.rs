//! The channels of one edge into one task, as a task sees them that does not know the type of their records.

use std::any::Any;

use tidegate_core::{Batch, Control};

use crate::{
    channel::{ChannelError, ChannelReceiver},
    message::Message,
};

/// What a look at a channel brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polled {
    /// Nothing.
    Empty,
    /// A batch, which is now in [`AnyEdgeReader::batch`].
    Batch {
        /// How many records it has.
        records: usize,
    },
    /// A control element.
    Control(Control),
}

/// The channels of one edge into one task. The task chooses which to poll: a channel that waits in alignment is
/// simply not polled.
pub trait AnyEdgeReader: Send {
    /// How many channels there are.
    fn channels(&self) -> usize;

    /// Takes what comes next in a channel. A batch replaces what was left in [`batch`](Self::batch).
    fn poll(&mut self, channel: usize) -> Result<Polled, ChannelError>;

    /// The control element that comes next in a channel, if one does; the next poll takes it. For a task that takes no
    /// records for now and need not hold up a checkpoint.
    fn next_control(&mut self, channel: usize) -> Result<Option<Control>, ChannelError>;

    /// The batch that the last poll brought: an `Option<Batch<T>>`, for the typed head of the chain to take from.
    fn batch(&mut self) -> &mut dyn Any;

    /// Returns a batch left in [`batch`](Self::batch), emptied or not, to the producer of the last poll, so that its
    /// vectors are used again.
    fn recycle(&mut self);
}

/// The channels of one edge into one task.
pub struct EdgeReader<T> {
    channels: Vec<ChannelReceiver<T>>,
    /// What has been taken out of each channel by a look at it, and comes next.
    seen: Vec<Option<Message<T>>>,
    batch: Option<Batch<T>>,
    from: usize,
}

impl<T> EdgeReader<T> {
    pub(crate) fn new(channels: Vec<ChannelReceiver<T>>) -> Self {
        Self {
            seen: channels.iter().map(|_| None).collect(),
            channels,
            batch: None,
            from: 0,
        }
    }
}

impl<T: Send + 'static> AnyEdgeReader for EdgeReader<T> {
    fn channels(&self) -> usize {
        self.channels.len()
    }

    fn poll(&mut self, channel: usize) -> Result<Polled, ChannelError> {
        let message = match self.seen[channel].take() {
            Some(message) => Some(message),
            None => self.channels[channel].poll()?,
        };
        match message {
            None => Ok(Polled::Empty),
            Some(Message::Control(control)) => Ok(Polled::Control(control)),
            Some(Message::Batch(batch)) => {
                let records = batch.len();
                self.batch = Some(batch);
                self.from = channel;
                Ok(Polled::Batch { records })
            }
        }
    }

    fn next_control(&mut self, channel: usize) -> Result<Option<Control>, ChannelError> {
        let seen = &mut self.seen[channel];
        if seen.is_none() {
            *seen = self.channels[channel].poll()?;
        }
        Ok(match seen {
            Some(Message::Control(control)) => Some(*control),
            Some(Message::Batch(_)) | None => None,
        })
    }

    fn batch(&mut self) -> &mut dyn Any {
        &mut self.batch
    }

    fn recycle(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.channels[self.from].recycle(batch);
        }
    }
}

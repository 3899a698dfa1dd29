//! A channel from one producer task to one consumer task, the same to both whether they share a worker or not.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_core::{Batch, Control, Flow};

use crate::{
    codec::{BatchCodec, CodecError},
    frame::FrameError,
    local::{LocalReceiver, LocalSender},
    message::Message,
    remote::{PeerFailure, Received, RemoteReceiver, RemoteSender},
};

/// Why a channel cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A batch could not be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The connection to the other worker is gone, and with it the attempt.
    #[error(transparent)]
    Peer(#[from] PeerFailure),
    /// A frame could not be made.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame held another number of records than its header said.
    #[error("a data frame holds {found} records where its header says {expected}; the stream is corrupt")]
    RecordCount {
        /// What the header says.
        expected: usize,
        /// What was in it.
        found: usize,
    },
}

/// The sending end of a channel. It loses nothing and never blocks.
pub enum ChannelSender<T> {
    /// To a task of this worker.
    Local(LocalSender<T>),
    /// To a task, or for a broadcast to all tasks, of another worker.
    Remote(FramedSender<T>),
}

impl<T> ChannelSender<T> {
    /// Sends a batch. When the answer is not ready, the batch is kept, and the task is woken when `drain` may go on.
    pub fn send(&mut self, batch: Batch<T>) -> Result<Flow, ChannelError> {
        match self {
            Self::Local(local) => Ok(local.send(Message::Batch(batch))),
            Self::Remote(remote) => remote.send(batch),
        }
    }

    /// Sends a control element, in order after the batches sent before. It costs no credit.
    pub fn control(&mut self, control: Control) -> Result<Flow, ChannelError> {
        match self {
            Self::Local(local) => Ok(local.send(Message::Control(control))),
            Self::Remote(remote) => remote.control(control),
        }
    }

    /// Sends what had to wait. Ready when nothing waits and there is room for a batch; otherwise the task is woken.
    pub fn drain(&mut self) -> Result<Flow, ChannelError> {
        match self {
            Self::Local(local) => Ok(local.drain()),
            Self::Remote(remote) => remote.drain(),
        }
    }

    /// An empty batch to fill, if one has come back.
    pub fn recycled(&mut self) -> Option<Batch<T>> {
        match self {
            Self::Local(local) => local.recycled(),
            Self::Remote(remote) => remote.spare.take(),
        }
    }
}

/// Encodes batches into frames of a remote channel, as credit allows.
pub struct FramedSender<T> {
    pub(crate) remote: RemoteSender,
    codec: Arc<dyn BatchCodec<T>>,
    /// What credit did not suffice for; of the first batch, `done` records are sent.
    overflow: VecDeque<Batch<T>>,
    done: usize,
    /// How many records of `overflow` are not sent.
    unsent: u64,
    /// A frame of one record that is larger than the credit there was.
    oversized: Option<Vec<u8>>,
    /// The vectors of the last batch sent, to be filled again.
    spare: Option<Batch<T>>,
}

impl<T> FramedSender<T> {
    /// Encodes with `codec` into `remote`.
    pub fn new(remote: RemoteSender, codec: Arc<dyn BatchCodec<T>>) -> Self {
        Self {
            remote,
            codec,
            overflow: VecDeque::new(),
            done: 0,
            unsent: 0,
            oversized: None,
            spare: None,
        }
    }

    /// See [`ChannelSender::send`].
    pub fn send(&mut self, batch: Batch<T>) -> Result<Flow, ChannelError> {
        if !batch.is_empty() {
            self.unsent += batch.len() as u64;
            self.overflow.push_back(batch);
        }
        self.drain()
    }

    /// See [`ChannelSender::control`].
    pub fn control(&mut self, control: Control) -> Result<Flow, ChannelError> {
        let follows = self.unsent_until();
        self.remote.control(control, follows)?;
        self.drain()
    }

    /// The number of records on this channel up to now, if some of them are unsent.
    pub(crate) fn unsent_until(&self) -> Option<u64> {
        (self.unsent > 0).then_some(self.remote.sent_records() + self.unsent)
    }

    /// See [`ChannelSender::drain`].
    pub fn drain(&mut self) -> Result<Flow, ChannelError> {
        self.remote.check()?;
        while let Some(batch) = self.overflow.front() {
            let sent = match self.oversized.take() {
                Some(frame) => self.remote.transmit(frame, 1),
                None => {
                    let Some(room) = self.remote.room() else {
                        return Ok(Flow::Blocked);
                    };
                    let mut frame = self.remote.frame_buffer();
                    let count = self.codec.encode(batch, self.done, room, &mut frame)?;
                    self.remote.transmit(frame, count)
                }
            };
            match sent? {
                Ok(count) => self.advance(count),
                Err(frame) => {
                    self.oversized = Some(frame);
                    return Ok(Flow::Blocked);
                }
            }
        }
        Ok(match self.remote.room() {
            Some(_) => Flow::Ready,
            None => Flow::Blocked,
        })
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.unsent -= count as u64;
        if self
            .overflow
            .front()
            .is_some_and(|batch| batch.len() <= self.done)
        {
            self.done = 0;
            if let Some(mut batch) = self.overflow.pop_front() {
                batch.records.clear();
                batch.times = tidegate_core::Times::None;
                if let Some(hashes) = &mut batch.hashes {
                    hashes.clear();
                }
                self.spare = Some(batch);
            }
        }
    }
}

/// The receiving end of a channel.
pub enum ChannelReceiver<T> {
    /// From a task of this worker.
    Local(LocalReceiver<T>),
    /// From a task of another worker, with the codec that its frames are decoded with.
    Remote(RemoteReceiver, Arc<dyn BatchCodec<T>>),
}

impl<T> ChannelReceiver<T> {
    /// Takes what comes next, if something has come.
    pub fn poll(&mut self) -> Result<Option<Message<T>>, ChannelError> {
        match self {
            Self::Local(local) => Ok(local.poll()),
            Self::Remote(remote, codec) => match remote.poll()? {
                None => Ok(None),
                Some(Received::Control(control)) => Ok(Some(Message::Control(control))),
                Some(Received::Data { body, records }) => {
                    let batch = codec.decode(&body)?;
                    if batch.len() != records {
                        return Err(ChannelError::RecordCount {
                            expected: records,
                            found: batch.len(),
                        });
                    }
                    Ok(Some(Message::Batch(batch)))
                }
            },
        }
    }

    /// Returns a batch's vectors to the producer where that is cheap; elsewhere they are dropped.
    pub fn recycle(&mut self, batch: Batch<T>) {
        if let Self::Local(local) = self {
            local.recycle(batch);
        }
    }
}

//! An edge between two chains: made by whoever knows the type of its records, used by those who do not.

use std::{any::Any, sync::Arc};

use tidegate_core::{Batch, KeySelector, Push, graph::Partitioning};

use crate::{
    channel::{ChannelReceiver, ChannelSender, FramedSender},
    codec::BatchCodec,
    local::{LocalReceiver, LocalSender, local},
    partition::{BySelector, Dealing},
    reader::{AnyEdgeReader, EdgeReader},
    remote::{RemoteReceiver, RemoteSender},
    wake::TaskWaker,
    writer::{EdgeWriter, WriterOptions, WriterStatus},
};

/// The sending end of a channel, its record type erased.
pub enum SenderEnd {
    /// A [`LocalSender`], from [`AnyEdge::local`] of the same edge.
    Local(Box<dyn Any + Send>),
    /// To another worker.
    Remote(RemoteSender),
}

/// The receiving end of a channel, its record type erased.
pub enum ReceiverEnd {
    /// A [`LocalReceiver`], from [`AnyEdge::local`] of the same edge.
    Local(Box<dyn Any + Send>),
    /// From another worker.
    Remote(RemoteReceiver),
}

/// Why a reader or writer could not be put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EdgeError {
    /// An end was made by an edge with another record type.
    #[error(
        "end {index} belongs to an edge whose records are not {expected}; take the ends from the edge they are for"
    )]
    ForeignEnd {
        /// Its place.
        index: usize,
        /// The record type of this edge.
        expected: &'static str,
    },
    /// There is no channel to write to.
    #[error("an edge of {expected} has no channel to write to; give it one end per consumer")]
    NoChannel {
        /// The record type of this edge.
        expected: &'static str,
    },
}

/// The writer of an edge for one producer task.
pub struct AnyWriter {
    /// Holds a `Box<dyn Push<T>>`.
    pub push: Box<dyn Any + Send>,
    /// Whether it holds records back.
    pub status: Arc<WriterStatus>,
}

/// An edge whose record type is not known to the caller.
pub trait AnyEdge: Send + Sync {
    /// How records are dealt.
    fn partitioning(&self) -> Partitioning;

    /// A channel between two tasks of this worker.
    fn local(&self, producer: TaskWaker, consumer: TaskWaker) -> (SenderEnd, ReceiverEnd);

    /// The writer of one producer task. For a hash edge `ends` are those of all consumers in order; for a broadcast edge
    /// one per local consumer and one per other worker.
    fn writer(&self, ends: Vec<SenderEnd>, options: WriterOptions) -> Result<AnyWriter, EdgeError>;

    /// The reader of one consumer task, with a channel for each producer in the order of `ends`.
    fn reader(&self, ends: Vec<ReceiverEnd>) -> Result<Box<dyn AnyEdgeReader>, EdgeError>;
}

/// An edge that carries records of type `T`.
pub struct Edge<T> {
    codec: Arc<dyn BatchCodec<T>>,
    dealing: Dealing<T>,
}

impl<T> Clone for Edge<T> {
    fn clone(&self) -> Self {
        Self {
            codec: Arc::clone(&self.codec),
            dealing: self.dealing.clone(),
        }
    }
}

impl<T: Send + 'static> Edge<T> {
    fn new(codec: Arc<dyn BatchCodec<T>>, dealing: Dealing<T>) -> Self {
        Self { codec, dealing }
    }

    /// To the task with the same index. Given several channels, deals in turn.
    pub fn forward(codec: Arc<dyn BatchCodec<T>>) -> Self {
        Self::new(codec, Dealing::Forward)
    }

    /// By the key group of the key that `selector` finds.
    pub fn hash(codec: Arc<dyn BatchCodec<T>>, selector: impl KeySelector<T>) -> Self {
        Self::new(codec, Dealing::Hash(Arc::new(BySelector(selector))))
    }

    /// In turn, batch by batch.
    pub fn rebalance(codec: Arc<dyn BatchCodec<T>>) -> Self {
        Self::new(codec, Dealing::Rebalance)
    }

    /// To task 0.
    pub fn global(codec: Arc<dyn BatchCodec<T>>) -> Self {
        Self::new(codec, Dealing::Global)
    }

    /// To every task.
    pub fn broadcast(codec: Arc<dyn BatchCodec<T>>) -> Self
    where
        T: Clone,
    {
        Self::new(codec, Dealing::Broadcast(Batch::clone))
    }

    /// The writer of one producer task over typed channels; see [`AnyEdge::writer`].
    pub fn typed_writer(
        &self,
        senders: Vec<ChannelSender<T>>,
        options: WriterOptions,
    ) -> (EdgeWriter<T>, Arc<WriterStatus>) {
        EdgeWriter::new(&self.dealing, senders, options)
    }

    /// The reader of one consumer task over typed channels; see [`AnyEdge::reader`].
    pub fn typed_reader(&self, receivers: Vec<ChannelReceiver<T>>) -> EdgeReader<T> {
        EdgeReader::new(receivers)
    }

    /// The typed sending end over a remote channel.
    pub fn remote_sender(&self, remote: RemoteSender) -> ChannelSender<T> {
        ChannelSender::Remote(FramedSender::new(remote, Arc::clone(&self.codec)))
    }

    /// The typed receiving end over a remote channel.
    pub fn remote_receiver(&self, remote: RemoteReceiver) -> ChannelReceiver<T> {
        ChannelReceiver::Remote(remote, Arc::clone(&self.codec))
    }

    fn foreign(index: usize) -> EdgeError {
        EdgeError::ForeignEnd {
            index,
            expected: std::any::type_name::<T>(),
        }
    }
}

impl<T: Send + 'static> AnyEdge for Edge<T> {
    fn partitioning(&self) -> Partitioning {
        self.dealing.kind()
    }

    fn local(&self, producer: TaskWaker, consumer: TaskWaker) -> (SenderEnd, ReceiverEnd) {
        let (sender, receiver) = local::<T>(producer, consumer);
        (
            SenderEnd::Local(Box::new(sender)),
            ReceiverEnd::Local(Box::new(receiver)),
        )
    }

    fn writer(&self, ends: Vec<SenderEnd>, options: WriterOptions) -> Result<AnyWriter, EdgeError> {
        if ends.is_empty() {
            return Err(EdgeError::NoChannel {
                expected: std::any::type_name::<T>(),
            });
        }
        let senders = ends
            .into_iter()
            .enumerate()
            .map(|(index, end)| match end {
                SenderEnd::Local(end) => match end.downcast::<LocalSender<T>>() {
                    Ok(local) => Ok(ChannelSender::Local(*local)),
                    Err(_) => Err(Self::foreign(index)),
                },
                SenderEnd::Remote(remote) => Ok(self.remote_sender(remote)),
            })
            .collect::<Result<_, _>>()?;
        let (writer, status) = self.typed_writer(senders, options);
        let push: Box<dyn Push<T>> = Box::new(writer);
        Ok(AnyWriter {
            push: Box::new(push),
            status,
        })
    }

    fn reader(&self, ends: Vec<ReceiverEnd>) -> Result<Box<dyn AnyEdgeReader>, EdgeError> {
        let receivers = ends
            .into_iter()
            .enumerate()
            .map(|(index, end)| match end {
                ReceiverEnd::Local(end) => match end.downcast::<LocalReceiver<T>>() {
                    Ok(local) => Ok(ChannelReceiver::Local(*local)),
                    Err(_) => Err(Self::foreign(index)),
                },
                ReceiverEnd::Remote(remote) => Ok(self.remote_receiver(remote)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Box::new(self.typed_reader(receivers)))
    }
}

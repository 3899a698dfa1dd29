//! Channels between tasks of Tidegate: rings in a process, credit-controlled frames between processes.
//!
//! A task pushes batches into an [`EdgeWriter`] and polls them from an [`EdgeReader`]; neither ever blocks. Within a
//! worker a batch moves through a ring as it is. Between workers it is encoded on the producer's thread, travels in
//! frames over one TCP connection per pair of workers and direction, and is decoded on the consumer's thread.
//! Executors sleep and wake through one [`ReadySet`] each.

#[cfg(not(loom))]
mod bincode_codec;
#[cfg(not(loom))]
mod body;
#[cfg(not(loom))]
mod buffer;
#[cfg(not(loom))]
mod channel;
#[cfg(not(loom))]
mod codec;
#[cfg(not(loom))]
mod connection;
mod credit;
#[cfg(not(loom))]
mod edge;
#[cfg(not(loom))]
mod fixint;
mod frame;
mod gate;
#[cfg(not(loom))]
mod handshake;
#[cfg(not(loom))]
mod inbox;
mod local;
mod message;
mod meter;
#[cfg(not(loom))]
mod network;
#[cfg(not(loom))]
mod opening;
#[cfg(not(loom))]
mod outbound;
mod park;
#[cfg(not(loom))]
mod partition;
#[cfg(not(loom))]
mod reader;
#[cfg(not(loom))]
mod registry;
#[cfg(not(loom))]
mod remote;
mod ring;
#[cfg(not(loom))]
mod secret;
mod slab;
#[cfg(not(loom))]
mod strangers;
mod sync;
mod wake;
#[cfg(not(loom))]
mod writer;

#[cfg(not(loom))]
pub use {
    bincode_codec::Bincode,
    body::{ControlBody, MAX_GROUP, decode_grants, decode_group, encode_grants, encode_group},
    channel::{ChannelError, ChannelReceiver, ChannelSender, FramedSender},
    codec::{BatchCodec, CodecError},
    edge::{AnyEdge, AnyWriter, Edge, EdgeError, ReceiverEnd, SenderEnd},
    frame::{Frame, FrameDecoder, FrameError, FrameHeader, FrameKind, HEADER_BYTES, MAX_CONTROL_BODY},
    handshake::{Handshake, Identity, PROTOCOL_VERSION, Refusal, Verdict},
    network::{AttemptOptions, Network, NetworkError, NetworkOptions, OnPeerLost},
    reader::{AnyEdgeReader, EdgeReader, Polled},
    registry::ChannelReading,
    remote::{MAX_FRAME_BODY, PeerFailure, Received, RemoteReceiver, RemoteSender},
    secret::PeerSecret,
    writer::{EdgeWriter, WriterOptions, WriterStatus},
};
pub use {
    credit::{Grant, ReceiverCredit, SenderCredit, WindowBounds, WindowBudget},
    local::{LocalReceiver, LocalSender, RING_CAPACITY, local},
    message::Message,
    meter::ChannelMeter,
    ring::{Consumer, Producer, ring},
    wake::{ReadySet, ReadySlots, TaskWaker},
};

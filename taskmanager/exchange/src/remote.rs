//! The ends of channels between workers, as executors hold them: frames in, frames out, no thread of their own.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidegate_core::{Attempt, ChannelId, Control, WorkerId};

use crate::{
    body::{ControlBody, encode_group},
    channel::ChannelError,
    frame::{FrameHeader, FrameKind, HEADER_BYTES},
    gate::CreditGate,
    inbox::Inbox,
    meter::ChannelMeter,
    outbound::Outbound,
    wake::TaskWaker,
};

/// The largest body that a batch is cut into, unless one record alone is larger.
pub const MAX_FRAME_BODY: usize = 64 * 1024;

/// Marks the id of the group that a channel forms by itself.
const OWN_GROUP: u64 = 1 << 63;

/// The connection to another worker is gone. Within an attempt there is no other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data connection with worker {worker} is lost: {reason}")]
pub struct PeerFailure {
    /// The other worker.
    pub worker: WorkerId,
    /// What happened.
    pub reason: String,
}

/// What a sender shares with the network.
pub(crate) struct SenderShared {
    pub(crate) gate: CreditGate,
    pub(crate) meter: Arc<ChannelMeter>,
    failure: OnceLock<PeerFailure>,
}

impl SenderShared {
    pub(crate) fn new(waker: TaskWaker) -> Arc<Self> {
        let meter = Arc::new(ChannelMeter::default());
        Arc::new(Self {
            gate: CreditGate::new(waker, Arc::clone(&meter)),
            meter,
            failure: OnceLock::new(),
        })
    }

    pub(crate) fn fail(&self, failure: PeerFailure) {
        let _ = self.failure.set(failure);
        self.gate.wake();
    }
}

/// The sending end of one channel to another worker.
pub struct RemoteSender {
    shared: Arc<SenderShared>,
    outbound: Arc<Outbound>,
    waker: TaskWaker,
    attempt: Attempt,
    peer: WorkerId,
    channel: ChannelId,
    /// Records in frames that have been handed to the connection.
    sent: u64,
    /// For control elements to this channel alone.
    own_group: RemoteGroup,
}

impl RemoteSender {
    pub(crate) fn new(
        shared: Arc<SenderShared>,
        outbound: Arc<Outbound>,
        waker: TaskWaker,
        attempt: Attempt,
        peer: WorkerId,
        channel: ChannelId,
    ) -> Self {
        let own_group = RemoteGroup {
            id: ChannelId(channel.0 | OWN_GROUP),
            ..RemoteGroup::new(Arc::clone(&outbound), attempt, vec![channel])
        };
        Self {
            shared,
            outbound,
            waker,
            attempt,
            peer,
            channel,
            sent: 0,
            own_group,
        }
    }

    /// The worker at the other end.
    pub fn peer(&self) -> WorkerId {
        self.peer
    }

    /// The channel.
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// The channel's counters.
    pub fn meter(&self) -> Arc<ChannelMeter> {
        Arc::clone(&self.shared.meter)
    }

    /// A group for control elements to all of `members`, which must be channels to one peer.
    pub(crate) fn group_of(members: &[&Self]) -> Option<RemoteGroup> {
        let first = members.first()?;
        let channels = members.iter().map(|member| member.channel).collect();
        Some(RemoteGroup::new(
            Arc::clone(&first.outbound),
            first.attempt,
            channels,
        ))
    }

    pub(crate) fn check(&self) -> Result<(), ChannelError> {
        match self.shared.failure.get() {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(()),
        }
    }

    pub(crate) fn sent_records(&self) -> u64 {
        self.sent
    }

    /// How large the next body may be, or `None`: then the task is woken when that changes.
    pub(crate) fn room(&self) -> Option<usize> {
        if !self.outbound.has_room(&self.waker) {
            return None;
        }
        let room = usize::try_from(self.shared.gate.room()?).unwrap_or(usize::MAX);
        Some(room.saturating_sub(HEADER_BYTES).min(MAX_FRAME_BODY))
    }

    /// A buffer to write a body into, behind room for its header.
    pub(crate) fn frame_buffer(&self) -> Vec<u8> {
        let mut frame = self.outbound.buffer();
        frame.resize(HEADER_BYTES, 0);
        frame
    }

    /// Hands a frame of `count` records to the connection and returns `count`, or hands it back if credit does not
    /// suffice.
    pub(crate) fn transmit(
        &mut self,
        mut frame: Vec<u8>,
        count: usize,
    ) -> Result<Result<usize, Vec<u8>>, ChannelError> {
        // Headers cost credit too, so that a flood of small frames is bounded as well.
        let bytes = frame.len() as u64;
        if !self.shared.gate.admit(bytes) {
            return Ok(Err(frame));
        }
        let header = FrameHeader {
            kind: FrameKind::Data,
            attempt: self.attempt,
            channel: self.channel,
            sequence: self.sent,
            records: u32::try_from(count).unwrap_or(u32::MAX),
        };
        header.seal(&mut frame).map_err(ChannelError::from)?;
        self.sent += count as u64;
        self.shared.meter.frames.add(1);
        self.shared.meter.bytes.add(bytes);
        self.shared.meter.records.add(count as u64);
        self.outbound.push(frame);
        Ok(Ok(count))
    }

    /// Sends a control element at once; `follows` says after how many records it comes, if some of them are unsent.
    pub(crate) fn control(&mut self, control: Control, follows: Option<u64>) -> Result<(), ChannelError> {
        let follows = follows.map(|position| (0, position)).into_iter().collect();
        self.own_group.control(control, follows)
    }
}

/// The channels of one producer to one other worker: a control element is written once for all of them.
pub(crate) struct RemoteGroup {
    outbound: Arc<Outbound>,
    attempt: Attempt,
    /// The first channel's id names the group: a channel is in one group of several, and in one of its own.
    id: ChannelId,
    channels: Vec<ChannelId>,
    is_announced: bool,
}

impl RemoteGroup {
    fn new(outbound: Arc<Outbound>, attempt: Attempt, channels: Vec<ChannelId>) -> Self {
        Self {
            outbound,
            attempt,
            id: channels[0],
            channels,
            is_announced: false,
        }
    }

    /// Writes a control element. `follows` lists members with unsent data and the position of the element there.
    pub(crate) fn control(&mut self, control: Control, follows: Vec<(u32, u64)>) -> Result<(), ChannelError> {
        let header = |kind| FrameHeader {
            channel: self.id,
            ..FrameHeader::plain(kind, self.attempt)
        };
        let mut body = Vec::new();
        if !self.is_announced {
            encode_group(&self.channels, &mut body);
            self.outbound.push(
                header(FrameKind::Group)
                    .frame(&body)
                    .map_err(ChannelError::from)?,
            );
            body.clear();
            self.is_announced = true;
        }
        ControlBody { control, follows }.encode(&mut body);
        self.outbound.push(
            header(FrameKind::Control)
                .frame(&body)
                .map_err(ChannelError::from)?,
        );
        Ok(())
    }
}

/// What comes out of a channel from another worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// An encoded batch.
    Data {
        /// Its encoding.
        body: Bytes,
        /// How many records its header says it has.
        records: usize,
    },
    /// A control element, in its place.
    Control(Control),
}

/// The receiving end of one channel from another worker, or of one consumer's share in a broadcast channel.
pub struct RemoteReceiver {
    inbox: Arc<Inbox>,
}

impl RemoteReceiver {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    /// Takes what comes next, if something has come.
    ///
    /// # Errors
    /// If the connection is gone and everything that had come before has been taken.
    pub fn poll(&mut self) -> Result<Option<Received>, PeerFailure> {
        self.inbox.poll()
    }

    /// The channel's counters.
    pub fn meter(&self) -> Arc<ChannelMeter> {
        Arc::clone(&self.inbox.meter)
    }
}

impl Drop for RemoteReceiver {
    fn drop(&mut self) {
        self.inbox.leave();
    }
}

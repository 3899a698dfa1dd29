//! Frames: what travels over a connection between two workers. Pure.
//!
//! ```text
//! length u32 │ kind u8 │ flags u8 │ reserved u16 │ attempt u32 │ records u32 │ channel u64 │ sequence u64 │ checksum u32 │ body
//! ```
//! All little-endian. `length` is that of the body; `checksum` is CRC32C over the header's bytes before it. In a data frame
//! `sequence` is the number of records that came before on the channel and `records` is how many it carries, so the
//! receiver knows every position in the stream without decoding a body.

use bytes::{Buf, Bytes, BytesMut};
use tidegate_core::{Attempt, ChannelId};

/// The length of a header.
pub const HEADER_BYTES: usize = 36;
/// The longest body of any frame that is not data.
pub const MAX_CONTROL_BODY: usize = 1 << 20;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// Opens a connection, and accepts it.
    Handshake,
    /// Refuses a connection.
    Refusal,
    /// Records of one channel.
    Data,
    /// Names the channels that a group's control elements are for.
    Group,
    /// A control element for all channels of a group.
    Control,
    /// Grants of credit.
    Grants,
    /// The sender will say nothing more, on purpose.
    Close,
}

impl FrameKind {
    const ALL: [Self; 7] = [
        Self::Handshake,
        Self::Refusal,
        Self::Data,
        Self::Group,
        Self::Control,
        Self::Grants,
        Self::Close,
    ];

    fn code(self) -> u8 {
        self as u8 + 1
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A frame's header, without what encoding adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What the frame is.
    pub kind: FrameKind,
    /// The attempt it belongs to.
    pub attempt: Attempt,
    /// The channel of data, the group of control; 0 elsewhere.
    pub channel: ChannelId,
    /// How many records came before on the channel.
    pub sequence: u64,
    /// How many records the body holds.
    pub records: u32,
}

impl FrameHeader {
    /// A header for a frame that is of no channel.
    pub fn plain(kind: FrameKind, attempt: Attempt) -> Self {
        Self {
            kind,
            attempt,
            channel: ChannelId(0),
            sequence: 0,
            records: 0,
        }
    }

    /// The header's bytes for a body of `length` bytes.
    pub fn encode(&self, length: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = self.kind.code();
        bytes[8..12].copy_from_slice(&self.attempt.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.channel.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Completes a frame whose body was written into `frame` behind [`HEADER_BYTES`] bytes of room.
    ///
    /// # Errors
    /// If the body is longer than a header can say.
    pub fn seal(&self, frame: &mut [u8]) -> Result<(), FrameError> {
        let length = frame.len().saturating_sub(HEADER_BYTES);
        let length = u32::try_from(length).map_err(|_| FrameError::TooLong {
            kind: self.kind,
            length: u64::try_from(length).unwrap_or(u64::MAX),
            limit: u64::from(u32::MAX),
        })?;
        frame[..HEADER_BYTES].copy_from_slice(&self.encode(length));
        Ok(())
    }

    /// A whole frame.
    ///
    /// # Errors
    /// If the body is longer than a header can say.
    pub fn frame(&self, body: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        frame.resize(HEADER_BYTES, 0);
        frame.extend_from_slice(body);
        self.seal(&mut frame)?;
        Ok(frame)
    }
}

/// A received frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its header.
    pub header: FrameHeader,
    /// Its body, a slice of the slab it was received into.
    pub body: Bytes,
}

/// What is wrong with received bytes. The connection is closed: there is no way to find the next frame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The header's checksum does not match.
    #[error(
        "a frame header has checksum {found:#010x} where its bytes give {computed:#010x}; the stream is corrupt"
    )]
    Checksum {
        /// What it says.
        found: u32,
        /// What it should say.
        computed: u32,
    },
    /// There is no such kind of frame.
    #[error("a frame has the unknown kind {kind}; do both workers run the same version?")]
    UnknownKind {
        /// Its code.
        kind: u8,
    },
    /// Bits are set that mean nothing.
    #[error("a frame header has reserved bits set; do both workers run the same version?")]
    Reserved,
    /// The body is longer than allowed.
    #[error("a {kind:?} frame claims a body of {length} bytes, more than the limit, {limit}")]
    TooLong {
        /// The kind of frame.
        kind: FrameKind,
        /// What it claims.
        length: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The body does not have the form that its kind asks for.
    #[error("the body of a {kind:?} frame is malformed: {reason}")]
    Body {
        /// The kind of frame.
        kind: FrameKind,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Cuts received bytes into frames, however they arrive.
#[derive(Debug)]
pub struct FrameDecoder {
    max_data_body: usize,
    /// The header of a frame whose body has not all come.
    pending: Option<(FrameHeader, usize)>,
}

impl FrameDecoder {
    /// A decoder that refuses data bodies longer than `max_data_body` before a byte is set aside for them.
    pub fn new(max_data_body: usize) -> Self {
        Self {
            max_data_body,
            pending: None,
        }
    }

    /// Takes the next whole frame off the front of `received`, or `None` if more bytes are needed.
    pub fn next(&mut self, received: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let (header, length) = match self.pending {
            Some(pending) => pending,
            None => {
                let Some(bytes) = received.first_chunk::<HEADER_BYTES>() else {
                    return Ok(None);
                };
                let parsed = self.header(bytes)?;
                received.advance(HEADER_BYTES);
                self.pending = Some(parsed);
                parsed
            }
        };
        if received.len() < length {
            return Ok(None);
        }
        self.pending = None;
        let body = received.split_to(length).freeze();
        Ok(Some(Frame { header, body }))
    }

    /// How many more bytes the frame that has begun to arrive needs beyond `received`.
    pub fn missing(&self, received: usize) -> usize {
        let (_, length) = self
            .pending
            .unwrap_or((FrameHeader::plain(FrameKind::Close, Attempt(0)), HEADER_BYTES));
        length.saturating_sub(received)
    }

    fn header(&self, bytes: &[u8; HEADER_BYTES]) -> Result<(FrameHeader, usize), FrameError> {
        let mut fields = &bytes[..];
        let length = fields.get_u32_le();
        let kind = fields.get_u8();
        let reserved = u32::from(fields.get_u8()) | u32::from(fields.get_u16_le());
        let attempt = Attempt(fields.get_u32_le());
        let records = fields.get_u32_le();
        let channel = ChannelId(fields.get_u64_le());
        let sequence = fields.get_u64_le();
        let found = fields.get_u32_le();
        let computed = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        if found != computed {
            return Err(FrameError::Checksum { found, computed });
        }
        let kind = FrameKind::from_code(kind).ok_or(FrameError::UnknownKind { kind })?;
        if reserved != 0 {
            return Err(FrameError::Reserved);
        }
        let limit = match kind {
            FrameKind::Data => self.max_data_body,
            _ => MAX_CONTROL_BODY,
        };
        let length = length as usize;
        if length > limit {
            return Err(FrameError::TooLong {
                kind,
                length: length as u64,
                limit: limit as u64,
            });
        }
        let header = FrameHeader {
            kind,
            attempt,
            channel,
            sequence,
            records,
        };
        Ok((header, length))
    }
}

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
/// The longest body of a frame before both ends know each other.
const MAX_HANDSHAKE_BODY: usize = 4 * 1024;

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
    /// Asks whoever connects to prove the cluster secret.
    Challenge,
    /// Proves it.
    Proof,
}

impl FrameKind {
    const ALL: [Self; 9] = [
        Self::Handshake,
        Self::Refusal,
        Self::Data,
        Self::Group,
        Self::Control,
        Self::Grants,
        Self::Close,
        Self::Challenge,
        Self::Proof,
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
    max_control_body: usize,
    /// The header of a frame whose body has not all come.
    pending: Option<(FrameHeader, usize)>,
}

impl FrameDecoder {
    /// A decoder that refuses data bodies longer than `max_data_body` before a byte is set aside for them.
    pub fn new(max_data_body: usize) -> Self {
        Self {
            max_data_body,
            max_control_body: MAX_CONTROL_BODY,
            pending: None,
        }
    }

    /// A decoder for what opens a connection: nothing there is long, and nothing is data.
    pub(crate) fn of_handshakes() -> Self {
        Self {
            max_data_body: 0,
            max_control_body: MAX_HANDSHAKE_BODY,
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
            _ => self.max_control_body,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_DATA: usize = 4096;

    fn header() -> impl Strategy<Value = FrameHeader> {
        (0..FrameKind::ALL.len(), any::<(u32, u64, u64, u32)>()).prop_map(
            |(kind, (attempt, channel, sequence, records))| FrameHeader {
                kind: FrameKind::ALL[kind],
                attempt: Attempt(attempt),
                channel: ChannelId(channel),
                sequence,
                records,
            },
        )
    }

    fn frames() -> impl Strategy<Value = Vec<(FrameHeader, Vec<u8>)>> {
        proptest::collection::vec((header(), proptest::collection::vec(any::<u8>(), 0..200)), 0..8)
    }

    fn drain(decoder: &mut FrameDecoder, received: &mut BytesMut) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next(received)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn a_long_body_is_refused_by_its_header_alone() {
        for (kind, length, limit) in [
            (FrameKind::Data, MAX_DATA + 1, MAX_DATA),
            (FrameKind::Control, MAX_CONTROL_BODY + 1, MAX_CONTROL_BODY),
            (FrameKind::Data, u32::MAX as usize, MAX_DATA),
        ] {
            let bytes = FrameHeader::plain(kind, Attempt(1)).encode(length as u32);
            let error = FrameDecoder::new(MAX_DATA).next(&mut BytesMut::from(&bytes[..]));
            assert_eq!(
                error,
                Err(FrameError::TooLong {
                    kind,
                    length: length as u64,
                    limit: limit as u64
                })
            );
        }
    }

    #[test]
    fn reserved_bits_and_unknown_kinds_are_refused() {
        for (place, error) in [
            (4, FrameError::UnknownKind { kind: 0xee }),
            (5, FrameError::Reserved),
            (7, FrameError::Reserved),
        ] {
            let mut bytes = FrameHeader::plain(FrameKind::Data, Attempt(1)).encode(0);
            bytes[place] = 0xee;
            let checksum = crc32c::crc32c(&bytes[..32]);
            bytes[32..].copy_from_slice(&checksum.to_le_bytes());
            let found = FrameDecoder::new(MAX_DATA).next(&mut BytesMut::from(&bytes[..]));
            assert_eq!(found, Err(error));
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in frames(),
            cuts in proptest::collection::vec(1usize..100, 1..50),
        ) {
            let mut bytes = Vec::new();
            for (header, body) in &frames {
                bytes.extend(header.frame(body).unwrap());
            }
            let (mut decoder, mut received) = (FrameDecoder::new(MAX_DATA), BytesMut::new());
            let (mut decoded, mut rest, mut cuts) = (Vec::new(), &bytes[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                received.extend_from_slice(now);
                rest = later;
                decoded.extend(drain(&mut decoder, &mut received).unwrap());
            }
            prop_assert_eq!(decoded.len(), frames.len());
            for (frame, (header, body)) in decoded.iter().zip(&frames) {
                prop_assert_eq!(&frame.header, header);
                prop_assert_eq!(&frame.body[..], &body[..]);
            }
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = drain(&mut FrameDecoder::new(MAX_DATA), &mut BytesMut::from(&noise[..]));
        }

        #[test]
        fn a_flipped_bit_in_a_header_is_noticed(header in header(), bit in 0..HEADER_BYTES * 8) {
            let mut bytes = header.encode(0);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = FrameDecoder::new(MAX_DATA).next(&mut BytesMut::from(&bytes[..]));
            let is_checksum = matches!(error, Err(FrameError::Checksum { .. }));
            prop_assert!(is_checksum, "{error:?}");
        }

        #[test]
        fn a_truncated_frame_is_waited_for(header in header(), length in 1usize..100, cut in any::<proptest::sample::Index>()) {
            let bytes = header.frame(&vec![0; length]).unwrap();
            let cut = cut.index(bytes.len());
            let (mut decoder, mut received) = (FrameDecoder::new(MAX_DATA), BytesMut::from(&bytes[..cut]));
            prop_assert_eq!(decoder.next(&mut received), Ok(None));
            prop_assert!(decoder.missing(received.len()) > 0);
        }
    }
}

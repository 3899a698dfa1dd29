//! The bodies of frames that are not data. Pure.

use bytes::Buf;
use tidegate_core::{Barrier, BarrierKind, ChannelId, CheckpointId, Control, EventTime};

use crate::{
    credit::Grant,
    frame::{FrameError, FrameKind},
};

/// The most channels one group may have: the largest parallelism.
pub const MAX_GROUP: usize = 32_768;

/// A control element for all channels of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlBody {
    /// The element.
    pub control: Control,
    /// Channels, by their place in the group, of which data is still unsent, with the number of records that come
    /// before the element there. On all others it follows what has been sent.
    pub follows: Vec<(u32, u64)>,
}

impl ControlBody {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self.control {
            Control::Watermark(time) => {
                out.push(1);
                out.extend_from_slice(&time.0.to_le_bytes());
            }
            Control::Idle => out.push(2),
            Control::Barrier(barrier) => {
                out.push(3);
                out.extend_from_slice(&barrier.checkpoint.0.to_le_bytes());
                out.push(u8::from(barrier.since.is_some()));
                out.extend_from_slice(&barrier.since.unwrap_or_default().0.to_le_bytes());
                out.push(barrier_code(barrier.kind));
            }
            Control::End => out.push(4),
        }
        for (member, position) in &self.follows {
            out.extend_from_slice(&member.to_le_bytes());
            out.extend_from_slice(&position.to_le_bytes());
        }
    }

    /// Reads a body.
    pub fn decode(body: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader {
            kind: FrameKind::Control,
            bytes: body,
        };
        let control = match reader.u8()? {
            1 => Control::Watermark(EventTime(reader.u64()? as i64)),
            2 => Control::Idle,
            3 => {
                let checkpoint = CheckpointId(reader.u64()?);
                let has_since = reader.u8()?;
                let since = CheckpointId(reader.u64()?);
                let since = match has_since {
                    0 => None,
                    1 => Some(since),
                    _ => return Err(reader.malformed("a barrier's flag is neither 0 nor 1")),
                };
                let kind = barrier_kind(reader.u8()?)
                    .ok_or_else(|| reader.malformed("there is no such kind of barrier"))?;
                Control::Barrier(Barrier {
                    checkpoint,
                    since,
                    kind,
                })
            }
            4 => Control::End,
            _ => return Err(reader.malformed("there is no such control element")),
        };
        if reader.bytes.len() > MAX_GROUP * 12 {
            return Err(reader.malformed("it lists more channels than a group may have"));
        }
        let mut follows = Vec::with_capacity(reader.bytes.len() / 12);
        while !reader.bytes.is_empty() {
            follows.push((reader.u32()?, reader.u64()?));
        }
        Ok(Self { control, follows })
    }
}

const BARRIER_KINDS: [BarrierKind; 4] = [
    BarrierKind::Checkpoint,
    BarrierKind::Savepoint,
    BarrierKind::Suspend,
    BarrierKind::SuspendWithSavepoint,
];

fn barrier_code(kind: BarrierKind) -> u8 {
    match kind {
        BarrierKind::Checkpoint => 0,
        BarrierKind::Savepoint => 1,
        BarrierKind::Suspend => 2,
        BarrierKind::SuspendWithSavepoint => 3,
    }
}

fn barrier_kind(code: u8) -> Option<BarrierKind> {
    BARRIER_KINDS.get(usize::from(code)).copied()
}

/// Appends the channels of a group.
pub fn encode_group(channels: &[ChannelId], out: &mut Vec<u8>) {
    for channel in channels {
        out.extend_from_slice(&channel.0.to_le_bytes());
    }
}

/// Reads the channels of a group.
pub fn decode_group(body: &[u8]) -> Result<Vec<ChannelId>, FrameError> {
    let mut reader = Reader {
        kind: FrameKind::Group,
        bytes: body,
    };
    if body.len() > MAX_GROUP * 8 || body.is_empty() {
        return Err(reader.malformed("a group has between one channel and the largest parallelism"));
    }
    let mut channels = Vec::with_capacity(body.len() / 8);
    while !reader.bytes.is_empty() {
        channels.push(ChannelId(reader.u64()?));
    }
    Ok(channels)
}

/// Appends grants.
pub fn encode_grants(grants: &[(ChannelId, Grant)], out: &mut Vec<u8>) {
    for (channel, grant) in grants {
        out.extend_from_slice(&channel.0.to_le_bytes());
        out.extend_from_slice(&grant.limit.to_le_bytes());
        out.extend_from_slice(&grant.window.to_le_bytes());
    }
}

/// Reads grants.
pub fn decode_grants(body: &[u8]) -> Result<Vec<(ChannelId, Grant)>, FrameError> {
    let mut reader = Reader {
        kind: FrameKind::Grants,
        bytes: body,
    };
    let mut grants = Vec::with_capacity(body.len() / 24);
    while !reader.bytes.is_empty() {
        let channel = ChannelId(reader.u64()?);
        let (limit, window) = (reader.u64()?, reader.u64()?);
        grants.push((channel, Grant { limit, window }));
    }
    Ok(grants)
}

/// Reads fixed-width fields, with an error instead of a panic where they are cut off.
pub(crate) struct Reader<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn malformed(&self, reason: &'static str) -> FrameError {
        FrameError::Body {
            kind: self.kind,
            reason,
        }
    }

    fn need(&self, count: usize) -> Result<(), FrameError> {
        if self.bytes.len() < count {
            return Err(self.malformed("it is cut off"));
        }
        Ok(())
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        self.need(1)?;
        Ok(self.bytes.get_u8())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        self.need(2)?;
        Ok(self.bytes.get_u16_le())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        self.need(4)?;
        Ok(self.bytes.get_u32_le())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        self.need(8)?;
        Ok(self.bytes.get_u64_le())
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        self.need(count)?;
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn control() -> impl Strategy<Value = Control> {
        prop_oneof![
            any::<i64>().prop_map(|time| Control::Watermark(EventTime(time))),
            Just(Control::Idle),
            Just(Control::End),
            (any::<u64>(), proptest::option::of(any::<u64>()), 0usize..4).prop_map(|(id, since, kind)| {
                Control::Barrier(Barrier {
                    checkpoint: CheckpointId(id),
                    since: since.map(CheckpointId),
                    kind: BARRIER_KINDS[kind],
                })
            }),
        ]
    }

    #[test]
    fn what_no_sender_writes_is_refused() {
        for body in [&[][..], &[0], &[5], &[1, 2, 3], &[2, 1], &[3; 12]] {
            assert!(ControlBody::decode(body).is_err(), "{body:?}");
        }
        assert!(decode_group(&[]).is_err());
        assert!(decode_group(&[0; 9]).is_err());
        assert!(decode_group(&vec![0; (MAX_GROUP + 1) * 8]).is_err());
        assert!(decode_grants(&[0; 23]).is_err());
    }

    proptest! {
        #[test]
        fn bodies_come_back(
            control in control(),
            follows in proptest::collection::vec(any::<(u32, u64)>(), 0..5),
            channels in proptest::collection::vec(any::<u64>().prop_map(ChannelId), 1..5),
            grants in proptest::collection::vec(any::<(u64, u64, u64)>(), 0..5),
        ) {
            let body = ControlBody { control, follows };
            let mut bytes = Vec::new();
            body.encode(&mut bytes);
            prop_assert_eq!(ControlBody::decode(&bytes), Ok(body));

            bytes.clear();
            encode_group(&channels, &mut bytes);
            prop_assert_eq!(decode_group(&bytes), Ok(channels));

            let grants: Vec<_> = grants
                .into_iter()
                .map(|(channel, limit, window)| (ChannelId(channel), Grant { limit, window }))
                .collect();
            bytes.clear();
            encode_grants(&grants, &mut bytes);
            prop_assert_eq!(decode_grants(&bytes), Ok(grants));
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (ControlBody::decode(&noise), decode_group(&noise), decode_grants(&noise));
        }
    }
}

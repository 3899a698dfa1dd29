//! The bytes of a message, and how gRPC comes by them.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{
    control::{FromWorker, ToWorker},
    generated as wire,
    object::DecodeReason,
    taskmanager::{FromTaskManager, ToTaskManager},
};

/// No message is larger; both sides refuse to send and to take one that is.
pub const MESSAGE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that are not the message they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed {message}: {reason}; both sides must speak the protocol version that they agreed on")]
pub struct MalformedMessage {
    /// The message.
    pub message: &'static str,
    /// What is wrong with it.
    pub reason: DecodeReason,
}

/// A domain type that travels as a generated one.
pub(crate) trait ControlMessage: Sized + Send + 'static {
    type Wire: Message + Default;
    const NAME: &'static str;

    fn to_wire(&self) -> Self::Wire;
    fn from_wire(message: Self::Wire) -> Result<Self, DecodeReason>;

    fn read(bytes: impl bytes::Buf) -> Result<Self, MalformedMessage> {
        Self::Wire::decode(bytes)
            .map_err(|error| DecodeReason::Payload(error.to_string()))
            .and_then(Self::from_wire)
            .map_err(|reason| MalformedMessage {
                message: Self::NAME,
                reason,
            })
    }
}

macro_rules! control_message {
    ($($domain:ty => $wire:ty, $name:literal;)*) => {$(
        impl ControlMessage for $domain {
            type Wire = $wire;
            const NAME: &'static str = $name;

            fn to_wire(&self) -> $wire {
                self.into()
            }

            fn from_wire(message: $wire) -> Result<Self, DecodeReason> {
                Self::try_from(message)
            }
        }

        impl $domain {
            /// The message's bytes.
            pub fn encode(&self) -> Vec<u8> {
                self.to_wire().encode_to_vec()
            }

            /// How many bytes [`encode`](Self::encode) gives.
            pub fn encoded_size(&self) -> usize {
                self.to_wire().encoded_len()
            }

            /// The message of some bytes.
            ///
            /// # Errors
            /// If they are no such message, or a field has a value that it must not have.
            pub fn decode(bytes: &[u8]) -> Result<Self, MalformedMessage> {
                Self::read(bytes)
            }
        }
    )*};
}

control_message! {
    FromWorker => wire::FromWorker, "message of a worker";
    ToWorker => wire::ToWorker, "message of a job manager";
    FromTaskManager => wire::FromTaskManager, "message of a task manager";
    ToTaskManager => wire::ToTaskManager, "message of a job manager to a task manager";
}

/// Encodes `E` and decodes `D`.
pub(crate) struct ControlCodec<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Default for ControlCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E: ControlMessage, D: ControlMessage> Codec for ControlCodec<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = ControlEncoder<E>;
    type Decoder = ControlDecoder<D>;

    fn encoder(&mut self) -> ControlEncoder<E> {
        ControlEncoder(PhantomData)
    }

    fn decoder(&mut self) -> ControlDecoder<D> {
        ControlDecoder(PhantomData)
    }
}

pub(crate) struct ControlEncoder<E>(PhantomData<fn(E)>);

impl<E: ControlMessage> Encoder for ControlEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, bytes: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message
            .to_wire()
            .encode(bytes)
            .map_err(|error| Status::internal(format!("a {} could not be encoded: {error}", E::NAME)))
    }
}

pub(crate) struct ControlDecoder<D>(PhantomData<fn() -> D>);

impl<D: ControlMessage> Decoder for ControlDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        D::read(bytes)
            .map(Some)
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

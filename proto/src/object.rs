//! The envelope around every stored message.
//!
//! ```text
//! magic "TIDE" | kind: 4 bytes | version: u16 | reserved: u16, 0 | payload length: u32 | payload | CRC32C: u32
//! ```
//! Numbers are little-endian. The checksum covers everything before it.

use prost::Message;
use tidegate_core::{control::Manifest, epoch::EpochRecord};

use crate::{
    generated,
    job::JobRecord,
    record::{CommittedRecord, GenerationRecord},
};

const MAGIC: &[u8; 4] = b"TIDE";
const HEADER: usize = 16;
const TRAILER: usize = 4;

/// Why bytes are not the object they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("object {object:?} is not readable as a {kind}: {reason}; restore the object from a copy")]
pub struct DecodeError {
    /// The object.
    pub object: String,
    /// What it should be.
    pub kind: &'static str,
    /// What is wrong with it.
    pub reason: DecodeReason,
}

/// What is wrong with bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeReason {
    /// There are fewer, or more, than the header says.
    #[error("it has {actual} bytes where {expected} are expected")]
    Length {
        /// How many there are.
        actual: u64,
        /// How many there should be, at least the header's.
        expected: u64,
    },
    /// They are something else.
    #[error("it does not start with the magic of its kind")]
    Magic,
    /// They were written by a newer version.
    #[error("it has format version {version} and this build reads up to {supported}; use a newer build")]
    Version {
        /// Their version.
        version: u16,
        /// The newest version that is understood.
        supported: u16,
    },
    /// They have been changed.
    #[error("its checksum is {actual:#010x} where {expected:#010x} is expected")]
    Checksum {
        /// Over the bytes as they are.
        actual: u32,
        /// As written.
        expected: u32,
    },
    /// The payload is not such a message.
    #[error("its payload does not parse: {0}")]
    Payload(String),
    /// A field has a value that it must not have.
    #[error("its field {field} has the value {value:?}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

/// A domain type that is stored as one object.
pub trait StoredObject: Sized {
    /// What people call it.
    const KIND: &'static str;
    /// The bytes after the magic.
    const TAG: [u8; 4];
    /// The version that is written, the newest that is read.
    const VERSION: u16 = 1;

    /// The payload.
    fn to_payload(&self) -> Vec<u8>;
    /// The value of a payload.
    fn from_payload(payload: &[u8]) -> Result<Self, DecodeReason>;
}

/// CRC32C, as references to objects carry it.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The bytes of an object.
pub fn encode<T: StoredObject>(value: &T) -> Vec<u8> {
    let payload = value.to_payload();
    let length = u32::try_from(payload.len()).expect("a stored message is smaller than 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER + payload.len() + TRAILER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&T::TAG);
    bytes.extend_from_slice(&T::VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&payload);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// The value of an object's bytes. `object` is its name, for the error.
pub fn decode<T: StoredObject>(object: &str, bytes: &[u8]) -> Result<T, DecodeError> {
    payload::<T>(bytes)
        .and_then(T::from_payload)
        .map_err(|reason| DecodeError {
            object: object.to_owned(),
            kind: T::KIND,
            reason,
        })
}

/// Checks the envelope: magic, version, length, checksum, in this order.
fn payload<T: StoredObject>(bytes: &[u8]) -> Result<&[u8], DecodeReason> {
    let too_short = DecodeReason::Length {
        actual: bytes.len() as u64,
        expected: (HEADER + TRAILER) as u64,
    };
    let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(too_short)?;
    if header[..4] != *MAGIC || header[4..8] != T::TAG {
        return Err(DecodeReason::Magic);
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version > T::VERSION {
        return Err(DecodeReason::Version {
            version,
            supported: T::VERSION,
        });
    }
    let length = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    let expected = u64::from(length) + (HEADER + TRAILER) as u64;
    let (payload, trailer) = match rest.split_last_chunk::<TRAILER>() {
        Some((payload, trailer)) if bytes.len() as u64 == expected => (payload, trailer),
        _ => {
            return Err(DecodeReason::Length {
                actual: bytes.len() as u64,
                expected,
            });
        }
    };
    let expected = u32::from_le_bytes(*trailer);
    let actual = checksum(&bytes[..bytes.len() - TRAILER]);
    if actual == expected {
        Ok(payload)
    } else {
        Err(DecodeReason::Checksum { actual, expected })
    }
}

macro_rules! stored {
    ($($domain:ty => $wire:ty, $kind:literal, $tag:literal;)*) => {$(
        impl StoredObject for $domain {
            const KIND: &'static str = $kind;
            const TAG: [u8; 4] = *$tag;

            fn to_payload(&self) -> Vec<u8> {
                <$wire>::from(self).encode_to_vec()
            }

            fn from_payload(payload: &[u8]) -> Result<Self, DecodeReason> {
                let message = <$wire>::decode(payload).map_err(|e| DecodeReason::Payload(e.to_string()))?;
                Self::try_from(message)
            }
        }
    )*};
}

stored! {
    Manifest => generated::Manifest, "manifest", b"MANI";
    EpochRecord => generated::EpochRecord, "epoch record", b"EPOC";
    GenerationRecord => generated::GenerationRecord, "generation record", b"GENR";
    CommittedRecord => generated::CommittedRecord, "committed record", b"COMM";
    JobRecord => generated::JobRecord, "job record", b"JOBR";
}

//! Storage messages of Tidegate and their conversions to and from domain types.
//!
//! Generated types stay in here: the doors are [`encode`] and [`decode`], which put a magic, a version, a length and a
//! checksum around a message, and answer truncated, flipped, foreign or newer bytes with a [`DecodeError`] that names the
//! object.

mod convert;
mod object;
mod record;

/// What prost makes of the `.proto` files.
mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/tidegate.v1.rs"));
}

pub use object::{DecodeError, DecodeReason, StoredObject, checksum, decode, encode};
pub use record::{CommittedRecord, GenerationRecord};

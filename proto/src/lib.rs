//! Messages of Tidegate, kept and sent, and their conversions to and from domain types.
//!
//! Generated types stay in here. The doors to what is kept are [`encode`] and [`decode`], which put a magic, a version, a length and a
//! checksum around a message, and answer truncated, flipped, foreign or newer bytes with a [`DecodeError`] that names the
//! object. The door to what workers and a job manager say to each other is [`control`], and to what task managers and a job
//! manager say, [`taskmanager`].

pub mod control;
mod convert;
mod executable;
mod job;
mod object;
mod record;
pub mod taskmanager;

/// What prost makes of the `.proto` files.
mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    include!(concat!(env!("OUT_DIR"), "/tidegate.v1.rs"));
}

pub use executable::{EXECUTABLE_HEADER_BYTES, NotExecutable, executable_target};
pub use job::{JobEnd, JobEndKind, JobRecord};
pub use object::{DecodeError, DecodeReason, StoredObject, checksum, decode, encode};
pub use record::{CommittedRecord, GenerationRecord};

//! An S3 server on loopback: real HTTP, signatures checked, conditional writes atomic, faults on command.

mod buckets;
mod fault;
mod gate;
mod hold;
mod multipart;
mod server;
mod service;

pub use buckets::Buckets;
pub use fault::{Fault, FaultRule, FaultRuleError, FaultScript, Operation};
pub use hold::{Hold, Moment};
pub use server::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY};

//! Real processes of Tidegate on loopback, among stores and networks that misbehave on command.
//!
//! Tests start from here: [`S3Server`](s3::S3Server) is an object store with a script of faults, [`ChaosProxy`] stands
//! between any two and cuts, delays or swallows what they say to each other. Everything ends when it is dropped, also when
//! a test panics.

mod background;
mod proxy;
pub mod s3;

pub use proxy::{ChaosProxy, Direction, Link};

//! Files and checkpoints on S3, over HTTP.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod checkpoints;
mod files;
mod server;

//! A job manager as task managers and workers see it that speak for themselves, and as people reach it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod artifacts;
mod attaching;
mod harness;
mod lives;
mod recovery;
mod savepoints;
mod task_manager;
mod worker;

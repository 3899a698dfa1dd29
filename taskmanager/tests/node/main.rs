//! A task manager under a job manager that speaks for itself, with workers that do what a test says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod describe;
mod job_manager;
mod link;
mod logs;
mod node;
mod program;
mod workers;

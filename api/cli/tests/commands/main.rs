//! The command as people use it, against a job manager that answers from a script.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cluster;
mod jobs;
mod mistakes;
mod script;
mod submission;
mod watching;

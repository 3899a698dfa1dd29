//! The REST interface as its clients and its enemies see it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod attacks;
mod connections;
mod manners;
mod support;

//! A plain sequential program that computes what the job computes, and what the job has written.

#![allow(dead_code, unused_imports, reason = "no test needs all of it")]

mod departure;
mod published;
mod reference;

pub(crate) use departure::{DAY, Departure, HOUR, Input, REST, input, subtract};
pub(crate) use published::Published;
pub(crate) use reference::{Reference, carrier_days, origin_hours, working_days};

//! Sums up how late departures were.

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use crate::records::Departure;

/// How late a number of departures were: their mean and their worst delay, exactly. Integers until the last step, so the
/// result is the same in whatever order records come and however windows are cut.
pub(crate) struct DelaySummary;

/// What [`DelaySummary`] has seen so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DelaysSoFar {
    flights: u64,
    sum_min: i64,
    worst_min: i32,
}

/// What [`DelaySummary`] comes to.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Delays {
    /// How many flights.
    pub(crate) flights: u64,
    /// Their mean delay in minutes.
    pub(crate) mean_min: f64,
    /// Their worst delay in minutes.
    pub(crate) worst_min: i32,
}

impl Aggregator for DelaySummary {
    type In = Departure;
    type Acc = DelaysSoFar;
    type Out = Delays;

    fn lift(&self, departure: &Departure) -> DelaysSoFar {
        DelaysSoFar {
            flights: 1,
            sum_min: i64::from(departure.delay_min),
            worst_min: departure.delay_min,
        }
    }

    fn combine(&self, into: &mut DelaysSoFar, later: DelaysSoFar) {
        into.flights += later.flights;
        into.sum_min += later.sum_min;
        into.worst_min = into.worst_min.max(later.worst_min);
    }

    fn lower(&self, seen: &DelaysSoFar) -> Delays {
        Delays {
            flights: seen.flights,
            mean_min: seen.sum_min as f64 / seen.flights as f64,
            worst_min: seen.worst_min,
        }
    }
}

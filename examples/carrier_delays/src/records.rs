//! What travels through the job.

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

/// A row of the flights' files.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// When it was to depart, RFC 3339.
    pub(crate) scheduled: String,
    /// The carrier's two-letter code.
    pub(crate) carrier: String,
    /// Its number.
    pub(crate) flight: u32,
    /// The aircraft.
    pub(crate) tailnum: Option<String>,
    /// From where.
    pub(crate) origin: String,
    /// To where.
    pub(crate) dest: String,
    /// How far.
    pub(crate) distance_miles: u32,
    /// How late it departed, in minutes; early is negative, cancelled is none.
    pub(crate) dep_delay_min: Option<i64>,
    /// How late it arrived, in minutes.
    pub(crate) arr_delay_min: Option<i64>,
    /// How long it flew, in minutes.
    pub(crate) air_time_min: Option<u32>,
}

/// A row of the airlines' file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Airline {
    /// The carrier's code.
    pub(crate) carrier: String,
    /// What people call it.
    pub(crate) name: String,
}

/// A flight that did depart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Departure {
    /// The carrier's code.
    pub(crate) carrier: String,
    /// Between which airports.
    pub(crate) route: Route,
    /// How late, in minutes.
    pub(crate) delay_min: i64,
}

/// Two airports.
#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Route {
    /// From where.
    pub(crate) origin: String,
    /// To where.
    pub(crate) dest: String,
}

/// How late a number of flights were.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Delays {
    /// How many.
    pub(crate) flights: u64,
    /// On average, in minutes.
    pub(crate) mean_min: f64,
    /// At worst, in minutes.
    pub(crate) worst_min: i64,
}

/// A row of the output per carrier.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct CarrierRow {
    /// The carrier's code.
    pub(crate) carrier: String,
    /// What people call it.
    pub(crate) airline: String,
    /// How many of its flights departed.
    pub(crate) flights: u64,
    /// Their mean delay in minutes.
    pub(crate) mean_delay_min: f64,
    /// Their worst delay in minutes.
    pub(crate) worst_delay_min: i64,
}

/// A row of the output per route.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RouteRow {
    /// From where.
    pub(crate) origin: String,
    /// To where.
    pub(crate) dest: String,
    /// How many flights departed.
    pub(crate) flights: u64,
    /// Their mean delay in minutes.
    pub(crate) mean_delay_min: f64,
    /// Their worst delay in minutes.
    pub(crate) worst_delay_min: i64,
}

/// Sums up delays, exactly: integers until the last step.
pub(crate) struct DelaySummary;

/// What [`DelaySummary`] has seen so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DelaysSoFar {
    flights: u64,
    sum_min: i64,
    worst_min: i64,
}

impl Aggregator for DelaySummary {
    type In = Departure;
    type Acc = DelaysSoFar;
    type Out = Delays;

    fn lift(&self, departure: &Departure) -> DelaysSoFar {
        DelaysSoFar {
            flights: 1,
            sum_min: departure.delay_min,
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

//! What travels through the job.

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use crate::timestamps;

/// A row of the flights' files.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// When it was to depart; the files are in this order.
    #[serde(with = "timestamps")]
    pub(crate) scheduled: EventTime,
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
    pub(crate) dep_delay_min: Option<i32>,
    /// How late it arrived, in minutes.
    pub(crate) arr_delay_min: Option<i32>,
    /// How long it flew, in minutes.
    pub(crate) air_time_min: Option<u32>,
}

impl Flight {
    /// The flight as it departed; `None` if it was cancelled.
    pub(crate) fn departure(self) -> Option<Departure> {
        let delay_min = self.dep_delay_min?;
        Some(Departure {
            departed: EventTime(self.scheduled.0 + i64::from(delay_min) * 60_000),
            delay_min,
            carrier: self.carrier,
            flight: self.flight,
            aircraft: self.tailnum,
            origin: self.origin,
            dest: self.dest,
        })
    }
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Departure {
    /// When it departed.
    #[serde(with = "timestamps")]
    pub(crate) departed: EventTime,
    /// How late, in minutes.
    pub(crate) delay_min: i32,
    /// The carrier's code.
    pub(crate) carrier: String,
    /// Its number.
    pub(crate) flight: u32,
    /// The aircraft's tail number, if it is known.
    pub(crate) aircraft: Option<String>,
    /// From where.
    pub(crate) origin: String,
    /// To where.
    pub(crate) dest: String,
}

/// A departure whose time cannot be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Untimely {
    /// When it is said to have departed, in milliseconds since 1970.
    pub(crate) departed_ms: i64,
    /// The carrier's code.
    pub(crate) carrier: String,
    /// Its number.
    pub(crate) flight: u32,
    /// How late, in minutes.
    pub(crate) delay_min: i32,
    /// What is wrong with it.
    pub(crate) error: String,
}

impl From<DeadLetter<Departure>> for Untimely {
    fn from(letter: DeadLetter<Departure>) -> Self {
        Self {
            departed_ms: letter.record.departed.0,
            carrier: letter.record.carrier,
            flight: letter.record.flight,
            delay_min: letter.record.delay_min,
            error: letter.error,
        }
    }
}

/// How late the flights of an airport departed in an hour.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct OriginHour {
    /// From where.
    pub(crate) origin: String,
    /// The beginning of the hour.
    #[serde(with = "timestamps")]
    pub(crate) hour: EventTime,
    /// How many departed.
    pub(crate) flights: u64,
    /// Their mean delay in minutes.
    pub(crate) mean_delay_min: f64,
    /// Their worst delay in minutes.
    pub(crate) worst_delay_min: i32,
}

/// How late the flights of a carrier departed in the 24 hours from a full hour on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct CarrierDay {
    /// The carrier's code.
    pub(crate) carrier: String,
    /// What people call it.
    pub(crate) airline: String,
    /// The beginning of the day.
    #[serde(with = "timestamps")]
    pub(crate) from: EventTime,
    /// How many departed.
    pub(crate) flights: u64,
    /// Their mean delay in minutes.
    pub(crate) mean_delay_min: f64,
}

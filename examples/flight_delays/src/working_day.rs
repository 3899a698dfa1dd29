//! What an aircraft did between two rests.

use serde::{Deserialize, Serialize};
use tidegate::prelude::*;

use crate::{records::Departure, timestamps};

/// The departures of an aircraft between two rests, in the order of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct WorkingDay {
    /// The aircraft's tail number.
    pub(crate) aircraft: String,
    /// Its first departure.
    #[serde(with = "timestamps")]
    pub(crate) first_departure: EventTime,
    /// Its last departure.
    #[serde(with = "timestamps")]
    pub(crate) last_departure: EventTime,
    /// The worst delay in minutes.
    pub(crate) worst_delay_min: i32,
    /// All of them.
    pub(crate) legs: Vec<Leg>,
}

/// One departure of a working day.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Leg {
    /// When it departed.
    #[serde(with = "timestamps")]
    pub(crate) departed: EventTime,
    /// The carrier's code.
    pub(crate) carrier: String,
    /// The flight's number.
    pub(crate) flight: u32,
    /// From where.
    pub(crate) origin: String,
    /// To where.
    pub(crate) dest: String,
    /// How late, in minutes.
    pub(crate) delay_min: i32,
}

impl From<&Departure> for Leg {
    fn from(departure: &Departure) -> Self {
        Self {
            departed: departure.departed,
            carrier: departure.carrier.clone(),
            flight: departure.flight,
            origin: departure.origin.clone(),
            dest: departure.dest.clone(),
            delay_min: departure.delay_min,
        }
    }
}

/// Makes working days of sessions.
pub(crate) struct WorkingDays;

impl ProcessWindowFunction for WorkingDays {
    type Key = String;
    type In = Departure;
    type Out = WorkingDay;

    fn process(
        &self,
        departures: WindowElements<'_, Departure>,
        context: &mut WindowContext<'_, String, WorkingDay>,
    ) -> Result<(), BoxError> {
        // They come in any order.
        let mut legs: Vec<Leg> = departures.iter().map(Leg::from).collect();
        legs.sort_unstable();
        let (Some(first), Some(last)) = (legs.first(), legs.last()) else {
            return Ok(());
        };
        context.emit(WorkingDay {
            aircraft: context.key().clone(),
            first_departure: first.departed,
            last_departure: last.departed,
            worst_delay_min: legs.iter().map(|leg| leg.delay_min).max().unwrap_or_default(),
            legs,
        });
        Ok(())
    }
}

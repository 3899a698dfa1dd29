//! Gives carriers their names, as soon as those are known.

use tidegate::prelude::*;

use crate::records::{Airline, CarrierRow, Delays};

/// Joins the delays of each carrier with the name of its airline from the broadcast stream. What comes before its
/// airline is known waits in state; what is of an airline that never becomes known waits for ever.
pub(crate) struct AirlineNames {
    waiting: ListState<Delays>,
}

impl AirlineNames {
    /// Declares the state.
    ///
    /// # Errors
    /// If another state has its name.
    pub(crate) fn new(states: &mut StateRegistry<String>) -> Result<Self, RegistryError> {
        Ok(Self {
            waiting: states.list("waiting", StateOptions::default())?,
        })
    }
}

fn row(carrier: &str, airline: &str, delays: Delays) -> CarrierRow {
    CarrierRow {
        carrier: carrier.to_owned(),
        airline: airline.to_owned(),
        flights: delays.flights,
        mean_delay_min: delays.mean_min,
        worst_delay_min: delays.worst_min,
    }
}

impl BroadcastFunction for AirlineNames {
    type Key = String;
    type In = Keyed<String, Delays>;
    type Broadcast = Airline;
    type StateKey = String;
    type StateValue = String;
    type Out = CarrierRow;

    fn on_record(
        &self,
        delays: Keyed<String, Delays>,
        airlines: &BroadcastState<String, String>,
        context: &mut ProcessContext<'_, String, CarrierRow>,
    ) -> Result<(), BoxError> {
        match airlines.get(&delays.key) {
            Some(airline) => context.emit(row(&delays.key, airline, delays.value)),
            None => self.waiting.push(context, delays.value),
        }
        Ok(())
    }

    fn on_broadcast(
        &self,
        airline: Airline,
        airlines: &mut BroadcastState<String, String>,
        context: &mut BroadcastContext<'_, String, CarrierRow>,
    ) -> Result<(), BoxError> {
        context.with_key(&airline.carrier, |context| {
            for delays in self.waiting.take(context) {
                context.emit(row(&airline.carrier, &airline.name, delays));
            }
            Ok(())
        })?;
        airlines.insert(airline.carrier, airline.name);
        Ok(())
    }
}

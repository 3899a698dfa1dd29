//! Gives carriers their names, as soon as those are known.

use tidegate::prelude::*;

use crate::{
    delays::Delays,
    records::{Airline, CarrierDay},
};

/// The delays of a carrier in a window.
pub(crate) type CarrierWindow = Windowed<String, Delays>;

/// Joins the results of each carrier with the name of its airline from the broadcast stream. What comes before its
/// airline is known waits in state; what is of an airline that never becomes known waits for ever.
pub(crate) struct AirlineNames {
    waiting: ListState<CarrierWindow>,
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

fn named(day: CarrierWindow, airline: &str) -> CarrierDay {
    CarrierDay {
        carrier: day.key,
        airline: airline.to_owned(),
        from: day.window.start,
        flights: day.value.flights,
        mean_delay_min: day.value.mean_min,
    }
}

impl BroadcastFunction for AirlineNames {
    type Key = String;
    type In = CarrierWindow;
    type Broadcast = Airline;
    type StateKey = String;
    type StateValue = String;
    type Out = CarrierDay;

    fn on_record(
        &self,
        day: CarrierWindow,
        airlines: &BroadcastState<String, String>,
        context: &mut ProcessContext<'_, String, CarrierDay>,
    ) -> Result<(), BoxError> {
        match airlines.get(&day.key) {
            Some(airline) => context.emit(named(day, airline)),
            None => self.waiting.push(context, day),
        }
        Ok(())
    }

    fn on_broadcast(
        &self,
        airline: Airline,
        airlines: &mut BroadcastState<String, String>,
        context: &mut BroadcastContext<'_, String, CarrierDay>,
    ) -> Result<(), BoxError> {
        context.with_key(&airline.carrier, |context| {
            for day in self.waiting.take(context) {
                context.emit(named(day, &airline.name));
            }
            Ok(())
        })?;
        airlines.insert(airline.carrier, airline.name);
        Ok(())
    }
}

//! How late do the airlines of New York City depart? Per carrier and per route: how many flights, their mean and their
//! worst delay, over every flight of 2013.
//!
//! Airline names come in a broadcast stream of their own, and results wait in state until their airline is known.
//! Cancelled flights and malformed rows go to outputs of their own. Every output is there exactly once, however often the
//! job is killed and started again:
//!
//! ```text
//! cargo run -p carrier_delays -- --flights 'examples/data/flights*.csv*' --airlines examples/data/airlines.csv --output delays
//! ```

mod late_start;
mod names;
mod records;

use std::{path::PathBuf, time::Duration};

use tidegate::prelude::*;

use late_start::LateStart;
use names::AirlineNames;
use records::{Airline, DelaySummary, Departure, Flight, Route, RouteRow};

/// Delays of departures per carrier and per route.
#[derive(clap::Args)]
struct Args {
    /// The flights' files, as a glob.
    #[arg(long, default_value = "examples/data/flights*.csv*", value_name = "GLOB")]
    flights: PathBuf,
    /// The file of the airlines' names.
    #[arg(long, default_value = "examples/data/airlines.csv", value_name = "FILE")]
    airlines: PathBuf,
    /// Where to write: a directory for each output is made in it.
    #[arg(long, default_value = "carrier-delays", value_name = "DIRECTORY")]
    output: PathBuf,
    /// Read no more than so many flights a second.
    #[arg(long, value_name = "RECORDS")]
    throttle: Option<u64>,
    /// Read the airlines only so long after each start: results wait for their names.
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    airlines_after_ms: u64,
}

fn main() -> tidegate::Result<()> {
    tidegate::main("carrier-delays", |env, args: Args| {
        build(env, &args);
        Ok(())
    })
}

fn build(env: &Env, args: &Args) {
    let flights = FileSource::csv::<Flight>(&args.flights).on_malformed(OnMalformed::DeadLetter);
    let flights = match args.throttle {
        Some(per_second) => env.source("flights", Throttle::new(flights, per_second)),
        None => env.source("flights", flights),
    };
    let airlines = LateStart {
        source: FileSource::csv::<Airline>(&args.airlines).on_malformed(OnMalformed::DeadLetter),
        delay: Duration::from_millis(args.airlines_after_ms),
    };
    let airlines: Stream<Airline> = env.source("airlines", airlines);

    let malformed = flights
        .side_output(MALFORMED_ROWS)
        .union(airlines.side_output(MALFORMED_ROWS));
    malformed.sink(
        "malformed-rows",
        FileSink::json_lines(args.output.join("malformed")),
    );

    let (departed, cancelled) = flights.split(|flight: &Flight| flight.dep_delay_min.is_some());
    cancelled.sink("cancelled-flights", FileSink::csv(args.output.join("cancelled")));

    let departures = departed.filter_map(departure).name("departures");
    departures
        .clone()
        .key_by_ref(|departure| departure.carrier.as_str())
        .aggregate("delays-per-carrier", DelaySummary, Emit::AtEnd)
        .key_by_ref(|delays| delays.key.as_str())
        .connect_broadcast(airlines.broadcast())
        .process("airline-names", AirlineNames::new)
        .sink("carriers", FileSink::csv(args.output.join("carriers")));

    departures
        .key_by_ref(|departure| &departure.route)
        .aggregate("delays-per-route", DelaySummary, Emit::AtEnd)
        .map(|delays| RouteRow {
            origin: delays.key.origin,
            dest: delays.key.dest,
            flights: delays.value.flights,
            mean_delay_min: delays.value.mean_min,
            worst_delay_min: delays.value.worst_min,
        })
        .name("route-rows")
        .sink("routes", FileSink::csv(args.output.join("routes")));
}

fn departure(flight: Flight) -> Option<Departure> {
    Some(Departure {
        delay_min: flight.dep_delay_min?,
        carrier: flight.carrier,
        route: Route {
            origin: flight.origin,
            dest: flight.dest,
        },
    })
}

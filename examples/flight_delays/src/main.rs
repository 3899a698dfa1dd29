//! When do flights from New York City depart late? By when they *really* departed, over every flight of 2013:
//!
//! - per airport and hour: how many departed, their mean and their worst delay;
//! - per airline: the mean over a day, every hour anew;
//! - per aircraft: its working days, departure by departure.
//!
//! The files are in the order in which flights were *scheduled*. So the order in which they departed is another one, by up
//! to a day, and the job waits that long before it takes an hour for complete. With a smaller `--out-of-orderness` results
//! come earlier, and what is too late for them goes to an output of its own, as do malformed rows and times that cannot be.
//! Every output is there exactly once, however often the job is killed and started again:
//!
//! ```text
//! cargo run -p flight_delays -- --flights 'examples/data/flights*.csv*' --airlines examples/data/airlines.csv --output delays
//! ```

mod delays;
mod names;
mod records;
mod timestamps;
mod working_day;

use std::{path::PathBuf, time::Duration};

use tidegate::prelude::*;

use delays::DelaySummary;
use names::AirlineNames;
use records::{Airline, Departure, Flight, OriginHour, Untimely};
use working_day::WorkingDays;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An aircraft that has not departed for so long has ended its working day: it comes back for its next departure in less,
/// and rests at night for more.
const REST: Duration = Duration::from_secs(10 * 60 * 60);

/// How far ahead of this machine's clock a departure may be. One further away would end all windows before it.
const MAX_AHEAD: Duration = DAY;

/// Delays of departures per airport and hour, per airline and day, and per aircraft.
#[derive(clap::Args)]
struct Args {
    /// The flights' files, as a glob.
    #[arg(long, default_value = "examples/data/flights*.csv*", value_name = "GLOB")]
    flights: PathBuf,
    /// The file of the airlines' names.
    #[arg(long, default_value = "examples/data/airlines.csv", value_name = "FILE")]
    airlines: PathBuf,
    /// Where to write: a directory for each output is made in it.
    #[arg(long, default_value = "flight-delays", value_name = "DIRECTORY")]
    output: PathBuf,
    /// How far behind the latest departure another may come and still be waited for.
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = humantime::parse_duration)]
    out_of_orderness: Duration,
    /// For how long after a result what comes too late for it still corrects it.
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lateness: Duration,
    /// Read no more than so many flights a second.
    #[arg(long, value_name = "RECORDS")]
    throttle: Option<u64>,
}

fn main() -> tidegate::Result<()> {
    tidegate::main("flight-delays", |env, args: Args| {
        build(env, &args);
        Ok(())
    })
}

fn build(env: &Env, args: &Args) {
    let (departures, airlines) = read(env, args);

    let (hours, late) = departures
        .clone()
        .key_by_ref(|departure| departure.origin.as_str())
        .window(Tumbling::of(HOUR).allowed_lateness(args.lateness))
        .aggregate("delays-per-origin-and-hour", DelaySummary)
        .with_late_output::<Departure>();
    hours
        .map(|hour| OriginHour {
            origin: hour.key,
            hour: hour.window.start,
            flights: hour.value.flights,
            mean_delay_min: hour.value.mean_min,
            worst_delay_min: hour.value.worst_min,
        })
        .name("origin-hour-rows")
        .sink("origin-hours", FileSink::csv(args.output.join("origin-hours")));
    sink_late(late, "origin-hours", args);

    let (days, late) = departures
        .clone()
        .key_by_ref(|departure| departure.carrier.as_str())
        .window(Sliding::of(DAY, HOUR).allowed_lateness(args.lateness))
        .aggregate("delays-per-carrier-and-day", DelaySummary)
        .with_late_output::<Departure>();
    days.key_by_ref(|day| day.key.as_str())
        .connect_broadcast(airlines.broadcast())
        .process("airline-names", AirlineNames::new)
        .sink("carrier-days", FileSink::csv(args.output.join("carrier-days")));
    sink_late(late, "carrier-days", args);

    let (working_days, late) = departures
        .filter(|departure| departure.aircraft.is_some())
        .key_by(|departure| departure.aircraft.clone().unwrap_or_default())
        .window(Session::with_gap(REST).allowed_lateness(args.lateness))
        .process("working-days-per-aircraft", WorkingDays)
        .with_late_output::<Departure>();
    working_days.sink(
        "working-days",
        FileSink::json_lines(args.output.join("working-days")),
    );
    sink_late(late, "working-days", args);
}

/// Reads both files; what is no record, or has a time that cannot be, goes to outputs of its own.
fn read(env: &Env, args: &Args) -> (Stream<Departure>, Stream<Airline>) {
    let flights = FileSource::csv::<Flight>(&args.flights).on_malformed(OnMalformed::DeadLetter);
    let flights = match args.throttle {
        Some(per_second) => env.source("flights", Throttle::new(flights, per_second)),
        None => env.source("flights", flights),
    };
    let airlines = FileSource::csv::<Airline>(&args.airlines).on_malformed(OnMalformed::DeadLetter);
    let airlines: Stream<Airline> = env.source("airlines", airlines);
    flights
        .side_output(MALFORMED_ROWS)
        .union(airlines.side_output(MALFORMED_ROWS))
        .sink(
            "malformed-rows",
            FileSink::json_lines(args.output.join("malformed")),
        );

    let by_departure = WatermarkStrategy::bounded_out_of_orderness(args.out_of_orderness)
        .event_time(|departure: &Departure| departure.departed)
        .max_ahead(MAX_AHEAD);
    let (departures, untimely) = flights
        .filter_map(Flight::departure)
        .name("departures")
        .watermarks_with_dead_letters(by_departure);
    untimely
        .map(Untimely::from)
        .name("untimely-rows")
        .sink("untimely", FileSink::json_lines(args.output.join("untimely")));
    (departures, airlines)
}

/// What came too late for the windows of an output.
fn sink_late(late: Stream<Departure>, output: &str, args: &Args) {
    late.sink(
        &format!("late-{output}"),
        FileSink::csv(args.output.join(format!("late-{output}"))),
    );
}

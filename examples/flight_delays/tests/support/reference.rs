//! Windows, computed by looking at all departures.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_example_tests::{MalformedLine, airlines};

use super::departure::{DAY, Departure, HOUR, Input, REST};

/// What the job puts out if nothing is late.
pub(crate) struct Reference {
    pub(crate) origin_hours: BTreeMap<(String, i64), Delays>,
    pub(crate) carrier_days: BTreeMap<(String, i64), Delays>,
    /// Sorted.
    pub(crate) working_days: Vec<Vec<Departure>>,
    pub(crate) malformed: Vec<MalformedLine>,
}

impl Reference {
    /// Computes everything.
    pub(crate) fn of(input: Input) -> Self {
        let departures = input.departures();
        let names = airlines();
        let mut carrier_days = carrier_days(&departures, |_, _| true);
        // A carrier whose name nobody knows waits for it, and is not in the output.
        carrier_days.retain(|(carrier, _), _| names.contains_key(carrier));
        Self {
            origin_hours: origin_hours(&departures),
            carrier_days,
            working_days: working_days(departures),
            malformed: input.malformed,
        }
    }
}

/// Flights, their sum of delays and their worst delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Delays {
    pub(crate) flights: u64,
    pub(crate) sum: i64,
    pub(crate) worst: Option<i32>,
}

impl Delays {
    fn add(&mut self, departure: &Departure) {
        self.flights += 1;
        self.sum += i64::from(departure.delay_min);
        self.worst = self.worst.max(Some(departure.delay_min));
    }

    /// The bits of the mean.
    pub(crate) fn mean(&self) -> u64 {
        (self.sum as f64 / self.flights as f64).to_bits()
    }
}

/// Per airport and hour.
pub(crate) fn origin_hours(departures: &[Departure]) -> BTreeMap<(String, i64), Delays> {
    let mut hours: BTreeMap<(String, i64), Delays> = BTreeMap::new();
    for departure in departures {
        let hour = departure.departed.div_euclid(HOUR) * HOUR;
        hours
            .entry((departure.origin.clone(), hour))
            .or_default()
            .add(departure);
    }
    hours
}

/// Per carrier and day that begins at a full hour; `counts` says of which windows, by their ends, a departure is, which is
/// given by its index.
pub(crate) fn carrier_days(
    departures: &[Departure],
    counts: impl Fn(usize, i64) -> bool,
) -> BTreeMap<(String, i64), Delays> {
    let mut hours: BTreeMap<&str, BTreeMap<i64, Vec<usize>>> = BTreeMap::new();
    for (index, departure) in departures.iter().enumerate() {
        let hour = departure.departed.div_euclid(HOUR) * HOUR;
        let of_carrier = hours.entry(&departure.carrier).or_default();
        of_carrier.entry(hour).or_default().push(index);
    }
    let mut days = BTreeMap::new();
    for (carrier, hours) in hours {
        let from_hours = hours
            .keys()
            .flat_map(|hour| (0..24).map(move |back| hour - back * HOUR));
        for from in from_hours.collect::<BTreeSet<_>>() {
            let mut delays = Delays::default();
            for index in hours.range(from..from + DAY).flat_map(|(_, of_hour)| of_hour) {
                if counts(*index, from + DAY) {
                    delays.add(&departures[*index]);
                }
            }
            if delays.flights > 0 {
                days.insert((carrier.to_owned(), from), delays);
            }
        }
    }
    days
}

/// The working days of every aircraft, sorted, each with its departures in the order of time.
pub(crate) fn working_days(mut departures: Vec<Departure>) -> Vec<Vec<Departure>> {
    departures.retain(|departure| !departure.aircraft.is_empty());
    departures.sort_by(|a, b| (&a.aircraft, a).cmp(&(&b.aircraft, b)));
    let mut days: Vec<Vec<Departure>> = departures
        .chunk_by(|a, b| a.aircraft == b.aircraft && b.departed - a.departed <= REST)
        .map(<[Departure]>::to_vec)
        .collect();
    days.sort();
    days
}

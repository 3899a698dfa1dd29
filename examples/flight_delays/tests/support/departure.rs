//! The departures that the job reads, read one row after the other.

use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

use tidegate_example_tests::{FlightRow, MalformedLine, flight_rows};

/// In milliseconds, as all times here.
pub(crate) const HOUR: i64 = 60 * 60 * 1000;
pub(crate) const DAY: i64 = 24 * HOUR;
/// How long an aircraft rests between two working days.
pub(crate) const REST: i64 = 10 * HOUR;

/// A flight that departed, with all that the job tells about it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Departure {
    pub(crate) departed: i64,
    pub(crate) delay_min: i32,
    pub(crate) carrier: String,
    pub(crate) flight: u32,
    pub(crate) aircraft: String,
    pub(crate) origin: String,
    pub(crate) dest: String,
}

/// What the job reads.
pub(crate) struct Input {
    /// In the order of the files, each departure with the latest one before it.
    pub(crate) rows: Vec<(Departure, i64)>,
    pub(crate) malformed: Vec<MalformedLine>,
}

/// Reads everything.
pub(crate) fn input() -> Input {
    let (mut rows, mut malformed) = (Vec::new(), Vec::new());
    let mut latest = i64::MIN;
    for row in flight_rows() {
        match row {
            FlightRow::Flight(fields) if fields[7].is_empty() => {}
            FlightRow::Flight(fields) => {
                let departure = departure(&fields);
                let before = latest;
                latest = latest.max(departure.departed);
                rows.push((departure, before));
            }
            FlightRow::Malformed(file, line, text) => malformed.push((file, line, text)),
        }
    }
    malformed.sort();
    Input { rows, malformed }
}

impl Input {
    /// All departures, in the order of the files.
    pub(crate) fn departures(&self) -> Vec<Departure> {
        self.rows.iter().map(|(departure, _)| departure.clone()).collect()
    }
}

fn departure(fields: &[String]) -> Departure {
    let delay_min = fields[7].parse().unwrap();
    Departure {
        departed: millis(&fields[0]) + i64::from(delay_min) * 60_000,
        delay_min,
        carrier: fields[1].clone(),
        flight: fields[2].parse().unwrap(),
        aircraft: fields[3].clone(),
        origin: fields[4].clone(),
        dest: fields[5].clone(),
    }
}

/// A time in text, in milliseconds.
pub(crate) fn millis(text: &str) -> i64 {
    let time: Duration = humantime::parse_rfc3339(text)
        .unwrap()
        .duration_since(UNIX_EPOCH)
        .unwrap();
    i64::try_from(time.as_millis()).unwrap()
}

/// The departures that are left when `taken` have been taken away.
///
/// # Panics
/// If one of those is not there, or more often than it was there.
#[track_caller]
pub(crate) fn subtract(departures: &[Departure], taken: &[Departure]) -> Vec<Departure> {
    let mut counts: HashMap<&Departure, usize> = HashMap::new();
    for departure in taken {
        *counts.entry(departure).or_default() += 1;
    }
    let mut rest = Vec::new();
    for departure in departures {
        match counts.get_mut(departure) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest.push(departure.clone()),
        }
    }
    let unknown = counts.iter().find(|(_, count)| **count > 0);
    assert_eq!(unknown, None, "never read, or read more rarely");
    rest
}

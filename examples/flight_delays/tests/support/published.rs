//! What the job has written.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use tidegate_example_tests::{MalformedLine, airlines, lines, malformed, rows};

use super::{
    departure::{Departure, millis},
    reference::Reference,
};

/// Flights, the bits of their mean delay, and their worst delay.
pub(crate) type HourDelays = (u64, u64, i32);
/// Flights and the bits of their mean delay.
pub(crate) type DayDelays = (u64, u64);

/// Everything the job puts out, all results of a window in the order of their flights.
pub(crate) struct Published {
    pub(crate) origin_hours: BTreeMap<(String, i64), Vec<HourDelays>>,
    pub(crate) carrier_days: BTreeMap<(String, i64), Vec<DayDelays>>,
    /// Sorted.
    pub(crate) working_days: Vec<Vec<Departure>>,
    pub(crate) late_origin_hours: Vec<Departure>,
    pub(crate) late_carrier_days: Vec<Departure>,
    pub(crate) late_working_days: Vec<Departure>,
    pub(crate) malformed: Vec<MalformedLine>,
}

impl Published {
    /// Reads what is in a directory.
    pub(crate) fn read(output: &Path) -> Self {
        let mut working_days: Vec<_> = lines(&output.join("working-days"), 0)
            .iter()
            .map(|line| working_day(line))
            .collect();
        working_days.sort();
        let names = airlines();
        Self {
            origin_hours: results(rows(&output.join("origin-hours")), |row| {
                let delays = (row[2].parse().unwrap(), bits(&row[3]), row[4].parse().unwrap());
                ((row[0].clone(), millis(&row[1])), delays)
            }),
            carrier_days: results(rows(&output.join("carrier-days")), |row| {
                assert_eq!(Some(&row[1]), names.get(&row[0]), "the airline's name");
                let delays = (row[3].parse().unwrap(), bits(&row[4]));
                ((row[0].clone(), millis(&row[2])), delays)
            }),
            working_days,
            late_origin_hours: departures(&output.join("late-origin-hours")),
            late_carrier_days: departures(&output.join("late-carrier-days")),
            late_working_days: departures(&output.join("late-working-days")),
            malformed: malformed(&output.join("malformed")),
        }
    }

    /// Requires that nothing was late, and that everything is as a sequential program computes it, once.
    #[track_caller]
    pub(crate) fn assert_same(&self, expected: &Reference, what: &str) {
        let late = self.late_origin_hours.len() + self.late_carrier_days.len() + self.late_working_days.len();
        assert_eq!(late, 0, "{what}: late departures");
        assert_eq!(self.malformed, expected.malformed, "{what}: malformed rows");
        let hours = expected.origin_hours.iter().map(|(window, delays)| {
            let delays = (delays.flights, delays.mean(), delays.worst.unwrap());
            (window.clone(), vec![delays])
        });
        assert_equal(
            &self.origin_hours,
            &hours.collect(),
            &format!("{what}: origins and hours"),
        );
        let days = expected
            .carrier_days
            .iter()
            .map(|(window, delays)| (window.clone(), vec![(delays.flights, delays.mean())]));
        assert_equal(
            &self.carrier_days,
            &days.collect(),
            &format!("{what}: carriers and days"),
        );
        let mut days = self.working_days.iter().zip(&expected.working_days);
        let differs = days.find(|(day, expected)| day != expected);
        assert_eq!(differs, None, "{what}: working days");
        assert_eq!(
            self.working_days.len(),
            expected.working_days.len(),
            "{what}: number of working days"
        );
    }
}

/// Compares so that a failure is short.
#[track_caller]
fn assert_equal<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    results: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
    what: &str,
) {
    let differs = results
        .iter()
        .zip(expected)
        .find(|(result, expected)| result != expected);
    assert_eq!(differs, None, "{what}");
    assert_eq!(results.len(), expected.len(), "{what}: number of windows");
}

fn results<K: Ord, V: Ord>(
    rows: Vec<Vec<String>>,
    result: impl Fn(&[String]) -> (K, V),
) -> BTreeMap<K, Vec<V>> {
    let mut results: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (window, value) in rows.iter().map(|row| result(row)) {
        results.entry(window).or_default().push(value);
    }
    results.values_mut().for_each(|values| values.sort());
    results
}

fn bits(number: &str) -> u64 {
    number.parse::<f64>().unwrap().to_bits()
}

fn departures(directory: &Path) -> Vec<Departure> {
    let departure = |row: &Vec<String>| Departure {
        departed: millis(&row[0]),
        delay_min: row[1].parse().unwrap(),
        carrier: row[2].clone(),
        flight: row[3].parse().unwrap(),
        aircraft: row[4].clone(),
        origin: row[5].clone(),
        dest: row[6].clone(),
    };
    rows(directory).iter().map(departure).collect()
}

fn working_day(line: &str) -> Vec<Departure> {
    let day: Value = serde_json::from_str(line).unwrap();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let number = |value: &Value, field: &str| value[field].as_i64().unwrap();
    let leg = |leg: &Value| Departure {
        departed: millis(&text(leg, "departed")),
        delay_min: number(leg, "delay_min").try_into().unwrap(),
        carrier: text(leg, "carrier"),
        flight: number(leg, "flight").try_into().unwrap(),
        aircraft: text(&day, "aircraft"),
        origin: text(leg, "origin"),
        dest: text(leg, "dest"),
    };
    let mut legs: Vec<Departure> = day["legs"].as_array().unwrap().iter().map(leg).collect();
    assert!(legs.is_sorted_by_key(|leg| leg.departed), "{line}");
    assert_eq!(millis(&text(&day, "first_departure")), legs[0].departed, "{line}");
    assert_eq!(
        millis(&text(&day, "last_departure")),
        legs[legs.len() - 1].departed,
        "{line}"
    );
    let worst = legs.iter().map(|leg| i64::from(leg.delay_min)).max();
    assert_eq!(Some(number(&day, "worst_delay_min")), worst, "{line}");
    legs.sort();
    legs
}

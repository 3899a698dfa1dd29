//! With a bound that many flights exceed, which of them are late depends on how tasks interleave. Whatever they decide:
//! every departure is either in the windows or late, never both and never neither, and the last result of a window is what a
//! sequential program computes of those that were not late; also when the process is killed on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::HashMap, path::Path};

use tidegate_example_tests::{Job, airlines, data};

use support::{
    DAY, Departure, HOUR, Input, Published, REST, carrier_days, input, origin_hours, subtract, working_days,
};

/// How far behind the latest departure another is still waited for.
const BOUND: i64 = 2 * HOUR;

/// Runs the job with a bound of two hours, kills it on the way, and holds its output against all rules.
fn check(lateness_hours: i64) {
    let place = tempfile::tempdir().unwrap();
    let job = job(place.path(), lateness_hours);
    let slow = ["--throttle", "60000", "--interval", "100ms"];
    job.kill_after(
        5,
        &[&slow[..], &["--workers", "2", "--parallelism", "1"]].concat(),
    );
    job.succeeds(&["--workers", "1", "--parallelism", "3"]);
    let results = Results {
        input: input(),
        lateness: lateness_hours * HOUR,
        published: Published::read(&job.output()),
    };
    assert_eq!(results.published.malformed, results.input.malformed);
    results.check_origin_hours();
    results.check_carrier_days();
    results.check_working_days();
}

fn job(place: &Path, lateness_hours: i64) -> Job<'_> {
    let flights = data().join("flights*.csv*");
    let airlines = data().join("airlines.csv");
    Job::new(env!("CARGO_BIN_EXE_flight_delays"), place).with(&[
        "--flights",
        &flights.to_string_lossy(),
        "--airlines",
        &airlines.to_string_lossy(),
        "--out-of-orderness",
        "2h",
        "--lateness",
        &format!("{lateness_hours}h"),
    ])
}

struct Results {
    input: Input,
    lateness: i64,
    published: Published,
}

impl Results {
    /// Whether a window could be over when a departure came, so late that it does not change it any more. Watermarks may be
    /// behind what has been read, and never ahead.
    fn may_miss(&self, latest_before: i64, window_end: i64) -> bool {
        latest_before.saturating_sub(BOUND + 1) >= window_end - 1 + self.lateness
    }

    /// Requires that late departures have been read, and that those could be late whose last window `end` gives.
    #[track_caller]
    fn check_late(&self, late: &[Departure], end: impl Fn(&Departure) -> i64) {
        let mut latest_before: HashMap<&Departure, i64> = HashMap::new();
        for (departure, latest) in &self.input.rows {
            let entry = latest_before.entry(departure).or_insert(*latest);
            *entry = *latest.max(entry);
        }
        for departure in late {
            let latest = latest_before.get(departure).expect("what is late has been read");
            assert!(
                self.may_miss(*latest, end(departure)),
                "{departure:?} was in time"
            );
        }
    }

    /// Requires that windows were corrected if there is a lateness, and else that each has one result.
    #[track_caller]
    fn check_updates(&self, results: impl Iterator<Item = usize>) {
        let corrected = results.filter(|results| *results > 1).count();
        assert_eq!(
            corrected > 0,
            self.lateness > 0,
            "{corrected} windows were corrected"
        );
    }

    /// A departure is in one hour: what is not late for it is in its result.
    fn check_origin_hours(&self) {
        let late = &self.published.late_origin_hours;
        assert!(!late.is_empty(), "nothing was late");
        self.check_late(late, |departure| (departure.departed.div_euclid(HOUR) + 1) * HOUR);
        let on_time = subtract(&self.input.departures(), late);
        let expected = origin_hours(&on_time);
        let results = &self.published.origin_hours;
        assert_eq!(results.len(), expected.len(), "number of hours");
        for ((window, results), (expected_window, expected)) in results.iter().zip(&expected) {
            assert_eq!(window, expected_window);
            let expected = (expected.flights, expected.mean(), expected.worst.unwrap());
            assert_eq!(results.last(), Some(&expected), "{window:?}");
        }
        self.check_updates(results.values().map(Vec::len));
    }

    /// A departure is in 24 days, of which it may miss the first ones and is late only when it misses all. So between those
    /// that missed no window and those that could be in it.
    fn check_carrier_days(&self) {
        let late = &self.published.late_carrier_days;
        self.check_late(late, |departure| departure.departed.div_euclid(HOUR) * HOUR + DAY);
        let names = airlines();
        let certain = carrier_days(&self.input.departures(), |index, end| {
            !self.may_miss(self.input.rows[index].1, end)
        });
        let possible = carrier_days(&subtract(&self.input.departures(), late), |_, _| true);
        let results = &self.published.carrier_days;
        let mut exact = 0;
        for (window, possible) in &possible {
            let certain = certain.get(window).copied().unwrap_or_default();
            let result = results.get(window).and_then(|results| results.last());
            if !names.contains_key(&window.0) {
                assert_eq!(result, None, "nobody knows the name of {}", window.0);
            } else if certain == *possible {
                exact += 1;
                assert_eq!(result, Some(&(possible.flights, possible.mean())), "{window:?}");
            } else {
                let flights = result.map_or(0, |(flights, _)| *flights);
                let range = certain.flights..=possible.flights;
                assert!(
                    range.contains(&flights),
                    "{window:?}: {flights} flights, not {range:?}"
                );
            }
        }
        assert!(exact > possible.len() / 10, "only {exact} days are known exactly");
        assert!(results.keys().all(|window| possible.contains_key(window)));
        self.check_updates(results.values().map(Vec::len));
    }

    /// A departure is in one working day or late. A late one may leave a gap, or come when the day it would have joined is
    /// over and begin another; days without any that could be late are as a sequential program computes them.
    fn check_working_days(&self) {
        let late = &self.published.late_working_days;
        // A lateness beside a rest leaves out next to nothing.
        assert!(!late.is_empty() || self.lateness > 0, "nothing was late");
        self.check_late(late, |departure| departure.departed + REST);
        let published = &self.published.working_days;
        let last = last_results(published);
        assert_eq!(published.len() > last.len(), self.lateness > 0, "corrected days");

        let all: Vec<Departure> = self
            .input
            .departures()
            .into_iter()
            .filter(|one| !one.aircraft.is_empty())
            .collect();
        let in_days: Vec<Departure> = last.iter().copied().flatten().cloned().collect();
        let mut left = subtract(&all, &in_days);
        let mut late = late.clone();
        left.sort();
        late.sort();
        assert!(
            left == late,
            "{} departures are in no day, and {} are late",
            left.len(),
            late.len()
        );
        for day in &last {
            assert!(
                day.windows(2)
                    .all(|legs| legs[1].departed - legs[0].departed <= REST),
                "{day:?} is more than one day"
            );
        }

        let mut unsettled: Vec<&Departure> = self
            .input
            .rows
            .iter()
            .filter(|(departure, latest)| self.may_miss(*latest, departure.departed + 1))
            .map(|(departure, _)| departure)
            .collect();
        unsettled.sort();
        let settled: Vec<Vec<Departure>> = working_days(all)
            .into_iter()
            .filter(|day| !day.iter().any(|leg| unsettled.binary_search(&leg).is_ok()))
            .collect();
        assert!(settled.len() > 10_000, "only {} days are settled", settled.len());
        let missing = settled.iter().find(|day| last.binary_search(day).is_err());
        assert_eq!(missing, None, "a day without late departures");
    }
}

/// The working days that no other one has replaced: a corrected day has all departures of the one before, and more.
fn last_results(days: &[Vec<Departure>]) -> Vec<&Vec<Departure>> {
    let mut of_departure: HashMap<&Departure, Vec<&Vec<Departure>>> = HashMap::new();
    for day in days {
        for departure in day {
            of_departure.entry(departure).or_default().push(day);
        }
    }
    let is_replaced = |day: &Vec<Departure>| {
        of_departure[&day[0]]
            .iter()
            .any(|other| other.len() > day.len() && subtract_count(other, day) == other.len() - day.len())
    };
    days.iter().filter(|day| !is_replaced(day)).collect()
}

/// How many of `departures` are not in `taken`, both sorted.
fn subtract_count(departures: &[Departure], taken: &[Departure]) -> usize {
    departures
        .iter()
        .filter(|departure| taken.binary_search(departure).is_err())
        .count()
}

#[test]
fn what_comes_too_late_is_kept_apart() {
    check(0);
}

#[test]
fn what_comes_within_the_lateness_corrects_results() {
    check(6);
}

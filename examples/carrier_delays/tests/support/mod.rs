//! A plain sequential program that computes what the job computes, and what the job has written.

use std::{collections::BTreeMap, path::Path};

use tidegate_example_tests::{FlightRow, MalformedLine, airlines, flight_rows, malformed, rows};

/// Everything the job puts out, in a comparable form.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Results {
    /// Code and name, then flights, mean and worst delay.
    pub(crate) carriers: Vec<(Vec<String>, Delays)>,
    /// Origin and destination, then flights, mean and worst delay.
    pub(crate) routes: Vec<(Vec<String>, Delays)>,
    /// The fields of cancelled flights.
    pub(crate) cancelled: Vec<Vec<String>>,
    /// File, line and text of malformed rows.
    pub(crate) malformed: Vec<MalformedLine>,
}

/// Flights, mean and worst delay; the mean compared bit by bit.
pub(crate) type Delays = (u64, u64, i64);

#[derive(Default)]
struct Sums {
    flights: u64,
    sum: i64,
    worst: Option<i64>,
}

impl Sums {
    fn add(&mut self, delay: i64) {
        self.flights += 1;
        self.sum += delay;
        self.worst = Some(self.worst.map_or(delay, |worst| worst.max(delay)));
    }

    fn delays(&self) -> Delays {
        (
            self.flights,
            (self.sum as f64 / self.flights as f64).to_bits(),
            self.worst.unwrap(),
        )
    }
}

/// Reads the files one after the other, row by row.
pub(crate) fn reference() -> Results {
    let airlines = airlines();
    let mut results = Results::default();
    let mut carriers: BTreeMap<String, Sums> = BTreeMap::new();
    let mut routes: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for row in flight_rows() {
        match row {
            FlightRow::Malformed(file, line, text) => results.malformed.push((file, line, text)),
            FlightRow::Flight(fields) if fields[7].is_empty() => results.cancelled.push(fields),
            FlightRow::Flight(fields) => {
                let delay = fields[7].parse().unwrap();
                carriers.entry(fields[1].clone()).or_default().add(delay);
                routes
                    .entry((fields[4].clone(), fields[5].clone()))
                    .or_default()
                    .add(delay);
            }
        }
    }
    // A carrier whose name nobody knows waits for it, and is not in the output.
    results.carriers = carriers
        .into_iter()
        .filter_map(|(code, sums)| {
            let name = airlines.get(&code)?.clone();
            Some((vec![code, name], sums.delays()))
        })
        .collect();
    results.routes = routes
        .into_iter()
        .map(|((origin, dest), sums)| (vec![origin, dest], sums.delays()))
        .collect();
    results.sorted()
}

/// Reads what the job has published.
pub(crate) fn published(output: &Path) -> Results {
    let results = Results {
        carriers: rows(&output.join("carriers")).into_iter().map(delays).collect(),
        routes: rows(&output.join("routes")).into_iter().map(delays).collect(),
        cancelled: rows(&output.join("cancelled")),
        malformed: malformed(&output.join("malformed")),
    };
    results.sorted()
}

fn delays(fields: Vec<String>) -> (Vec<String>, Delays) {
    let mean: f64 = fields[3].parse().unwrap();
    (
        fields[..2].to_vec(),
        (
            fields[2].parse().unwrap(),
            mean.to_bits(),
            fields[4].parse().unwrap(),
        ),
    )
}

impl Results {
    fn sorted(mut self) -> Self {
        self.carriers.sort();
        self.routes.sort();
        self.cancelled.sort();
        self.malformed.sort();
        self
    }

    /// Compares part by part, so that a failure is short.
    pub(crate) fn assert_same(&self, expected: &Self, what: &str) {
        assert_eq!(self.carriers, expected.carriers, "{what}: carriers");
        assert_eq!(self.malformed, expected.malformed, "{what}: malformed rows");
        assert_eq!(
            self.routes.len(),
            expected.routes.len(),
            "{what}: number of routes"
        );
        assert_eq!(self.routes, expected.routes, "{what}: routes");
        assert_eq!(
            self.cancelled.len(),
            expected.cancelled.len(),
            "{what}: number of cancelled flights"
        );
        assert!(
            self.cancelled == expected.cancelled,
            "{what}: cancelled flights differ"
        );
    }
}

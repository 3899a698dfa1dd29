//! A plain sequential program that computes what the job computes, and what the job has written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// Where the example's data lies.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data")
}

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
    pub(crate) malformed: Vec<(String, u64, String)>,
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
    let airlines: BTreeMap<String, String> = fs::read_to_string(data().join("airlines.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(code, name)| (code.to_owned(), name.to_owned()))
        .collect();
    let mut results = Results::default();
    let mut carriers: BTreeMap<String, Sums> = BTreeMap::new();
    let mut routes: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for name in ["flights.csv.gz", "flights-damaged.csv"] {
        let file = File::open(data().join(name)).unwrap();
        let reader: Box<dyn Read> = if name.ends_with(".gz") {
            Box::new(flate2::read::GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        for (line, row) in (1..).zip(BufReader::new(reader).lines()).skip(1) {
            let row = row.unwrap();
            let fields: Vec<String> = row.split(',').map(str::to_owned).collect();
            if !is_flight(&fields) {
                results.malformed.push((name.to_owned(), line, row));
            } else if fields[7].is_empty() {
                results.cancelled.push(fields);
            } else {
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

fn is_flight(fields: &[String]) -> bool {
    let optional = |text: &str, parses: bool| text.is_empty() || parses;
    fields.len() == 10
        && fields[2].parse::<u32>().is_ok()
        && fields[6].parse::<u32>().is_ok()
        && optional(&fields[7], fields[7].parse::<i64>().is_ok())
        && optional(&fields[8], fields[8].parse::<i64>().is_ok())
        && optional(&fields[9], fields[9].parse::<u32>().is_ok())
}

/// Reads what the job has published.
pub(crate) fn published(output: &Path) -> Results {
    let results = Results {
        carriers: rows(&output.join("carriers")).into_iter().map(delays).collect(),
        routes: rows(&output.join("routes")).into_iter().map(delays).collect(),
        cancelled: rows(&output.join("cancelled")),
        malformed: lines(&output.join("malformed"), 0)
            .iter()
            .map(|line| malformed(line))
            .collect(),
    };
    results.sorted()
}

fn rows(directory: &Path) -> Vec<Vec<String>> {
    let split = |line: &String| line.split(',').map(str::to_owned).collect();
    lines(directory, 1).iter().map(split).collect()
}

/// All lines of all published files but the first `heading` ones of each.
fn lines(directory: &Path, heading: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("part-") {
            let text = fs::read_to_string(entry.path()).unwrap();
            lines.extend(text.lines().skip(heading).map(str::to_owned));
        }
    }
    lines
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

fn malformed(line: &str) -> (String, u64, String) {
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    let file = Path::new(row["file"].as_str().unwrap())
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert!(!row["error"].as_str().unwrap().is_empty());
    (
        file,
        row["line"].as_u64().unwrap(),
        row["text"].as_str().unwrap().to_owned(),
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

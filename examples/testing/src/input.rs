//! What the jobs over flights read, read plainly.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// A row of the flights' files.
pub enum FlightRow {
    /// Its ten fields.
    Flight(Vec<String>),
    /// It is no flight: its file, its line in it from 1, and its text.
    Malformed(String, u64, String),
}

/// Where the examples' data lies.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data")
}

/// The airlines' names by their codes.
///
/// # Panics
/// If they cannot be read.
pub fn airlines() -> BTreeMap<String, String> {
    fs::read_to_string(data().join("airlines.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(code, name)| (code.to_owned(), name.to_owned()))
        .collect()
}

/// All rows of the flights' files, one file after the other.
///
/// # Panics
/// If they cannot be read.
pub fn flight_rows() -> impl Iterator<Item = FlightRow> {
    ["flights.csv.gz", "flights-damaged.csv"]
        .into_iter()
        .flat_map(|name| {
            let file = File::open(data().join(name)).unwrap();
            let reader: Box<dyn Read> = if name.ends_with(".gz") {
                Box::new(flate2::read::GzDecoder::new(file))
            } else {
                Box::new(file)
            };
            let rows = (1..).zip(BufReader::new(reader).lines()).skip(1);
            rows.map(move |(line, row)| flight_row(name, line, row.unwrap()))
        })
}

fn flight_row(file: &str, line: u64, row: String) -> FlightRow {
    let fields: Vec<String> = row.split(',').map(str::to_owned).collect();
    if is_flight(&fields) {
        FlightRow::Flight(fields)
    } else {
        FlightRow::Malformed(file.to_owned(), line, row)
    }
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

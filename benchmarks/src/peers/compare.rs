//! E5b: ours and a peer in turn.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    ours::SUM,
    outcome::{Outcome, Request},
};
use crate::{
    BenchmarkError,
    runner::{Bar, Basis, Comparison, Report, Row},
};

const QUERIES: [&str; 4] = ["q3", "q5", "q7", "q8"];
const PARALLELISMS: [u32; 2] = [1, 2];
const RUNS: usize = 5;
/// Eight seconds of event time, and some gigabytes.
const EVENTS: u64 = 8_000_000;
/// Records of a keyed sum.
const RECORDS: u64 = 10_000_000;

/// Another engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// The program that runs queries on it.
    pub program: PathBuf,
}

/// Runs `queries` on the program `ours` and on a peer; if none are named, those of E5b.
///
/// # Errors
/// If a program cannot be run, fails, or answers something that cannot be read; if both compute something different
/// where they should not.
pub fn compare(ours: &Path, peer: &Peer, queries: &[String]) -> Result<Report, BenchmarkError> {
    let mut report = Report::default();
    let of_e5b = QUERIES.map(str::to_owned);
    let queries = if queries.is_empty() { &of_e5b } else { queries };
    for query in queries {
        for parallelism in PARALLELISMS {
            let request = Request {
                query: query.clone(),
                parallelism,
                events: if query == SUM { RECORDS } else { EVENTS },
            };
            let row = row(ours, peer, &request)?;
            eprintln!(
                "{}",
                Report {
                    rows: vec![row.clone()]
                }
                .table()
            );
            report.rows.push(row);
        }
    }
    Ok(report)
}

fn row(ours: &Path, peer: &Peer, request: &Request) -> Result<Row, BenchmarkError> {
    let mut comparison = Comparison::default();
    let mut results = (0, 0);
    for _ in 0..RUNS {
        let (mut mine, theirs) = (ask(ours, request)?, ask(&peer.program, request)?);
        // Where the peer means something else by the query there is nothing to compare.
        mine.checksum = mine.checksum.filter(|_| theirs.checksum.is_some());
        results = (mine.results, theirs.results);
        let one = Comparison::alternate("E5b", 1, || Ok(mine.sample()), || Ok(theirs.sample()))?;
        comparison.append(one);
    }
    let (id, bar) = match request.query.as_str() {
        SUM => ("E2", Bar::None),
        _ => ("E5b", Bar::AtLeast(0.7)),
    };
    let (cpu, wall) = (comparison.ratio(Basis::Cpu), comparison.ratio(Basis::Wall));
    Ok(Row {
        id,
        what: format!(
            "{} on what was made before, p = {} : {}",
            request.query, request.parallelism, peer.name
        ),
        figure: cpu.median,
        unit: "x",
        bar,
        ratio: Some(cpu.median),
        spread: cpu.spread,
        cpu_seconds: comparison.cpu_seconds(),
        threads: 0,
        note: format!(
            "{:.1} : {:.1} M events / CPU s; {:.1} : {:.1} M events / s, {:.2} x by the wall; {} : {} results",
            comparison.rate(Basis::Cpu).median / 1e6,
            comparison.yardstick_rate(Basis::Cpu).median / 1e6,
            comparison.rate(Basis::Wall).median / 1e6,
            comparison.yardstick_rate(Basis::Wall).median / 1e6,
            wall.median,
            results.0,
            results.1,
        ),
    })
}

/// Has a program run a request.
fn ask(program: &Path, request: &Request) -> Result<Outcome, BenchmarkError> {
    let machine = |cause| BenchmarkError::Machine {
        what: "a program of the comparison did not answer",
        cause,
    };
    let output = Command::new(program)
        .args(request.arguments())
        .output()
        .map_err(machine)?;
    if !output.status.success() {
        let message = format!(
            "{} {}: {}",
            program.display(),
            request.arguments().join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        return Err(machine(io::Error::other(message)));
    }
    serde_json::from_slice(&output.stdout).map_err(|cause| machine(cause.into()))
}

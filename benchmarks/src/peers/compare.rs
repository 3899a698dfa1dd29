//! Ours and a peer in turn.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    ours::{LATENCY, STATE, SUM},
    outcome::{Outcome, Request},
    recovery::RECOVERY,
};
use crate::{
    BenchmarkError,
    runner::{Bar, Basis, Comparison, Report, Row, Summary},
};

/// A query and how it is compared.
struct Plan {
    query: &'static str,
    /// The bar's name.
    id: &'static str,
    bar: Bar,
    parallelisms: &'static [u32],
    runs: usize,
    /// How many events there are, or records.
    events: u64,
}

const fn nexmark(query: &'static str) -> Plan {
    Plan {
        query,
        id: "E5b",
        bar: Bar::AtLeast(0.7),
        parallelisms: &[1, 2],
        runs: 5,
        // Eight seconds of event time, and some gigabytes.
        events: 8_000_000,
    }
}

const fn open_loop(query: &'static str, seconds: u64) -> Plan {
    Plan {
        query,
        id: "peers",
        bar: Bar::None,
        parallelisms: &[2],
        runs: 3,
        events: seconds * 100_000,
    }
}

/// All of them; the first are those that are run unless others are named.
const PLANS: [Plan; 8] = [
    nexmark("q3"),
    nexmark("q5"),
    nexmark("q7"),
    nexmark("q8"),
    Plan {
        query: SUM,
        id: "E2",
        bar: Bar::None,
        parallelisms: &[1, 2],
        runs: 5,
        events: 10_000_000,
    },
    open_loop(LATENCY, 30),
    open_loop(STATE, 45),
    // It is killed long before its end.
    open_loop(RECOVERY, 1_000),
];
const DEFAULT_PLANS: usize = 4;

/// Another engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// The program that runs queries on it.
    pub program: PathBuf,
}

/// Runs `queries` on the program `ours` and on a peer, in turn; if none are named, those of E5b.
///
/// # Errors
/// If there is no such query; if a program cannot be run, fails, or answers something that cannot be read; if both compute
/// something different where they should not.
pub fn compare(ours: &Path, peer: &Peer, queries: &[String]) -> Result<Report, BenchmarkError> {
    let mut report = Report::default();
    for plan in chosen(queries)? {
        for parallelism in plan.parallelisms {
            let request = Request {
                query: plan.query.to_owned(),
                parallelism: *parallelism,
                events: plan.events,
            };
            let rows = rows(ours, peer, plan, &request)?;
            eprintln!("{}", Report { rows: rows.clone() }.table());
            report.rows.extend(rows);
        }
    }
    Ok(report)
}

fn chosen(queries: &[String]) -> Result<Vec<&'static Plan>, BenchmarkError> {
    if queries.is_empty() {
        return Ok(PLANS.iter().take(DEFAULT_PLANS).collect());
    }
    let find = |query: &String| {
        PLANS
            .iter()
            .find(|plan| plan.query == query)
            .ok_or_else(|| BenchmarkError::Unknown {
                name: query.clone(),
                known: PLANS.map(|plan| plan.query).join(", "),
            })
    };
    queries.iter().map(find).collect()
}

/// Runs both in turn. A query that has figures of its own has a row for each, another has one for how fast it was.
fn rows(ours: &Path, peer: &Peer, plan: &Plan, request: &Request) -> Result<Vec<Row>, BenchmarkError> {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        mine.push(ask(ours, request)?);
        theirs.push(ask(&peer.program, request)?);
    }
    let names: BTreeSet<&String> = mine.iter().flat_map(|outcome| outcome.figures.keys()).collect();
    if names.is_empty() {
        return Ok(vec![throughput(peer, plan, request, &mine, &theirs)?]);
    }
    let rows = names
        .into_iter()
        .map(|name| figure(peer, plan, request, name, &mine, &theirs));
    Ok(rows.collect())
}

/// A figure that a query is about, on both sides.
fn figure(
    peer: &Peer,
    plan: &Plan,
    request: &Request,
    name: &str,
    mine: &[Outcome],
    theirs: &[Outcome],
) -> Row {
    let of = |runs: &[Outcome]| Summary::of(runs.iter().filter_map(|run| run.figures.get(name).copied()));
    let cpu = |runs: &[Outcome]| Summary::of(runs.iter().map(|run| run.cpu_seconds)).median;
    let (ours, other) = (of(mine), of(theirs));
    let (what, unit) = name.rsplit_once('_').unwrap_or((name, ""));
    let unit = match unit {
        "ms" => "ms",
        "s" => "s",
        "mb" => "MB",
        _ => "",
    };
    Row {
        id: plan.id,
        what: format!(
            "{}, p = {}, {} : {}",
            plan.query,
            request.parallelism,
            what.replace('_', " "),
            peer.name
        ),
        figure: ours.median,
        unit,
        bar: plan.bar,
        ratio: Some(ours.median / other.median),
        spread: ours.spread,
        cpu_seconds: mine.iter().map(|run| run.cpu_seconds).sum(),
        threads: 0,
        note: format!(
            "{} {:.2} {unit} (spread {:.0} %); {:.1} : {:.1} CPU s",
            peer.name,
            other.median,
            other.spread * 100.0,
            cpu(mine),
            cpu(theirs),
        ),
    }
}

/// How fast both sides were.
fn throughput(
    peer: &Peer,
    plan: &Plan,
    request: &Request,
    mine: &[Outcome],
    theirs: &[Outcome],
) -> Result<Row, BenchmarkError> {
    let mut comparison = Comparison::default();
    let mut results = (0, 0);
    for (mine, theirs) in mine.iter().zip(theirs) {
        let (mut ours, other) = (mine.sample(), theirs.sample());
        // Where the peer means something else by the query there is nothing to compare.
        if theirs.checksum.is_none() {
            ours.checksum = other.checksum;
        }
        results = (mine.results, theirs.results);
        comparison.append(Comparison::alternate(plan.id, 1, || Ok(ours), || Ok(other))?);
    }
    let (cpu, wall) = (comparison.ratio(Basis::Cpu), comparison.ratio(Basis::Wall));
    Ok(Row {
        id: plan.id,
        what: format!(
            "{} on what was made before, p = {} : {}",
            request.query, request.parallelism, peer.name
        ),
        figure: cpu.median,
        unit: "x",
        bar: plan.bar,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that answers what we would, and adds a figure if it is asked for one.
    const SCRIPT: &str = r#"#!/bin/sh
figures='{}'
[ "$1" = latency ] && figures='{"p99_ms":2.5}'
echo "{\"events\":$3,\"results\":1,\"checksum\":null,\"wall_seconds\":1.0,\"cpu_seconds\":2.0,\"figures\":$figures}"
"#;

    #[test]
    fn queries_about_figures_have_a_row_for_each_and_others_one() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("peer");
        std::fs::write(&program, SCRIPT).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let peer = Peer {
            name: "other".to_owned(),
            program: program.clone(),
        };
        let report = compare(&program, &peer, &["q7".to_owned(), LATENCY.to_owned()]).unwrap();
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.what.as_str(), row.figure, row.unit))
            .collect();
        assert_eq!(
            rows,
            [
                ("q7 on what was made before, p = 1 : other", 1.0, "x"),
                ("q7 on what was made before, p = 2 : other", 1.0, "x"),
                ("latency, p = 2, p99 : other", 2.5, "ms"),
            ]
        );
        assert!(matches!(
            compare(&program, &peer, &["q99".to_owned()]),
            Err(BenchmarkError::Unknown { .. })
        ));
    }
}

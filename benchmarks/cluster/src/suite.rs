//! Chooses rows, measures them, writes the report.

use std::{fs, path::PathBuf};

use tidegate_benchmarks::{BenchmarkError, runner::Report};

use crate::rows::ALL;

/// Measures the rows named in `arguments`, or all; prints the table, and writes `bench-cluster.json` into the folder above
/// that of this program.
///
/// # Errors
/// A name that no row has, a cluster that refuses, a job that fails, a report that cannot be written.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), BenchmarkError> {
    let names: Vec<String> = arguments.map(|name| name.to_uppercase()).collect();
    if let Some(name) = names.iter().find(|name| ALL.iter().all(|row| row.id != **name)) {
        let known: Vec<&str> = ALL.iter().map(|row| row.id).collect();
        return Err(BenchmarkError::Unknown {
            name: name.clone(),
            known: known.join(", "),
        });
    }
    let mut report = Report::default();
    for row in ALL {
        if !names.is_empty() && names.iter().all(|name| row.id != name) {
            continue;
        }
        eprintln!("{} …", row.id);
        let before = report.rows.len();
        (row.run)(&mut report)?;
        let rows = report.rows[before..].to_vec();
        eprintln!("{}", Report { rows }.table());
    }
    println!("{}", report.table());
    let path = report_path();
    fs::write(&path, report.json()).map_err(|cause| BenchmarkError::Machine {
        what: "the report cannot be written",
        cause,
    })?;
    eprintln!("written to {}", path.display());
    Ok(())
}

/// In the target directory: this program is in a folder of it.
fn report_path() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.parent().and_then(|profile| profile.parent());
    target
        .map(PathBuf::from)
        .unwrap_or_default()
        .join("bench-cluster.json")
}

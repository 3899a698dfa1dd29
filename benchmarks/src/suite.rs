//! Chooses benchmarks, runs them, writes the report.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    BenchmarkError,
    rows::{ALL, Benchmark},
    runner::Report,
};

/// Runs the benchmarks named in `arguments`, or all; prints the table and writes `bench.json` into the target
/// directory. Arguments that start with a dash belong to cargo and are passed over.
///
/// # Errors
/// A name that no benchmark has, a job that fails, a job that disagrees with its yardstick, a report that cannot be
/// written.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), BenchmarkError> {
    let mut report = Report::default();
    for benchmark in choose(arguments)? {
        eprintln!("{} …", benchmark.id);
        let before = report.rows.len();
        (benchmark.run)(&mut report)?;
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

/// A name stands for the benchmark that has a figure for it.
fn choose(arguments: impl Iterator<Item = String>) -> Result<Vec<&'static Benchmark>, BenchmarkError> {
    let names: Vec<String> = arguments
        .filter(|argument| !argument.starts_with('-'))
        .map(|name| name.to_uppercase())
        .collect();
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let before = chosen.len();
        chosen.extend(
            ALL.iter()
                .filter(|benchmark| benchmark.covers.contains(&name.as_str())),
        );
        if chosen.len() == before {
            let mut known: Vec<_> = ALL
                .iter()
                .flat_map(|benchmark| benchmark.covers)
                .copied()
                .collect();
            let mut named = HashSet::new();
            known.retain(|known| named.insert(*known));
            let known = known.join(", ");
            return Err(BenchmarkError::Unknown { name, known });
        }
    }
    chosen.dedup_by_key(|benchmark| benchmark.id);
    Ok(chosen)
}

/// Where the build of this very program lies, as cargo decides it.
fn report_path() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    target
        .unwrap_or_else(|| workspace.join("target"))
        .join("bench.json")
}

/// A directory for checkpoints, on the disk that the build lies on: a directory in memory would flatter.
///
/// # Errors
/// If it cannot be made.
pub fn checkpoint_directory() -> Result<tempfile::TempDir, BenchmarkError> {
    let parent = report_path()
        .parent()
        .map(|target| target.join("bench-checkpoints"))
        .unwrap_or_default();
    let directory = || -> io::Result<tempfile::TempDir> {
        fs::create_dir_all(&parent)?;
        tempfile::tempdir_in(&parent)
    };
    directory().map_err(|cause| BenchmarkError::Machine {
        what: "there is no directory for checkpoints",
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<Vec<&'static str>, BenchmarkError> {
        choose(names.iter().map(|name| (*name).to_owned()))
            .map(|all| all.into_iter().map(|one| one.id).collect())
    }

    #[test]
    fn names_choose_and_flags_do_not() {
        assert_eq!(chosen(&["--bench", "g"]).unwrap(), ["G"]);
        assert_eq!(chosen(&["E7", "e6"]).unwrap(), ["E6"]);
        assert_eq!(chosen(&["E5"]).unwrap().len(), 6);
        assert_eq!(chosen(&["q11"]).unwrap(), ["E5 q11"]);
        assert_eq!(chosen(&["--bench"]).unwrap().len(), ALL.len());
        assert!(matches!(chosen(&["E99"]), Err(BenchmarkError::Unknown { .. })));
    }
}

//! What logs tell that nobody asked for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// What may be in the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// Nothing has gone wrong: no error, no panic.
    Quiet,
    /// Something was made to go wrong: errors are explained by that, panics are not.
    Faults,
}

/// The lines that should not be there.
pub(crate) fn complaints(files: &[PathBuf], expectation: Expectation) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in files {
        let text = fs::read(path).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let is_error = level(line).is_some_and(|level| level == "ERROR");
            if is_panic(line) || (is_error && expectation == Expectation::Quiet) {
                complaints.push(format!("{}: {line}", path.display()));
            }
        }
    }
    complaints
}

fn is_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains("panicked at")
}

/// The level of a line of a log, as JSON or as for people.
fn level(line: &str) -> Option<String> {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => line["level"].as_str().map(str::to_owned),
        Err(_) => line.split_whitespace().nth(1).map(str::to_owned),
    }
}

/// All files beneath a folder.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files.extend(files_under(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_never_explained_and_errors_by_faults_only() {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let path = folder.path().join("a.log");
        let lines = [
            r#"{"timestamp":"t","level":"INFO","message":"panicked at nothing"}"#,
            r#"{"timestamp":"t","level":"ERROR","message":"lost"}"#,
            "2026-01-01T00:00:00Z ERROR lost",
            "thread 'main' (1) panicked at src/main.rs:1:1:",
        ];
        fs::write(&path, lines.join("\n")).expect("it can be written");
        let files = files_under(folder.path());
        assert_eq!(complaints(&files, Expectation::Quiet).len(), 3);
        assert_eq!(complaints(&files, Expectation::Faults).len(), 1);
    }
}

//! What a job has published.

use std::{fs, path::Path};

/// File, line and text of a malformed row.
pub type MalformedLine = (String, u64, String);

/// All lines of all published files of an output but the first `heading` ones of each, in no order.
///
/// # Panics
/// If they cannot be read.
pub fn lines(directory: &Path, heading: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("part-") {
            let text = fs::read_to_string(entry.path()).unwrap();
            lines.extend(text.lines().skip(heading).map(str::to_owned));
        }
    }
    lines
}

/// The fields of all rows of an output of CSV files, in no order; none if it has no file yet. Fields hold no commas.
///
/// # Panics
/// If they cannot be read.
pub fn rows(directory: &Path) -> Vec<Vec<String>> {
    let split = |line: &String| line.split(',').map(str::to_owned).collect();
    lines(directory, 1).iter().map(split).collect()
}

/// Whether anything has been published in an output.
pub fn has_files(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("part-"))
}

/// The malformed rows of an output, sorted.
///
/// # Panics
/// If it holds anything else, or one without a reason.
pub fn malformed(directory: &Path) -> Vec<MalformedLine> {
    let mut rows: Vec<MalformedLine> = lines(directory, 0).iter().map(|line| row(line)).collect();
    rows.sort();
    rows
}

fn row(line: &str) -> MalformedLine {
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

//! All lines together: a table for people, a list for programs.

use std::fmt::Write;

use serde::Serialize;

use super::row::Row;

/// The rows of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they were measured.
    pub rows: Vec<Row>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    what: &'a str,
    figure: Option<f64>,
    unit: &'a str,
    bar: String,
    met: bool,
    ratio: Option<f64>,
    spread: Option<f64>,
    cpu_seconds: f64,
    threads: u64,
    note: &'a str,
}

impl Report {
    /// The table.
    pub fn table(&self) -> String {
        let header = [
            "id", "what", "figure", "bar", "met", "ratio", "spread", "CPU s", "threads", "note",
        ];
        let mut lines = vec![header.map(str::to_owned)];
        lines.extend(self.rows.iter().map(|row| {
            [
                row.id.to_owned(),
                row.what.clone(),
                format!("{} {}", number(row.figure), row.unit)
                    .trim_end()
                    .to_owned(),
                row.bar.to_string(),
                if row.is_met() { "yes" } else { "NO" }.to_owned(),
                row.ratio.map_or_else(|| "-".to_owned(), number),
                if row.spread.is_finite() {
                    format!("{:.0} %", row.spread * 100.0)
                } else {
                    "-".to_owned()
                },
                format!("{:.1}", row.cpu_seconds),
                row.threads.to_string(),
                row.note.clone(),
            ]
        }));
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                lines
                    .iter()
                    .map(|line| line[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut table = String::new();
        for line in lines {
            let cells = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }

    /// The list, as JSON.
    pub fn json(&self) -> String {
        let entries: Vec<_> = self
            .rows
            .iter()
            .map(|row| Entry {
                id: row.id,
                what: &row.what,
                figure: Some(row.figure).filter(|figure| figure.is_finite()),
                unit: row.unit,
                bar: row.bar.to_string(),
                met: row.is_met(),
                ratio: row.ratio,
                spread: Some(row.spread).filter(|spread| spread.is_finite()),
                cpu_seconds: row.cpu_seconds,
                threads: row.threads,
                note: &row.note,
            })
            .collect();
        serde_json::to_string_pretty(&entries).expect("rows are plain data with text keys")
    }
}

fn number(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{figure:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Bar;

    fn report() -> Report {
        Report {
            rows: vec![
                Row {
                    id: "E2",
                    what: "keyed sum".into(),
                    figure: 0.625,
                    unit: "x",
                    bar: Bar::AtLeast(0.5),
                    ratio: Some(0.625),
                    spread: 0.04,
                    cpu_seconds: 12.34,
                    threads: 4,
                    note: "fine".into(),
                },
                Row {
                    id: "E7",
                    what: "longest gap".into(),
                    figure: f64::NAN,
                    unit: "ms",
                    bar: Bar::AtMost(2.0),
                    ratio: None,
                    spread: f64::NAN,
                    cpu_seconds: 0.0,
                    threads: 1,
                    note: String::new(),
                },
            ],
        }
    }

    #[test]
    fn the_table_lines_up() {
        let table = report().table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        let column = lines[0].find("met").unwrap();
        assert!(
            lines[1][column..].starts_with("yes") && lines[2][column..].starts_with("NO"),
            "{table}"
        );
        assert!(
            lines[1].contains("0.62 x") && lines[1].contains(">= 0.5") && lines[1].contains("4 %"),
            "{table}"
        );
    }

    #[test]
    fn the_list_is_read_back() {
        let list: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(list[0]["id"], "E2");
        assert_eq!(list[0]["bar"], ">= 0.5");
        assert_eq!(list[0]["met"], true);
        assert_eq!(list[1]["figure"], serde_json::Value::Null);
        assert_eq!(list[1]["met"], false);
    }
}

//! What was asked for, on standard output.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use serde_json::Value;

use crate::error::{Error, Result};

/// In which form.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// The job manager's document as it came.
    Json,
}

impl Output {
    /// Shows a document, or what `text` makes of it.
    pub(crate) fn show(self, document: &Value, text: impl FnOnce() -> Result<String>) -> Result<()> {
        match self {
            Self::Table => print(&text()?),
            Self::Json => print(&format!("{document:#}\n")),
        }
    }
}

/// Writes to standard output; a reader that has read enough, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// Likewise for what may be no text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// A column: its title, and on which side its cells stand.
pub(crate) enum Column {
    /// Words.
    Text(&'static str),
    /// Numbers.
    Number(&'static str),
}

/// Rows under the titles of their columns.
pub(crate) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| match column {
            Column::Text(title) | Column::Number(title) => *title,
        }))
        .add_rows(
            rows.into_iter()
                .map(|row| row.into_iter().map(|cell| one_line(&cell))),
        );
    for (index, column) in columns.iter().enumerate() {
        if let Some(cells) = table.column_mut(index) {
            cells.set_padding((0, 2));
            if matches!(column, Column::Number(_)) {
                cells.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// A text without line breaks and other characters that steer a terminal; names and causes come from strangers.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_harmless() {
        let columns = [Column::Text("NAME"), Column::Number("COUNT")];
        let rows = [
            vec!["a".to_owned(), "1000".to_owned()],
            vec!["long\n\x1b[31mname".to_owned(), "7".to_owned()],
        ];
        let text = table(&columns, rows);
        assert_eq!(
            text,
            "NAME            COUNT\na                1000\nlong  [31mname      7\n"
        );
    }
}

//! What the job must write, computed by a plain program, and what it has written.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{Balance, Row, WINDOW_MS, WindowSum, entry};

/// The rows of both outputs, with how often each must be there.
pub fn expected(seed: u64, entries: u64, accounts: u64) -> BTreeMap<Row, u32> {
    let (mut rows, mut totals, mut windows) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for sequence in 0..entries {
        let entry = entry(seed, sequence, accounts);
        let (count, balance) = totals.entry(entry.account).or_insert((0, 0));
        *count += 1;
        *balance += entry.fixed;
        let row = Row::Balance(Balance {
            account: entry.account,
            entries: *count,
            balance: *balance,
        });
        *rows.entry(row).or_default() += 1;
        let start_ms = entry.time_ms - entry.time_ms.rem_euclid(WINDOW_MS);
        *windows.entry((entry.account, start_ms)).or_insert(0) += entry.varying;
    }
    let windows = windows.into_iter().map(|((account, start_ms), sum)| {
        Row::Window(WindowSum {
            account,
            start_ms,
            sum,
        })
    });
    for row in windows {
        *rows.entry(row).or_default() += 1;
    }
    rows
}

/// The rows that are published beneath a folder, with how often each is there.
///
/// # Errors
/// When a file cannot be read, or has a line that is no row: a published file is whole.
pub fn read_rows(output: &Path) -> io::Result<BTreeMap<Row, u32>> {
    let mut rows = BTreeMap::new();
    for folder in ["balances", "windows"] {
        let files = match fs::read_dir(output.join(folder)) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for file in files {
            let path = file?.path();
            if !path.is_file() {
                continue;
            }
            for line in fs::read_to_string(&path)?.lines() {
                let row: Row = serde_json::from_str(line)
                    .map_err(|error| io::Error::other(format!("{}: {line:?}: {error}", path.display())))?;
                *rows.entry(row).or_default() += 1;
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_in_a_balance_and_in_a_window() {
        let rows = expected(7, 5000, 13);
        let (mut balances, mut sum) = (0, 0);
        for (row, times) in &rows {
            match row {
                Row::Balance(_) => balances += times,
                Row::Window(window) => sum += window.sum,
            }
        }
        assert_eq!(balances, 5000);
        let varying: u64 = (0..5000).map(|sequence| entry(7, sequence, 13).varying).sum();
        assert_eq!(sum, varying);
    }
}

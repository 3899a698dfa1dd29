//! The lines of the live view: a function of what the job is doing and of the terminal's size.

use std::fmt::Write as _;

use console::{Alignment, pad_str, truncate_str};

use super::super::{
    progress::{ChainProgress, Progress, Restarts, Share},
    units::{Bytes, Count},
};

/// A chain's name is given at most this much room, so that its figures stay near.
const NAME_COLUMNS: usize = 48;
/// What the figures of a chain and their gaps take beside its name.
const FIGURE_COLUMNS: usize = 40;
/// A chain that runs less than this is not called the busiest.
const BUSY: f64 = 0.1;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::command_line) struct Size {
    pub(in crate::command_line) rows: usize,
    pub(in crate::command_line) columns: usize,
}

/// The lines to show: never more than there is room for, never longer than a row.
pub(in crate::command_line) fn frame(job: &str, progress: &Progress, size: Size) -> Vec<String> {
    let mut lines = summary(job, progress);
    lines.push(String::new());
    // A row stays free, so that what is shown never scrolls.
    let room = size.rows.saturating_sub(1);
    lines.extend(table(
        &progress.chains,
        room.saturating_sub(lines.len()),
        size.columns,
    ));
    lines.truncate(room);
    let lines = lines.iter();
    lines
        .map(|line| truncate_str(line, size.columns, "…").into_owned())
        .collect()
}

fn summary(job: &str, progress: &Progress) -> Vec<String> {
    let mut head = format!(
        "{job} · {} · {:.0} s",
        progress.state,
        progress.elapsed.as_secs_f64()
    );
    if progress.restarts > 0 {
        let _ = write!(head, " · {}", Restarts(progress.restarts));
    }
    let (read, written) = (progress.read, progress.written);
    let mut records = format!(
        "records     in {}/s ({} read) · out {}/s ({} written)",
        Count(read.per_second),
        Count(read.total),
        Count(written.per_second),
        Count(written.total),
    );
    for (count, what) in [(progress.malformed, "malformed"), (progress.late, "late")] {
        if count > 0 {
            let _ = write!(records, " · {count} {what}");
        }
    }
    let mut lines = vec![head, records];
    if let Some(event_time) = &progress.event_time {
        let told = event_time.to_string();
        lines.push(format!(
            "event time  {}",
            told.strip_prefix("event time ").unwrap_or(&told)
        ));
    }
    let mut checkpoint = match &progress.checkpoint {
        Some(last) => format!(
            "checkpoint  epoch {}, {:.1} s old, took {:.3} s, {}",
            last.epoch,
            last.age.as_secs_f64(),
            last.duration.as_secs_f64(),
            Bytes(last.bytes),
        ),
        None => "checkpoint  none yet".to_owned(),
    };
    if let Some(age) = progress.pending_checkpoint {
        let _ = write!(checkpoint, " · the next began {:.1} s ago", age.as_secs_f64());
    }
    lines.push(checkpoint);
    if let Some(failed) = &progress.failed {
        lines.push(format!("            {failed}"));
    }
    lines.push(format!("state       {}", Bytes(progress.state_bytes)));
    lines
}

/// A line for each chain. Where there is no room for all, the busiest ones; in the order of the plan in any case.
fn table(chains: &[ChainProgress], rows: usize, columns: usize) -> Vec<String> {
    let busiest = chains.iter().map(|chain| chain.busy).max();
    let busiest = busiest.filter(|busiest| *busiest >= Share::of(BUSY));
    let widest = chains
        .iter()
        .map(|chain| console::measure_text_width(&chain.name));
    let width = widest
        .max()
        .unwrap_or(0)
        .min(NAME_COLUMNS)
        .min(columns.saturating_sub(FIGURE_COLUMNS))
        .max("chain".len());
    let name = |name: &str| pad_str(name, width, Alignment::Left, Some("…")).into_owned();
    let mut lines = vec![format!(
        "  {}  tasks      in/s     out/s   busy  held back",
        name("chain")
    )];
    let hidden = chains.len().saturating_sub(rows.saturating_sub(lines.len()));
    // One line says how many are not shown.
    let hidden = if hidden > 0 { hidden + 1 } else { 0 };
    let shown = busiest_of(chains, chains.len().saturating_sub(hidden));
    for chain in shown {
        let mark = if Some(chain.busy) == busiest { '▸' } else { ' ' };
        let mut line = format!(
            "{mark} {}  {:>5}  {:>8}  {:>8}  {:>5}  {}",
            name(&chain.name),
            chain.tasks,
            Count(chain.received.per_second).to_string(),
            Count(chain.sent.per_second).to_string(),
            chain.busy.to_string(),
            chain.backpressured,
        );
        if let Some(by) = &chain.held_back_by {
            let _ = write!(line, " by {by}");
        }
        lines.push(line);
    }
    if hidden > 0 {
        lines.push(format!("  … and {} less busy", hidden.min(chains.len())));
    }
    lines
}

fn busiest_of(chains: &[ChainProgress], count: usize) -> Vec<&ChainProgress> {
    let mut places: Vec<usize> = (0..chains.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(chains[*place].busy));
    places.truncate(count);
    places.sort_unstable();
    places.into_iter().map(|place| &chains[place]).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{
        super::super::progress::{Flow, LastCheckpoint},
        *,
    };

    const WIDE: Size = Size {
        rows: 40,
        columns: 120,
    };

    fn flow(total: u64, per_second: u64) -> Flow {
        Flow { total, per_second }
    }

    fn chain(name: &str, busy: f64, backpressured: f64) -> ChainProgress {
        ChainProgress {
            name: name.to_owned(),
            tasks: 2,
            received: flow(1_000_000, 123_400),
            sent: flow(900_000, 9_000),
            busy: Share::of(busy),
            backpressured: Share::of(backpressured),
            held_back_by: None,
        }
    }

    fn progress(chains: Vec<ChainProgress>) -> Progress {
        Progress {
            elapsed: Duration::from_millis(12_300),
            state: "running".to_owned(),
            read: flow(1_200_000, 123_400),
            written: flow(345, 12),
            checkpoint: None,
            pending_checkpoint: None,
            state_bytes: 12 << 20,
            malformed: 0,
            late: 0,
            event_time: None,
            chains,
            restarts: 0,
            failed: None,
        }
    }

    #[test]
    fn a_job_that_has_just_begun() {
        assert_eq!(
            frame("words", &progress(Vec::new()), WIDE),
            [
                "words · running · 12 s",
                "records     in 123.4k/s (1.20M read) · out 12/s (345 written)",
                "checkpoint  none yet",
                "state       12.0 MiB",
                "",
                "  chain  tasks      in/s     out/s   busy  held back",
            ]
        );
    }

    #[test]
    fn the_busiest_chain_and_whoever_is_held_back_by_whom_are_told() {
        let mut flights = chain("flights → filter", 0.3, 0.617);
        flights.held_back_by = Some("delays".to_owned());
        let mut progress = progress(vec![flights, chain("delays", 0.98, 0.0)]);
        progress.malformed = 3;
        progress.late = 2;
        progress.restarts = 1;
        progress.pending_checkpoint = Some(Duration::from_millis(100));
        progress.checkpoint = Some(LastCheckpoint {
            epoch: 12,
            age: Duration::from_millis(1_200),
            duration: Duration::from_millis(23),
            bytes: 5 << 20,
        });
        assert_eq!(
            frame("carrier-delays", &progress, WIDE),
            [
                "carrier-delays · running · 12 s · 1 restart",
                "records     in 123.4k/s (1.20M read) · out 12/s (345 written) · 3 malformed · 2 late",
                "checkpoint  epoch 12, 1.2 s old, took 0.023 s, 5.0 MiB · the next began 0.1 s ago",
                "state       12.0 MiB",
                "",
                "  chain             tasks      in/s     out/s   busy  held back",
                "  flights → filter      2    123.4k      9000   30 %  62 % by delays",
                "▸ delays                2    123.4k      9000   98 %  0 %",
            ]
        );
    }

    #[test]
    fn where_there_is_no_room_for_all_the_busiest_are_shown_in_their_order() {
        let busy = [0.2, 0.9, 0.1, 0.5, 0.3];
        let names = ["a", "b", "c", "d", "e"];
        let chains = names.iter().zip(busy).map(|(name, busy)| chain(name, busy, 0.0));
        let size = Size {
            rows: 10,
            columns: 80,
        };
        let lines = frame("job", &progress(chains.collect()), size);
        assert_eq!(lines.len(), 9);
        assert!(
            lines[6].starts_with("▸ b ") && lines[7].starts_with("  d "),
            "{lines:?}"
        );
        assert_eq!(lines[8], "  … and 3 less busy");
    }

    proptest! {
        #[test]
        fn a_frame_fits_the_terminal(
            rows in 0usize..40,
            columns in 0usize..150,
            names in prop::collection::vec("[a-z 漢é→]{0,60}", 0..50),
        ) {
            let chains = names.iter().map(|name| chain(name, 0.5, 0.5)).collect();
            let lines = frame("a job with a long name", &progress(chains), Size { rows, columns });
            prop_assert!(lines.len() < rows.max(1));
            for line in &lines {
                prop_assert!(console::measure_text_width(line) <= columns.max(1), "{line:?} in {columns}");
            }
        }
    }
}

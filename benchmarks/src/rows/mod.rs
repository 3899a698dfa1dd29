//! The rows, one per file: what is run, what it is measured against, what comes out as the figure.

mod exchange;
mod generator;
mod keyed_sum;
mod stateless;
mod table;

use crate::{BenchmarkError, runner::Report};

/// Measures some rows.
pub struct Benchmark {
    /// Its name.
    pub id: &'static str,
    /// The bars that it has figures for; each is a name by which it may be asked for.
    pub covers: &'static [&'static str],
    /// Whether it is run when nothing is asked for.
    pub by_default: bool,
    /// Runs it.
    pub run: fn(&mut Report) -> Result<(), BenchmarkError>,
}

/// All of them, in the order in which they are run.
pub const ALL: &[Benchmark] = &[
    Benchmark {
        id: "G",
        covers: &["G"],
        by_default: true,
        run: generator::run,
    },
    Benchmark {
        id: "E1",
        covers: &["E1"],
        by_default: true,
        run: stateless::run,
    },
    Benchmark {
        id: "E2",
        covers: &["E2"],
        by_default: true,
        run: keyed_sum::one_thread,
    },
    Benchmark {
        id: "E3",
        covers: &["E3"],
        by_default: true,
        run: keyed_sum::two_threads,
    },
    Benchmark {
        id: "E4",
        covers: &["E4"],
        by_default: true,
        run: exchange::run,
    },
    Benchmark {
        id: "T2",
        covers: &["T2"],
        by_default: false,
        run: table::keyed_sum,
    },
    Benchmark {
        id: "T6",
        covers: &["T6", "T7", "T8"],
        by_default: false,
        run: table::checkpoints,
    },
    Benchmark {
        id: "T11",
        covers: &["T11"],
        by_default: false,
        run: table::memory,
    },
];

/// How often each side of a comparison runs.
const RUNS: usize = 5;

//! The rows, one per file: what is run, what it is measured against, what comes out as the figure.

mod checkpoints;
mod exchange;
mod generator;
mod increments;
mod keyed_sum;
mod latency;
mod memory;
mod nexmark;
mod stateless;

pub(crate) use latency::last_of_each;

use crate::{BenchmarkError, runner::Report};

/// Measures some rows.
pub struct Benchmark {
    /// Its name.
    pub id: &'static str,
    /// The bars that it has figures for; each is a name by which it may be asked for.
    pub covers: &'static [&'static str],
    /// Runs it.
    pub run: fn(&mut Report) -> Result<(), BenchmarkError>,
}

/// All of them, in the order in which they are run.
///
/// Memory comes first: what others have given back is still there, and would be used again unseen.
pub const ALL: &[Benchmark] = &[
    Benchmark {
        id: "E11",
        covers: &["E11"],
        run: memory::run,
    },
    Benchmark {
        id: "G",
        covers: &["G"],
        run: generator::run,
    },
    Benchmark {
        id: "E1",
        covers: &["E1"],
        run: stateless::run,
    },
    Benchmark {
        id: "E2",
        covers: &["E2"],
        run: keyed_sum::one_thread,
    },
    Benchmark {
        id: "E3",
        covers: &["E3"],
        run: keyed_sum::two_threads,
    },
    Benchmark {
        id: "E4",
        covers: &["E4"],
        run: exchange::run,
    },
    Benchmark {
        id: "E5 q3",
        covers: &["E5", "Q3"],
        run: nexmark::q3,
    },
    Benchmark {
        id: "E5 q5",
        covers: &["E5", "Q5"],
        run: nexmark::q5,
    },
    Benchmark {
        id: "E5 q7",
        covers: &["E5", "Q7"],
        run: nexmark::q7,
    },
    Benchmark {
        id: "E5 q8",
        covers: &["E5", "Q8"],
        run: nexmark::q8,
    },
    Benchmark {
        id: "E5 q11",
        covers: &["E5", "Q11"],
        run: nexmark::q11,
    },
    Benchmark {
        id: "E5 q12",
        covers: &["E5", "Q12"],
        run: nexmark::q12,
    },
    Benchmark {
        id: "E6",
        covers: &["E6", "E7"],
        run: checkpoints::run,
    },
    Benchmark {
        id: "E8",
        covers: &["E8", "E10"],
        run: increments::run,
    },
    Benchmark {
        id: "E9",
        covers: &["E9"],
        run: latency::run,
    },
];

/// How often each side of a comparison runs.
const RUNS: usize = 5;

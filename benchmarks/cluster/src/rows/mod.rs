//! The rows, one per file.

mod recovery;
mod start;
mod state;
mod throughput;

use tidegate_benchmarks::{BenchmarkError, runner::Report};

/// Measures some rows.
pub struct Benchmark {
    /// Its name.
    pub id: &'static str,
    /// Runs it.
    pub run: fn(&mut Report) -> Result<(), BenchmarkError>,
}

/// All of them, in the order in which they are run.
pub const ALL: &[Benchmark] = &[
    Benchmark {
        id: "C1",
        run: throughput::run,
    },
    Benchmark {
        id: "C2",
        run: recovery::small_state,
    },
    Benchmark {
        id: "C3",
        run: recovery::large_state,
    },
    Benchmark {
        id: "C6",
        run: start::run,
    },
    Benchmark {
        id: "C8",
        run: state::run,
    },
];

/// The value below which so many percent of `values` lie.
fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_values_themselves() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 10.0);
        assert_eq!(percentile(&values, 95.0), 19.0);
        assert_eq!(percentile(&values, 100.0), 20.0);
        assert!(percentile(&[], 50.0).is_nan());
    }
}

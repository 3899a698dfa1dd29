//! Measures a cluster and prints the report; with names such as `C2`, those rows only.

use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    match tidegate_cluster_benchmarks::suite::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

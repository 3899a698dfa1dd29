//! How fast files are read into records: `read_speed <glob>`, reading on other threads as in a job.

use std::{error::Error, sync::Arc, time::Instant};

use serde::Deserialize;
use tidegate_core::source::SourceStatus;
use tidegate_files::FileSource;
use tidegate_operators::harness::{SourceHarness, ThreadIo};

/// The columns of a flight that a job would look at.
#[derive(Deserialize)]
struct Flight {
    origin: String,
    dep_delay_min: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let glob = arguments.next().ok_or("usage: read_speed <glob>")?;
    let source = FileSource::csv::<Flight>(&glob);
    let started = Instant::now();
    let mut harness = SourceHarness::with_io(&source, Arc::new(ThreadIo))?;
    let (mut rows, mut delay, mut origins) = (0u64, 0.0, 0);
    loop {
        let status = harness.poll()?;
        for flight in harness.take() {
            rows += 1;
            delay += flight.dep_delay_min.unwrap_or(0.0);
            origins += flight.origin.len();
        }
        match status {
            SourceStatus::Finished => break,
            SourceStatus::Waiting => std::thread::yield_now(),
            SourceStatus::More | SourceStatus::Until(_) => {}
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{rows} rows in {seconds:.3} s: {:.2} M rows/s ({delay} {origins})",
        rows as f64 / seconds / 1e6
    );
    Ok(())
}

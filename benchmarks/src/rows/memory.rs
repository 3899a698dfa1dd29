//! E11: what a key costs in memory beyond itself and its value.

use crate::{
    BenchmarkError,
    runner::{Bar, Moment, Report, Row, Status},
    state_job::{NO_CHECKPOINTS, StateJob, Updates},
    suite::checkpoint_directory,
};

const FROM: u64 = 8_000_000;
const TO: u64 = 16_000_000;
/// Tables double one after another: between two looks, few do.
const STEP: u64 = 125_000;
/// A key of eight bytes and a value of sixteen.
const PAYLOAD: f64 = 24.0;

pub(super) fn run(report: &mut Report) -> Result<(), BenchmarkError> {
    let directory = checkpoint_directory()?;
    let start = Moment::now();
    let job = StateJob::start("E11", directory.path(), NO_CHECKPOINTS, Updates::Insert)?;
    // Threads, sockets and buffers are there after the first records, and are not the keys' doing.
    job.advance_to(1)?;
    let before = resident();
    let (mut worst, mut at, mut sum, mut looks) = (0.0_f64, 0, 0.0, 0_u32);
    for keys in (FROM..=TO).step_by(STEP as usize) {
        job.advance_to(keys)?;
        let each = (resident() - before) / keys as f64 - PAYLOAD;
        if each > worst {
            (worst, at) = (each, keys);
        }
        sum += each;
        looks += 1;
    }
    let threads = Status::Threads.read().unwrap_or(0);
    job.cancel()?;
    report.rows.push(Row {
        id: "E11",
        what: "resident bytes per key beyond key and value, worst of 8 to 16 M keys".to_owned(),
        figure: worst,
        unit: "B",
        bar: Bar::AtMost(40.0),
        ratio: None,
        spread: f64::NAN,
        cpu_seconds: start.elapsed().cpu.as_secs_f64(),
        threads,
        note: format!(
            "at {:.2} M keys; {:.1} B on average; no checkpoint in progress",
            at as f64 / 1e6,
            sum / f64::from(looks)
        ),
    });
    Ok(())
}

fn resident() -> f64 {
    Status::Resident.read().unwrap_or(0) as f64
}

//! What this process and its workers use of the machine.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use tidegate_proto::taskmanager::{ResourceUse, WorkerUse};

use crate::{fleet::WorkerProcess, memory};

/// Measures what processes use from one sample to the next.
#[derive(Debug, Default)]
pub(crate) struct ResourceSampler {
    previous: Option<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    /// Processor time so far, by process.
    processor_time: HashMap<u32, Duration>,
}

impl ResourceSampler {
    /// What this process and the workers use as of `now`. Processor time is that since the last sample, none in the first.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        workers: Vec<WorkerProcess>,
        disk_bytes: u64,
    ) -> ResourceUse {
        let own = std::process::id();
        let processes = workers.iter().map(|worker| worker.process_id).chain([own]);
        let processor_time = processes
            .filter_map(|process| Some((process, processor_time(process)?)))
            .collect();
        let sample = Sample {
            at: now,
            processor_time,
        };
        let millicores = |process: u32| sample.millicores_since(self.previous.as_ref(), process);
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| WorkerUse {
                cpu_millicores: millicores(worker.process_id),
                memory_bytes: memory::resident_bytes(worker.process_id).unwrap_or(0),
                job: worker.job,
                worker: worker.worker,
            })
            .collect();
        let total = |of_worker: fn(&WorkerUse) -> u64| workers.iter().map(of_worker).sum::<u64>();
        let resources = ResourceUse {
            cpu_millicores: millicores(own) + total(|worker| worker.cpu_millicores),
            memory_bytes: memory::resident_bytes(own).unwrap_or(0) + total(|worker| worker.memory_bytes),
            disk_bytes,
            workers,
        };
        self.previous = Some(sample);
        resources
    }
}

impl Sample {
    fn millicores_since(&self, previous: Option<&Self>, process: u32) -> u64 {
        let used = previous.and_then(|previous| {
            let before = previous.processor_time.get(&process)?;
            let after = self.processor_time.get(&process)?;
            let elapsed = self.at.saturating_duration_since(previous.at);
            (!elapsed.is_zero()).then(|| after.saturating_sub(*before).as_secs_f64() / elapsed.as_secs_f64())
        });
        used.map_or(0, |cores| (cores * 1000.0).round() as u64)
    }
}

/// The processor time that a process has had.
fn processor_time(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    parse_processor_time(&text, rustix::param::clock_ticks_per_second())
}

/// See proc(5): user and system time are the fields 14 and 15; the second is a name that may hold anything.
fn parse_processor_time(text: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(Duration::from_secs_f64(
        total as f64 / ticks_per_second.max(1) as f64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_whatever_the_process_is_called() {
        let text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 200 300";
        assert_eq!(parse_processor_time(text, 100), Some(Duration::from_secs(2)));
        for damaged in [
            "",
            "42",
            "42 (a) S 1",
            "42 (a) S 1 42 42 0 -1 4194560 1 0 0 0 x 50",
        ] {
            assert_eq!(parse_processor_time(damaged, 100), None);
        }
    }

    #[test]
    fn use_is_measured_between_samples() {
        let mut sampler = ResourceSampler::default();
        let start = Instant::now();
        let first = sampler.sample(start, vec![], 7);
        assert_eq!((first.cpu_millicores, first.disk_bytes), (0, 7));
        assert!(first.memory_bytes > 100_000);
        let before = processor_time(std::process::id()).unwrap();
        while processor_time(std::process::id()).unwrap() < before + Duration::from_millis(50) {
            std::hint::black_box((0..1000).sum::<u64>());
        }
        let second = sampler.sample(start + Duration::from_secs(1), vec![], 7);
        assert!(second.cpu_millicores >= 50, "{second:?}");
    }
}

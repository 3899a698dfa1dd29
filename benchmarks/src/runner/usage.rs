//! What a stretch of work has used: time on the wall, time on the processors, memory, threads.

use std::{
    fs,
    ops::{AddAssign, Sub},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time used between two moments, or since an arbitrary one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// On the wall.
    pub wall: Duration,
    /// On the processors, by all threads of this process, in and out of the kernel.
    pub cpu: Duration,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// A moment to measure from.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Instant,
    cpu: Duration,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu: duration(clock_gettime(ClockId::ProcessCPUTime)),
        }
    }

    /// What has been used since.
    pub fn elapsed(self) -> Usage {
        Self::now() - self
    }
}

impl Sub for Moment {
    type Output = Usage;

    fn sub(self, earlier: Self) -> Usage {
        Usage {
            wall: self.wall - earlier.wall,
            cpu: self.cpu.saturating_sub(earlier.cpu),
        }
    }
}

/// Runs something and says what it used.
pub fn measured<R>(run: impl FnOnce() -> R) -> (R, Usage) {
    let start = Moment::now();
    let result = run();
    (result, start.elapsed())
}

/// The processor time of the calling thread.
pub fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// The longest time that passed, by the calling thread's own clock of processor time, between two looks at it in a row:
/// what a machine takes from a thread without telling its clock.
pub fn longest_standstill(watched_for: Duration) -> Duration {
    let (start, mut longest, mut last) = (Instant::now(), Duration::ZERO, thread_cpu());
    while start.elapsed() < watched_for {
        let now = thread_cpu();
        longest = longest.max(now.saturating_sub(last));
        last = now;
    }
    longest
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Something that the kernel says about this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Memory in use now, in bytes.
    Resident,
    /// The most memory that has been in use, in bytes.
    PeakResident,
    /// The number of threads.
    Threads,
}

impl Status {
    /// Its value now; `None` where the kernel does not say.
    pub fn read(self) -> Option<u64> {
        self.find(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn find(self, text: &str) -> Option<u64> {
        let (field, unit) = match self {
            Self::Resident => ("VmRSS:", 1024),
            Self::PeakResident => ("VmHWM:", 1024),
            Self::Threads => ("Threads:", 1),
        };
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
            .map(|value| value * unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_processor_time() {
        let (_, usage) = measured(|| {
            let start = thread_cpu();
            while thread_cpu() - start < Duration::from_millis(5) {}
        });
        assert!(
            usage.cpu >= Duration::from_millis(5) && usage.wall >= Duration::from_millis(5),
            "{usage:?}"
        );
    }

    #[test]
    fn the_kernel_is_understood() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        assert_eq!(Status::Resident.find(text), Some(1 << 20));
        assert_eq!(Status::PeakResident.find(text), Some(2 << 20));
        assert_eq!(Status::Threads.find(text), Some(3));
        assert_eq!(Status::Threads.find(""), None);
        assert!(Status::Threads.read().is_some_and(|threads| threads >= 1));
    }
}

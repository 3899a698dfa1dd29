//! Two ways to do the same work, measured in turn.

use crate::{error::BenchmarkError, runner::usage::Usage};

/// One run of one side.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How much work it was: records, or bytes.
    pub work: u64,
    /// What it computed; both sides must agree.
    pub checksum: u64,
    /// What it used.
    pub usage: Usage,
}

/// What work is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// Processor seconds of the whole process: whoever else is busy on the machine takes no part in it.
    Cpu,
    /// Seconds on the wall.
    Wall,
}

impl Sample {
    /// Work per second.
    pub fn rate(&self, basis: Basis) -> f64 {
        self.work as f64 / self.seconds(basis)
    }

    /// Seconds.
    pub fn seconds(&self, basis: Basis) -> f64 {
        match basis {
            Basis::Cpu => self.usage.cpu.as_secs_f64(),
            Basis::Wall => self.usage.wall.as_secs_f64(),
        }
    }

    /// Nanoseconds per unit of work.
    pub fn nanos_each(&self, basis: Basis) -> f64 {
        1e9 / self.rate(basis)
    }
}

/// The middle of some figures and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The difference of the largest and the smallest in parts of the median.
    pub spread: f64,
}

impl Summary {
    /// The summary of `figures`; of none it is not a number.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(first), Some(last)) = (figures.first(), figures.last()) else {
            return Self {
                median: f64::NAN,
                spread: f64::NAN,
            };
        };
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Self {
            median,
            spread: (last - first) / median.abs(),
        }
    }
}

/// The runs of both sides.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Our runs.
    pub ours: Vec<Sample>,
    /// The yardstick's, each right after ours of the same place.
    pub yardstick: Vec<Sample>,
}

impl Comparison {
    /// Runs both sides in turn, `runs` times each.
    ///
    /// # Errors
    /// What a side fails with, and if the two do not compute the same.
    pub fn alternate(
        id: &'static str,
        runs: usize,
        mut ours: impl FnMut() -> Result<Sample, BenchmarkError>,
        mut yardstick: impl FnMut() -> Result<Sample, BenchmarkError>,
    ) -> Result<Self, BenchmarkError> {
        let mut comparison = Self::default();
        for _ in 0..runs {
            let (a, b) = (ours()?, yardstick()?);
            if a.checksum != b.checksum {
                return Err(BenchmarkError::Checksum {
                    id,
                    ours: a.checksum,
                    yardstick: b.checksum,
                });
            }
            comparison.ours.push(a);
            comparison.yardstick.push(b);
        }
        Ok(comparison)
    }

    /// Adds the runs of another comparison.
    pub fn append(&mut self, other: Self) {
        self.ours.extend(other.ours);
        self.yardstick.extend(other.yardstick);
    }

    /// How fast we are in parts of the yardstick, run by run.
    pub fn ratio(&self, basis: Basis) -> Summary {
        Summary::of(
            self.pairs()
                .map(|(ours, yardstick)| ours.rate(basis) / yardstick.rate(basis)),
        )
    }

    /// How many nanoseconds more than the yardstick we take for a unit of work, run by run.
    pub fn extra_nanos(&self, basis: Basis) -> Summary {
        Summary::of(
            self.pairs()
                .map(|(ours, yardstick)| ours.nanos_each(basis) - yardstick.nanos_each(basis)),
        )
    }

    /// Our rate.
    pub fn rate(&self, basis: Basis) -> Summary {
        Summary::of(self.ours.iter().map(|sample| sample.rate(basis)))
    }

    /// The yardstick's rate.
    pub fn yardstick_rate(&self, basis: Basis) -> Summary {
        Summary::of(self.yardstick.iter().map(|sample| sample.rate(basis)))
    }

    /// Processor seconds of our runs together.
    pub fn cpu_seconds(&self) -> f64 {
        self.ours.iter().map(|sample| sample.seconds(Basis::Cpu)).sum()
    }

    fn pairs(&self) -> impl Iterator<Item = (&Sample, &Sample)> {
        self.ours.iter().zip(&self.yardstick)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(millis: u64, checksum: u64) -> Sample {
        let time = Duration::from_millis(millis);
        Sample {
            work: 1_000,
            checksum,
            usage: Usage {
                wall: time,
                cpu: 2 * time,
            },
        }
    }

    #[test]
    fn sides_take_turns_and_ratios_are_of_neighbours() {
        let order = std::cell::RefCell::new(Vec::new());
        let (mut ours, mut yardstick) = ([20, 40, 10].into_iter(), [10, 10, 10].into_iter());
        let comparison = Comparison::alternate(
            "T",
            3,
            || {
                order.borrow_mut().push('A');
                Ok(sample(ours.next().unwrap(), 1))
            },
            || {
                order.borrow_mut().push('B');
                Ok(sample(yardstick.next().unwrap(), 1))
            },
        )
        .unwrap();
        assert_eq!(order.into_inner().into_iter().collect::<String>(), "ABABAB");
        let ratio = comparison.ratio(Basis::Wall);
        assert!(
            (ratio.median - 0.5).abs() < 1e-9 && (ratio.spread - 1.5).abs() < 1e-9,
            "{ratio:?}"
        );
        let extra = comparison.extra_nanos(Basis::Cpu);
        assert!((extra.median - 20_000.0).abs() < 1e-6, "{extra:?}");
    }

    #[test]
    fn sides_that_differ_are_refused() {
        let result = Comparison::alternate("T", 1, || Ok(sample(1, 1)), || Ok(sample(1, 2)));
        assert!(matches!(
            result,
            Err(BenchmarkError::Checksum {
                ours: 1,
                yardstick: 2,
                ..
            })
        ));
    }

    #[test]
    fn an_even_number_of_figures_has_a_median_too() {
        assert_eq!(
            Summary::of([4.0, 1.0, 2.0, 3.0]),
            Summary {
                median: 2.5,
                spread: 1.2
            }
        );
        assert!(Summary::of([]).median.is_nan());
    }
}

//! What the programs of a comparison are asked, and what they answer.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::runner::{Sample, Usage};

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of a query: `q3`.
    pub query: String,
    /// How many source tasks there are, and how many tasks of whatever is parallel.
    pub parallelism: u32,
    /// How many events.
    pub events: u64,
}

impl Request {
    /// The request that a command line makes; `None` if it does not name a query, a parallelism and a number of events.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        Some(Self {
            query: arguments.next()?,
            parallelism: arguments.next()?.parse().ok().filter(|tasks| *tasks > 0)?,
            events: arguments.next()?.parse().ok()?,
        })
    }

    /// The command line that makes it.
    pub fn arguments(&self) -> [String; 3] {
        [
            self.query.clone(),
            self.parallelism.to_string(),
            self.events.to_string(),
        ]
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many events were read.
    pub events: u64,
    /// How many results there were.
    pub results: u64,
    /// The sum of the results' checksums, if the query means exactly the same to both engines.
    pub checksum: Option<u64>,
    /// From the first event until the job had ended, in seconds.
    pub wall_seconds: f64,
    /// Of the processors, all threads together, in seconds.
    pub cpu_seconds: f64,
    /// What the query is about, where that is not how long it took. The end of a name is the unit: `p99_ms`.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
}

impl Outcome {
    /// An outcome that took so much.
    pub fn new(events: u64, results: u64, checksum: Option<u64>, usage: Usage) -> Self {
        Self {
            events,
            results,
            checksum,
            wall_seconds: usage.wall.as_secs_f64(),
            cpu_seconds: usage.cpu.as_secs_f64(),
            figures: BTreeMap::new(),
        }
    }

    /// Adds a figure.
    pub(super) fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// The outcome as one run of a comparison.
    pub(super) fn sample(&self) -> Sample {
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Sample {
            work: self.events,
            checksum: self.checksum.unwrap_or(0),
            usage: Usage {
                wall: seconds(self.wall_seconds),
                cpu: seconds(self.cpu_seconds),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_says_what_is_wanted() {
        let request = Request {
            query: "q5".to_owned(),
            parallelism: 2,
            events: 7,
        };
        assert_eq!(Request::parse(request.arguments().into_iter()), Some(request));
        for wrong in [&["q5"][..], &["q5", "0", "7"], &["q5", "2", "many"], &[]] {
            assert_eq!(Request::parse(wrong.iter().map(|word| (*word).to_owned())), None);
        }
    }
}

//! The ledger job on a cluster, and what must be true of it at its end.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::json;
use tidegate_cluster_tests::{expected, read_rows};
use tidegate_sandbox::{ClusterSandbox, Job, JobRequest};

use crate::oracles::check_store;

/// How many entries come in a second, if a test does not say otherwise: the job takes as many seconds as it has times so
/// many entries.
const RATE: u64 = 4_000;
/// Entries come so fast, and on so many accounts, that what changes from one checkpoint to the next is too large to travel
/// within acknowledgements.
const LARGE_RATE: u64 = 12_000;
const LARGE_ACCOUNTS: u64 = 12_000;
/// After the last fault, this is plenty.
const LIMIT: Duration = Duration::from_secs(60);

/// A ledger that was not submitted yet.
pub(crate) struct Ledger {
    entries: u64,
    accounts: u64,
    rate: u64,
    interval: &'static str,
    seed: u64,
}

/// A ledger on a cluster.
pub(crate) struct RunningLedger {
    ledger: Ledger,
    output: PathBuf,
    pub(crate) job: Job,
}

impl Ledger {
    pub(crate) fn of(entries: u64) -> Self {
        Self {
            entries,
            accounts: 50,
            rate: RATE,
            interval: "100ms",
            seed: 1,
        }
    }

    /// One that runs for so many seconds and has so much state that it is uploaded in segments.
    pub(crate) fn with_segments(seconds: u64) -> Self {
        Self {
            entries: seconds * LARGE_RATE,
            accounts: LARGE_ACCOUNTS,
            rate: LARGE_RATE,
            interval: "200ms",
            seed: 1,
        }
    }

    pub(crate) fn submit(self, cluster: &ClusterSandbox, parallelism: u32) -> RunningLedger {
        self.start(cluster, parallelism, None)
    }

    fn start(self, cluster: &ClusterSandbox, parallelism: u32, savepoint: Option<&str>) -> RunningLedger {
        let output = cluster.folder().join("output");
        let arguments = [
            ("--entries", self.entries.to_string()),
            ("--accounts", self.accounts.to_string()),
            ("--rate", self.rate.to_string()),
            ("--seed", self.seed.to_string()),
            ("--output", output.display().to_string()),
        ];
        let request = JobRequest {
            program: "ledger_job".to_owned(),
            arguments: arguments
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
            parallelism,
            savepoint: savepoint.map(str::to_owned),
            settings: BTreeMap::from([("checkpoints".to_owned(), json!({"interval": self.interval}))]),
        };
        let job = cluster.submit(&request);
        RunningLedger {
            ledger: self,
            output,
            job,
        }
    }
}

impl RunningLedger {
    /// Starts it anew from a savepoint, at another size.
    pub(crate) fn go_on(self, cluster: &ClusterSandbox, parallelism: u32, savepoint: &str) -> Self {
        self.ledger.start(cluster, parallelism, Some(savepoint))
    }

    /// Waits until so many more checkpoints are complete: the job is in its middle.
    pub(crate) fn progress(&self, cluster: &ClusterSandbox, checkpoints: u64) {
        self.job.wait_for_checkpoints(cluster.rest(), checkpoints);
    }

    /// How many failures the job manager has on record for it.
    pub(crate) fn attempts(&self, cluster: &ClusterSandbox) -> usize {
        let exceptions = self.job.exceptions(cluster.rest());
        exceptions
            .and_then(|exceptions| Some(exceptions["exceptionHistory"]["entries"].as_array()?.len()))
            .unwrap_or(0)
    }

    /// Waits for its end, and holds what it has written against the reference.
    pub(crate) fn finish(self, cluster: &ClusterSandbox) {
        self.job.wait_until_finished(cluster.rest(), LIMIT);
        let found = read_rows(&self.output).expect("published files can be read");
        let expected = expected(self.ledger.seed, self.ledger.entries, self.ledger.accounts);
        let lost: Vec<_> = expected
            .iter()
            .filter(|(row, _)| !found.contains_key(row))
            .take(5)
            .collect();
        let wrong: Vec<_> = found
            .iter()
            .filter(|(row, times)| expected.get(row) != Some(times))
            .take(5)
            .collect();
        assert!(
            lost.is_empty() && wrong.is_empty(),
            "lost, such as {lost:?}; doubled or wrong, such as {wrong:?}; {} rows of {}",
            found.len(),
            expected.len()
        );
        let Ledger {
            seed,
            entries,
            accounts,
            ..
        } = self.ledger;
        check_store(cluster, &self.job, seed, entries, accounts);
    }
}

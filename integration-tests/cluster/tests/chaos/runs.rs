//! Nothing goes wrong.

use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Expectation, StorageKind};

use crate::ledger::Ledger;

#[test]
fn a_job_runs_from_submission_to_its_end_in_a_directory_and_on_s3() {
    for storage in [StorageKind::Directory, StorageKind::S3] {
        let cluster = ClusterSandbox::start(ClusterOptions {
            storage,
            ..ClusterOptions::default()
        });
        let ledger = Ledger::of(12_000).submit(&cluster, 4);
        ledger.finish(&cluster);
        cluster.assert_hygiene(Expectation::Quiet);
    }
}

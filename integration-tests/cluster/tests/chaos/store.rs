//! The store does everything that a store can do wrong.

use tidegate_sandbox::{ClusterOptions, ClusterSandbox, Expectation, Link, StorageKind, eventually};

use crate::ledger::Ledger;

/// Each kind of fault, at the requests of jobs.
const FAULTS: [&str; 8] = [
    "status:503 on write at /jobs/ after 5",
    "status:500 on read at /jobs/ after 7",
    "delay:300ms on write at /jobs/ after 4",
    "reset on write at /jobs/ after 6",
    "reset-mid-body on read at /jobs/ after 3",
    "torn-write on write at /jobs/ after 5",
    "lost-answer on write at /epochs/ after 1",
    "lost-answer on delete after 2",
];

#[test]
fn faults_of_the_store_of_every_kind_delay_and_spoil_nothing() {
    let cluster = ClusterSandbox::start(ClusterOptions {
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::with_segments(20).submit(&cluster, 4);
    for fault in FAULTS {
        ledger.progress(&cluster, 1);
        let before = cluster.s3().faults().struck();
        cluster.s3().faults().add(fault.parse().unwrap());
        // What a worker had in memory is read from the store by the next.
        if fault.contains("on read") {
            cluster.workers().iter().take(1).for_each(|worker| worker.kill());
        }
        eventually(&format!("{fault} strikes"), || {
            (cluster.s3().faults().struck() > before).then_some(())
        });
        cluster.s3().faults().clear();
    }
    ledger.progress(&cluster, 1);
    // Requests that are on their way are lost without a word.
    cluster.s3_link().set_both(Link::BlackHole);
    cluster.s3_link().heal();
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

//! Processes are killed at the named points of a checkpoint: while the request that marks the point is on its way to the
//! store, or carried out and not yet answered.

use std::time::Duration;

use tidegate_sandbox::{
    ClusterOptions, ClusterSandbox, Expectation, StorageKind,
    s3::{Fault, FaultRule, Hold, Moment, Operation},
};

use crate::ledger::Ledger;

/// Who dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// The job manager, which is started again.
    JobManager,
    /// Both workers of the job.
    Workers,
    /// Everybody.
    All,
}

const REACHED: Duration = Duration::from_secs(30);

/// Points by what of the store is written then.
const POINTS: [(&str, &str, Moment, Victim); 8] = [
    (
        "before a segment is uploaded",
        "/segments/",
        Moment::Before,
        Victim::Workers,
    ),
    (
        "after a segment was uploaded",
        "/segments/",
        Moment::After,
        Victim::Workers,
    ),
    (
        "before the manifest",
        "/manifest",
        Moment::Before,
        Victim::JobManager,
    ),
    (
        "after the manifest",
        "/manifest",
        Moment::After,
        Victim::JobManager,
    ),
    ("before the claim", "/epochs/", Moment::Before, Victim::JobManager),
    ("after the claim", "/epochs/", Moment::After, Victim::JobManager),
    (
        "after the claim, everybody",
        "/epochs/",
        Moment::After,
        Victim::All,
    ),
    (
        "after the commit",
        "/committed",
        Moment::Before,
        Victim::JobManager,
    ),
];

#[test]
fn a_death_at_each_point_of_a_checkpoint_loses_and_doubles_nothing() {
    let mut cluster = ClusterSandbox::start(ClusterOptions {
        storage: StorageKind::S3,
        ..ClusterOptions::default()
    });
    let ledger = Ledger::with_segments(16).submit(&cluster, 4);
    for (point, path, moment, victim) in POINTS {
        ledger.progress(&cluster, 1);
        let hold = Hold::at(moment);
        let rule = FaultRule::every(Fault::Hold(hold.clone()))
            .on(Operation::Write)
            .at(path)
            .times(1);
        cluster.s3().faults().add(rule);
        eprintln!("{point}: {victim:?}");
        hold.reached(REACHED);
        match victim {
            Victim::JobManager => cluster.kill_job_manager(),
            Victim::Workers => cluster.workers().iter().for_each(|worker| worker.kill()),
            Victim::All => cluster.kill_all(),
        }
        cluster.s3().faults().clear();
        hold.release();
        match victim {
            Victim::JobManager => cluster.start_job_manager(),
            Victim::Workers => {}
            Victim::All => cluster.start_all(),
        }
    }
    ledger.finish(&cluster);
    cluster.assert_hygiene(Expectation::Faults);
}

//! Jobs that run, end, are suspended and go on.

use tidegate_core::Epoch;
use tidegate_driver::{DriverError, JobState, JobStore, Outcome, StartSetting};

use crate::harness::{Behaviour, Ledger, Process, STEP, assert_clean, memory, options, run};

const ENDLESS: Behaviour = Behaviour {
    endless: true,
    fails_at: None,
    declines: None,
};

#[tokio::test]
async fn a_bounded_job_counts_to_its_end_and_is_then_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_string_lossy().into_owned();
    let (store, ledger) = (JobStore::open(&location).unwrap(), Ledger::default());
    let outcome = run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
    let Outcome::Finished { epoch } = outcome else {
        panic!("{outcome:?}")
    };
    ledger.assert_complete();
    assert_clean(&store).await;

    // Another run, another process: the directory alone tells.
    let store = JobStore::open(&location).unwrap();
    let again = run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
    assert_eq!(again, Outcome::AlreadyFinished { epoch });

    let mut fresh = options();
    fresh.start = StartSetting::Fresh;
    let outcome = run(fresh, &store, &ledger, Behaviour::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Finished { .. }));
    let lineages = ledger.lineages();
    assert_eq!(lineages.len(), 2, "a fresh start is a new lineage");
    for lineage in lineages {
        assert_eq!(ledger.counted(&lineage, 0), [20, 20]);
    }
    assert_clean(&store).await;
}

#[tokio::test]
async fn a_suspended_job_goes_on_where_it_stood() {
    let (store, ledger) = (memory(), Ledger::default());
    let process = Process::start(options(), &store, &ledger, Behaviour::default()).await;
    process.until(|status| status.epoch >= Some(Epoch(2))).await;
    assert_eq!(process.handle.suspend(None).await.unwrap(), None);
    let outcome = process.end().await.unwrap();
    if let Outcome::Suspended { epoch } = outcome {
        assert!(epoch >= Some(Epoch(3)));
        assert_eq!(
            run(options(), &store, &ledger, Behaviour::default())
                .await
                .unwrap()
                .state(),
            JobState::Finished
        );
    }
    ledger.assert_complete();
}

#[tokio::test]
async fn a_cancelled_job_has_committed_what_it_claimed() {
    let (store, ledger) = (memory(), Ledger::default());
    let process = Process::start(options(), &store, &ledger, ENDLESS).await;
    process.until(|status| status.epoch >= Some(Epoch(3))).await;
    process.handle.cancel().await.unwrap();
    let status = process.handle.status();
    let outcome = process.end().await.unwrap();
    assert_eq!(outcome, Outcome::Canceled { uncommitted: None });
    let epoch = status.borrow().epoch.unwrap();
    assert_eq!(ledger.counted(&ledger.lineages()[0], 0), [epoch.0 * STEP; 2]);
}

#[tokio::test]
async fn a_second_run_takes_over_and_the_first_one_stops() {
    let (store, ledger) = (memory(), Ledger::default());
    let first = Process::start(options(), &store, &ledger, ENDLESS).await;
    first.until(|status| status.epoch >= Some(Epoch(2))).await;
    let second = Process::start(options(), &store, &ledger, ENDLESS).await;
    let error = first.end().await.unwrap_err();
    assert!(matches!(error, DriverError::Fenced { .. }), "{error}");
    second.until(|status| status.completed_checkpoints >= 3).await;
    second.handle.cancel().await.unwrap();
    second.end().await.unwrap();
    let counted = ledger.counted(&ledger.lineages()[0], 0);
    assert_eq!(counted[0], counted[1]);
}

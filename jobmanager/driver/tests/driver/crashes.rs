//! Death at every named point of the driver, again and again; the ledger does not notice.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tidegate_core::{FaultPoint, Faults};
use tidegate_driver::{DriverError, JobState, JobStore};

use crate::harness::{Behaviour, Ledger, assert_clean, memory, options, run};

const POINTS: [FaultPoint; 4] = [
    FaultPoint::BeforeManifest,
    FaultPoint::BeforeClaim,
    FaultPoint::AfterClaim,
    FaultPoint::MidCollection,
];

/// Faults that strike when `point` is reached for the `nth` time.
fn at(point: FaultPoint, nth: u32) -> Faults {
    let reached = AtomicU32::new(0);
    Faults::new(move |here| here == point && reached.fetch_add(1, SeqCst) + 1 == nth)
}

async fn survives(store: &JobStore, point: FaultPoint, nth: u32) {
    let ledger = Ledger::default();
    let mut died = 0;
    loop {
        let mut faulty = options();
        if died < 5 {
            faulty.faults = at(point, nth);
        }
        match run(faulty, store, &ledger, Behaviour::default()).await {
            Err(DriverError::Died) => died += 1,
            Ok(outcome) => {
                assert_eq!(outcome.state(), JobState::Finished);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(died > 0, "{point:?} was never reached {nth} times");
    ledger.assert_complete();
    if point != FaultPoint::MidCollection {
        assert_clean(store).await;
    }
}

#[tokio::test]
async fn death_at_any_point_loses_and_doubles_nothing() {
    for point in POINTS {
        for nth in 1..=3 {
            survives(&memory(), point, nth).await;
        }
    }
}

#[tokio::test]
async fn nor_does_it_on_a_directory() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let store = JobStore::open(&folder.path().to_string_lossy()).unwrap();
        survives(&store, point, 2).await;
    }
}

#[tokio::test]
async fn what_another_party_struck_ends_the_driver_too() {
    let (store, ledger) = (memory(), Ledger::default());
    let mut faulty = options();
    faulty.faults = Faults::new(|_| false);
    faulty.faults.kill();
    let error = run(faulty, &store, &ledger, Behaviour::default())
        .await
        .unwrap_err();
    assert!(matches!(error, DriverError::Died));
    assert!(ledger.lineages().is_empty());
}

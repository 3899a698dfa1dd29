//! Savepoints taken, listed and started from.

use tidegate_core::Epoch;
use tidegate_driver::{
    JobState, JobStore, Outcome, SavepointRequestError, StartSetting, StoreError, list_savepoints,
};

use crate::harness::{Behaviour, LIMIT, Ledger, Process, STEP, assert_clean, memory, options, run};

#[tokio::test]
async fn a_savepoint_is_a_start_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("a").to_string_lossy().into_owned();
    let (store, ledger) = (JobStore::open(&location).unwrap(), Ledger::default());
    let process = Process::start(
        options(),
        &store,
        &ledger,
        Behaviour {
            endless: true,
            ..Behaviour::default()
        },
    )
    .await;
    process.until(|status| status.epoch >= Some(Epoch(2))).await;
    let info = process.handle.savepoint("before").await.unwrap();
    assert_eq!(info.location, format!("{location}/savepoints/before"));
    let twice = process.handle.savepoint("before").await.unwrap_err();
    assert!(matches!(
        twice,
        SavepointRequestError::Store(StoreError::SavepointExists { .. })
    ));
    let bad = process.handle.savepoint("../x").await.unwrap_err();
    assert!(matches!(
        bad,
        SavepointRequestError::Store(StoreError::SavepointName { .. })
    ));
    let later = process.epoch_after(info.epoch).await;
    assert!(later > info.epoch);
    process.handle.cancel().await.unwrap();
    process.end().await.unwrap();
    assert_eq!(
        list_savepoints(&store).await.unwrap(),
        std::slice::from_ref(&info)
    );

    // By name in the same job, and by location in another one.
    let elsewhere = folder.path().join("b").to_string_lossy().into_owned();
    for (store, start) in [
        (store, "before".to_owned()),
        (JobStore::open(&elsewhere).unwrap(), info.location.clone()),
    ] {
        let ledger = Ledger::default();
        let mut from = options();
        from.start = StartSetting::FromSavepoint(start);
        let position = info.epoch.0 * STEP;
        let outcome = run(from, &store, &ledger, Behaviour::default()).await.unwrap();
        assert_eq!(outcome.state(), JobState::Finished);
        let lineages = ledger.lineages();
        assert_eq!(lineages.len(), 1);
        assert_eq!(
            ledger.counted(&lineages[0], position),
            [LIMIT.max(position); 2],
            "nothing from before the savepoint is published again"
        );
        assert_clean(&store).await;
    }
}

#[tokio::test]
async fn suspending_can_leave_a_savepoint() {
    let (store, ledger) = (memory(), Ledger::default());
    let endless = Behaviour {
        endless: true,
        ..Behaviour::default()
    };
    let process = Process::start(options(), &store, &ledger, endless).await;
    process.until(|status| status.epoch >= Some(Epoch(1))).await;
    let info = process.handle.suspend(Some("last")).await.unwrap().unwrap();
    let outcome = process.end().await.unwrap();
    assert_eq!(
        outcome,
        Outcome::Suspended {
            epoch: Some(info.epoch)
        }
    );
    assert_eq!(list_savepoints(&store).await.unwrap(), [info]);
}

#[tokio::test]
async fn a_savepoint_that_is_not_there_is_named() {
    let (store, ledger) = (memory(), Ledger::default());
    let mut from = options();
    from.start = StartSetting::FromSavepoint("nowhere".into());
    let outcome = run(from, &store, &ledger, Behaviour::default()).await.unwrap();
    let Outcome::Failed { cause, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(cause.contains("no savepoint at \"nowhere\""), "{cause}");
}

#[tokio::test]
async fn what_a_dead_run_left_of_a_savepoint_is_collected_by_the_next() {
    let (store, ledger) = (memory(), Ledger::default());
    let left = "savepoints/half/segments/2-0-0";
    store.put(left, "a copy, and no manifest").await.unwrap();
    run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
    assert_eq!(store.list("savepoints").await.unwrap(), Vec::<String>::new());
}

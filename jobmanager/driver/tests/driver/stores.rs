//! Stores that lose answers, stores that must not be used, and objects that have been damaged.

use std::sync::Arc;

use object_store::path::Path;
use tidegate_core::{Epoch, layout};
use tidegate_driver::{
    DriverError, JobState, JobStore, Outcome, StoreError,
    publish::{Publication, put_if_absent},
};

use crate::{
    harness::{Behaviour, Ledger, Process, memory, options, run},
    misbehaving::{Misbehaving, Vice},
};

fn misbehaving(vice: Vice) -> JobStore {
    JobStore::new(Arc::new(Misbehaving::new(vice)), Path::from("job"), "misbehaving")
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let (store, ledger) = (misbehaving(Vice::LosesAnswers), Ledger::default());
    let outcome = run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
    assert_eq!(outcome.state(), JobState::Finished);
    ledger.assert_complete();
}

#[tokio::test]
async fn the_first_writer_wins_and_both_know() {
    let store = misbehaving(Vice::LosesAnswers);
    for object in ["a", "b", "c", "d"] {
        let ours = put_if_absent(&store, object, "first".into()).await.unwrap();
        assert_eq!(ours, Publication::Ours);
        let theirs = put_if_absent(&store, object, "second".into()).await.unwrap();
        assert_eq!(theirs, Publication::Taken("first".into()));
        let again = put_if_absent(&store, object, "first".into()).await.unwrap();
        assert_eq!(
            again,
            Publication::Ours,
            "a repeated request of the winner's is the winner's"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_found_out_is_not_guessed() {
    let error = put_if_absent(&misbehaving(Vice::Refuses), "a", "x".into())
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Unresolved { attempts: 8, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_refused() {
    let (store, ledger) = (misbehaving(Vice::IgnoresConditions), Ledger::default());
    let error = run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DriverError::Store(StoreError::NoConditionalWrites { .. })),
        "{error}"
    );
    assert!(ledger.lineages().is_empty());
}

/// A job that stands still at a checkpoint, and its tail.
async fn suspended() -> (JobStore, Ledger, Epoch) {
    let (store, ledger) = (memory(), Ledger::default());
    let endless = Behaviour {
        endless: true,
        ..Behaviour::default()
    };
    let process = Process::start(options(), &store, &ledger, endless).await;
    process.until(|status| status.epoch >= Some(Epoch(3))).await;
    process.handle.suspend(None).await.unwrap();
    let outcome = process.end().await.unwrap();
    let Outcome::Suspended { epoch: Some(epoch) } = outcome else {
        panic!("{outcome:?}")
    };
    (store, ledger, epoch)
}

/// The cause with which the job fails to start.
async fn refusal(store: &JobStore, ledger: &Ledger) -> String {
    match run(options(), store, ledger, Behaviour::default()).await.unwrap() {
        Outcome::Failed { cause, .. } => cause,
        outcome => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn a_damaged_tail_stops_the_job_and_is_named() {
    let (store, ledger, tail) = suspended().await;
    let record = layout::epoch(tail);
    let manifest = store.list(layout::CHECKPOINTS).await.unwrap().pop().unwrap();
    for object in [record, manifest] {
        let whole = store.get(&object).await.unwrap().unwrap();
        for place in [0, 9, 20, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.to_vec();
            damaged[place] ^= 0x10;
            store.put(&object, damaged).await.unwrap();
            let cause = refusal(&store, &ledger).await;
            assert!(cause.contains(&object), "{cause}");
        }
        store.put(&object, whole.slice(..whole.len() - 7)).await.unwrap();
        let cause = refusal(&store, &ledger).await;
        assert!(cause.contains(&object), "{cause}");
        store.put(&object, whole).await.unwrap();
    }
    assert_eq!(
        store.list(layout::GENERATIONS).await.unwrap().len(),
        1,
        "nobody led meanwhile"
    );
    run(options(), &store, &ledger, Behaviour::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_manifest_or_link_stops_the_job_and_is_named() {
    let (store, ledger, tail) = suspended().await;
    let manifest = store.list(layout::CHECKPOINTS).await.unwrap().pop().unwrap();
    let link = layout::epoch(Epoch(tail.0 - 1));
    for object in [manifest, link] {
        let whole = store.get(&object).await.unwrap().unwrap();
        store.delete(&object).await.unwrap();
        let cause = refusal(&store, &ledger).await;
        assert!(cause.contains(&object), "{cause}");
        store.put(&object, whole).await.unwrap();
    }
}

//! The storage and epoch oracles: what the chain of epochs references is there and undamaged, nothing else is left, and
//! nothing was committed outside of it.

use std::collections::BTreeSet;

use tidegate::{CheckpointId, Epoch, Snapshot, StateReader, options::JobStore};
use tidegate_driver::{StoreError, list_checkpoints, list_unreferenced};

use crate::{spec::Spec, states};

/// Of how many checkpoints of a run the state is compared: the newest, and others spread over the rest.
const COMPARED: usize = 3;

fn ask<T>(question: impl Future<Output = Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be had");
    runtime.block_on(question).expect("the store can be read")
}

/// Every checkpoint that is retained can be read whole, and some of them hold what they must hold. To be called between
/// two runs.
pub(crate) fn check_retained(spec: &Spec, store: &JobStore) {
    let summaries = ask(list_checkpoints(store));
    let mut seen: BTreeSet<CheckpointId> = BTreeSet::new();
    // Seals repeat the checkpoint before them.
    let epochs = summaries
        .iter()
        .filter(|summary| summary.checkpoint.is_some_and(|id| seen.insert(id)));
    let epochs: Vec<Epoch> = epochs.map(|summary| summary.epoch).collect();
    let step = epochs.len().div_ceil(COMPARED).max(1);
    for (place, epoch) in epochs.iter().rev().enumerate() {
        let what = format!("epoch {epoch}");
        let reader = open(store, &Snapshot::Epoch(*epoch), &what);
        if place % step == 0 {
            states::check(spec, &reader, &what);
        }
    }
}

/// Opens a snapshot and sees that it is whole.
pub(crate) fn open(store: &JobStore, snapshot: &Snapshot, what: &str) -> StateReader {
    let reader = StateReader::in_store(store, snapshot).unwrap_or_else(|error| panic!("{what}: {error}"));
    reader.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    reader
}

/// What no retained checkpoint references is gone once the job has ended, whatever died half way before.
pub(crate) fn check_collected(store: &JobStore) {
    let left = ask(list_unreferenced(store));
    assert!(
        left.is_empty(),
        "nothing needs {left:?}, and they are still there"
    );
}

/// Every commit belongs to a claimed epoch, and the chain of epochs has no gap.
pub(crate) fn check_epochs(store: &JobStore, committed: &BTreeSet<Epoch>) {
    let claimed: BTreeSet<Epoch> = ask(list_checkpoints(store))
        .iter()
        .map(|summary| summary.epoch)
        .collect();
    assert!(
        !claimed.is_empty(),
        "a finished job has claimed its last checkpoint"
    );
    assert!(
        committed.is_subset(&claimed),
        "{committed:?} were committed, {claimed:?} are claimed"
    );
    let numbers: Vec<u64> = claimed.iter().map(|epoch| epoch.0).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the chain {numbers:?} has a gap"
    );
}

//! What must be true of what a job leaves in the store: the chain of epochs has no gap, what it references is there and
//! undamaged and holds the ledger's balances, and nothing else is left.

use std::{collections::BTreeMap, fs, path::Path};

use tempfile::TempDir;
use tidegate::{Snapshot, StateReader, options::JobStore};
use tidegate_cluster_tests::entry;
use tidegate_driver::{StoreError, list_checkpoints, list_unreferenced};
use tidegate_sandbox::{BUCKET, ClusterSandbox, Job, StorageKind, eventually};

/// An account's entries and its balance.
type Account = (u64, u64);

/// Looks at what a finished job has left. `entries` and the others say what its ledger was.
pub(crate) fn check_store(cluster: &ClusterSandbox, job: &Job, seed: u64, entries: u64, accounts: u64) {
    // Its last garbage is collected after its state has become known.
    eventually("nothing is left that nothing needs", || {
        with_store(cluster, job, |store| {
            ask(list_unreferenced(store)).is_empty().then_some(())
        })
    });
    with_store(cluster, job, |store| {
        check_epochs(store);
        let reader =
            StateReader::in_store(store, &Snapshot::Latest).expect("the last checkpoint can be read");
        reader.verify().expect("what it references is undamaged");
        assert_eq!(balances(&reader), expected_balances(seed, entries, accounts));
    });
}

fn check_epochs(store: &JobStore) {
    let summaries = ask(list_checkpoints(store));
    let numbers: Vec<u64> = summaries.iter().map(|summary| summary.epoch.0).collect();
    assert!(
        !numbers.is_empty() && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the chain {numbers:?} has a gap"
    );
    let generations: Vec<u64> = summaries.iter().map(|summary| summary.generation.0).collect();
    assert!(
        generations.is_sorted(),
        "an older generation claimed an epoch after a newer one: {generations:?}"
    );
    let last = summaries.last().expect("there is one");
    assert!(last.finished && last.committed, "{last:?}");
}

fn balances(reader: &StateReader) -> BTreeMap<u64, Account> {
    let states = reader.states();
    let found = states.iter().find(|(operator, _, _)| *operator == "balances");
    let (operator, state, _) = *found.expect("the balances have a state");
    let entries = reader
        .state(operator, state)
        .and_then(|state| state.value::<u64, Account>())
        .expect("it has these types");
    entries.collect::<Result<_, _>>().expect("it can be read")
}

fn expected_balances(seed: u64, entries: u64, accounts: u64) -> BTreeMap<u64, Account> {
    let mut balances: BTreeMap<u64, Account> = BTreeMap::new();
    for sequence in 0..entries {
        let entry = entry(seed, sequence, accounts);
        let account = balances.entry(entry.account).or_default();
        account.0 += 1;
        account.1 += entry.fixed;
    }
    balances
}

/// Opens a job's place in the store; of a bucket, a copy.
fn with_store<T>(cluster: &ClusterSandbox, job: &Job, look: impl FnOnce(&JobStore) -> T) -> T {
    let place = format!("jobs/{}", job.id);
    match cluster.storage_kind() {
        StorageKind::Directory => look(&open(&format!("{}/{place}", cluster.storage()))),
        StorageKind::S3 => {
            let copy = copy_bucket(cluster, &format!("cluster/{place}/"));
            look(&open(&copy.path().display().to_string()))
        }
    }
}

fn open(location: &str) -> JobStore {
    JobStore::open_existing(location).expect("the job has left something")
}

fn copy_bucket(cluster: &ClusterSandbox, prefix: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    for (key, bytes) in cluster.s3().buckets().objects(BUCKET, prefix) {
        let path = folder.path().join(key.trim_start_matches(prefix));
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }
    folder
}

fn ask<T>(question: impl Future<Output = Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be had");
    runtime.block_on(question).expect("the store can be read")
}

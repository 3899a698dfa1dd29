//! Exports of savepoints that were never finished: the copies of a leader that died in the middle of one.
//!
//! An older leader may not be dead but slow, and still publish the manifest of the copies that are about to be deleted.
//! So the manifest's place is taken first: who finds it taken has no savepoint, and who takes it looks afterwards whether
//! its copies are still there ([`savepoint::export`]).

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use tidegate_coordinator::CollectionPlan;
use tidegate_core::{
    Generation,
    control::{Manifest, SegmentLocation},
    layout,
};
use tidegate_proto::decode;

use crate::{
    error::StoreError,
    publish::{Publication, put_if_absent},
    savepoint,
    store::JobStore,
};

/// What stands in a manifest's place while the copies of an abandoned export are deleted.
const MARKER: &[u8] = b"abandoned, being deleted by generation ";

/// Whether an object in a manifest's place says that there is no savepoint.
pub(crate) fn is_marker(bytes: &[u8]) -> bool {
    bytes.starts_with(MARKER)
}

/// Deletes the copies that leaders before this one have left and no savepoint needs, and counts what was deleted.
pub(crate) async fn collect(store: &JobStore, plan: &CollectionPlan) -> Result<usize, StoreError> {
    let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in store.list(layout::SAVEPOINTS).await? {
        if let Some((name, generation)) = parse_copy(&object)
            && generation < plan.generation
            && !plan.exporting.iter().any(|exporting| exporting == name)
        {
            copies.entry(name.to_owned()).or_default().push(object);
        }
    }
    let mut deleted = 0;
    for (name, copies) in copies {
        deleted += collect_one(store, plan, &name, copies).await?;
    }
    Ok(deleted)
}

async fn collect_one(
    store: &JobStore,
    plan: &CollectionPlan,
    name: &str,
    mut doomed: Vec<String>,
) -> Result<usize, StoreError> {
    let folder = savepoint::folder(store, name);
    let found = match folder.get(savepoint::MANIFEST).await? {
        Some(found) => Some(found),
        None => {
            let marker = [MARKER, plan.generation.to_string().as_bytes()].concat();
            match put_if_absent(&folder, savepoint::MANIFEST, Bytes::from(marker)).await? {
                Publication::Ours => None,
                Publication::Taken(found) => Some(found),
            }
        }
    };
    let place = format!("{}/{name}/{}", layout::SAVEPOINTS, savepoint::MANIFEST);
    match found.filter(|found| !is_marker(found)) {
        Some(found) => {
            let manifest: Manifest = decode(&place, &found)?;
            let needed: HashSet<String> = manifest
                .segments
                .iter()
                .filter_map(|segment| match &segment.location {
                    SegmentLocation::Object(object) => {
                        Some(format!("{}/{name}/{object}", layout::SAVEPOINTS))
                    }
                    SegmentLocation::Inline(_) => None,
                })
                .collect();
            doomed.retain(|copy| !needed.contains(copy));
        }
        // The marker goes last: until then nobody can take its place.
        None => doomed.push(place),
    }
    for object in &doomed {
        store.delete(object).await?;
    }
    Ok(doomed.len())
}

/// The savepoint's name and the generation of a copy.
fn parse_copy(object: &str) -> Option<(&str, Generation)> {
    let (name, copy) = object
        .strip_prefix(layout::SAVEPOINTS)?
        .strip_prefix('/')?
        .split_once('/')?;
    let mut parts = copy
        .strip_prefix(savepoint::COPIES)?
        .strip_prefix('/')?
        .split('-');
    let (_checkpoint, generation) = (parts.next()?, parts.next()?);
    Some((name, Generation(generation.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use tidegate_core::{CheckpointId, Epoch};

    use super::*;
    use crate::savepoint::tests::manifest;

    fn plan(generation: u64, exporting: &[&str]) -> CollectionPlan {
        CollectionPlan {
            generation: Generation(generation),
            tail: Epoch(1),
            floor: Epoch(1),
            claimed: CheckpointId(1),
            retained: vec![],
            exporting: exporting.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    async fn left(store: &JobStore) -> Vec<String> {
        store.list(layout::SAVEPOINTS).await.unwrap()
    }

    #[tokio::test]
    async fn only_copies_that_a_dead_leader_left_and_nobody_needs_are_deleted() {
        let store = JobStore::open("memory://").unwrap();
        store.put("segments/a", "state").await.unwrap();
        savepoint::export(&store, "whole", Epoch(1), &manifest(3, 1))
            .await
            .unwrap();
        let kept = left(&store).await;
        assert_eq!(kept.len(), 2);
        let doomed = [
            "savepoints/half/segments/4-1-0",
            "savepoints/half/segments/4-1-1",
            "savepoints/marked/manifest.pb",
            "savepoints/marked/segments/4-1-1",
            "savepoints/whole/segments/2-1-0",
        ];
        for object in doomed {
            store.put(object, "copy").await.unwrap();
        }
        store
            .put("savepoints/marked/manifest.pb", [MARKER, b"1"].concat())
            .await
            .unwrap();
        let spared = [
            "savepoints/foreign/notes",
            "savepoints/mine/segments/5-2-0",
            "savepoints/running/segments/4-1-0",
        ];
        for object in spared {
            store.put(object, "copy").await.unwrap();
        }
        assert_eq!(collect(&store, &plan(2, &["running"])).await.unwrap(), 6);
        let mut expected: Vec<String> = spared.iter().map(|object| (*object).to_owned()).collect();
        expected.extend(kept);
        assert_eq!(left(&store).await, expected);
        assert_eq!(collect(&store, &plan(2, &["running"])).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_slow_leader_that_finds_its_place_taken_has_no_savepoint_and_leaves_nothing() {
        let store = JobStore::open("memory://").unwrap();
        store.put("segments/a", "state").await.unwrap();
        let place = "savepoints/late/manifest.pb";
        store.put(place, [MARKER, b"2"].concat()).await.unwrap();
        let refused = savepoint::export(&store, "late", Epoch(1), &manifest(3, 1)).await;
        assert!(
            matches!(refused, Err(StoreError::SavepointExists { .. })),
            "{refused:?}"
        );
        assert_eq!(left(&store).await, [place]);
        assert_eq!(crate::list_savepoints(&store).await.unwrap(), []);
    }
}

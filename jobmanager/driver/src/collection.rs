//! Garbage collection: classify first, then delete; an unclear case leaks an object rather than losing one.
//!
//! What may be in flight is spared by its number alone: objects of checkpoints after the last claimed one are not looked
//! at. A leader that has been overtaken finds epochs beyond its plan and leaves everything alone.

use std::collections::HashSet;

use tidegate_coordinator::CollectionPlan;
use tidegate_core::{
    FaultPoint, Faults,
    control::{Manifest, SegmentLocation},
    layout,
};

use crate::{chain, error::StoreError, store::JobStore};

/// Carries out a plan and counts what was deleted. Stops half way if a fault strikes, which does no harm.
pub(crate) async fn collect(
    store: &JobStore,
    plan: &CollectionPlan,
    faults: &Faults,
) -> Result<usize, StoreError> {
    // List before reading what is referenced: what comes to be meanwhile is not on the list.
    let manifests = store.list(layout::CHECKPOINTS).await?;
    let segments = store.list(layout::SEGMENTS).await?;
    let epochs = chain::list_epochs(store).await?;
    if epochs.last().is_some_and(|newest| *newest > plan.tail) {
        return Ok(0);
    }
    let referenced = referenced_segments(store, plan).await?;
    let doomed = classify(plan, &manifests, &segments, &referenced);
    let epochs = epochs
        .into_iter()
        .filter(|epoch| *epoch < plan.floor)
        .map(layout::epoch);
    let mut deleted = 0;
    for object in epochs.chain(doomed) {
        store.delete(&object).await?;
        deleted += 1;
        if faults.strikes(FaultPoint::MidCollection) {
            break;
        }
    }
    Ok(deleted)
}

/// The segments that retained manifests name. If one of these cannot be read, nothing can be told about any segment.
async fn referenced_segments(store: &JobStore, plan: &CollectionPlan) -> Result<HashSet<String>, StoreError> {
    let mut referenced = HashSet::new();
    for reference in &plan.retained {
        let manifest: Manifest = store.get_referenced(reference, "the chain of epochs").await?;
        referenced.extend(
            manifest
                .segments
                .into_iter()
                .filter_map(|segment| match segment.location {
                    SegmentLocation::Object(object) => Some(object),
                    SegmentLocation::Inline(_) => None,
                }),
        );
    }
    Ok(referenced)
}

/// What is to be deleted: manifests, oldest first, then segments.
fn classify(
    plan: &CollectionPlan,
    manifests: &[String],
    segments: &[String],
    referenced: &HashSet<String>,
) -> Vec<String> {
    let retained = |name: &String| plan.retained.iter().any(|manifest| manifest.object == *name);
    let manifests = manifests.iter().filter(|name| {
        let settled = layout::parse_manifest(name).is_some_and(|(checkpoint, _)| checkpoint <= plan.claimed);
        settled && !retained(name)
    });
    let segments = segments.iter().filter(|name| {
        let settled = layout::parse_segment(name).is_some_and(|checkpoint| checkpoint <= plan.claimed);
        settled && !referenced.contains(*name)
    });
    manifests.chain(segments).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::{Attempt, CheckpointId, Epoch, Generation, WorkerId, epoch::ManifestReference};

    #[test]
    fn only_what_is_settled_and_unreferenced_is_doomed() {
        let manifest = |n| layout::manifest(CheckpointId(n), Generation(1));
        let segment = |n| layout::segment(CheckpointId(n), Attempt(1), WorkerId(0), 0);
        let plan = CollectionPlan {
            generation: Generation(1),
            exporting: vec![],
            tail: Epoch(4),
            floor: Epoch(3),
            claimed: CheckpointId(6),
            retained: vec![ManifestReference {
                object: manifest(6),
                checkpoint: CheckpointId(6),
                size: 0,
                checksum: 0,
            }],
        };
        let manifests: Vec<_> = [2, 5, 6, 7].map(manifest).into();
        let mut segments: Vec<_> = [2, 3, 6, 7].map(segment).into();
        segments.push("segments/foreign".into());
        let referenced = [segment(3), segment(6)].into_iter().collect();
        assert_eq!(
            classify(&plan, &manifests, &segments, &referenced),
            [manifest(2), manifest(5), segment(2)]
        );
    }
}

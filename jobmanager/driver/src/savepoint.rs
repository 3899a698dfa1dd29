//! Savepoints: self-contained copies that nothing else references.
//!
//! ```text
//! savepoints/<name>/segments/<n>-<generation>-<i>    copies of checkpoint n's segments
//! savepoints/<name>/manifest.pb                      written last, only if absent: with it the savepoint exists
//! ```
//! A savepoint's manifest names segments relative to the savepoint, so that the folder can be moved as a whole.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_coordinator::SavepointInfo;
use tidegate_core::{
    Epoch, Generation,
    control::{Manifest, Segment, SegmentLocation},
    epoch::{EpochRecord, ManifestReference},
    layout,
};
use tidegate_proto::{decode, encode};
use tidegate_storage::OpenError;

use crate::{
    abandoned::is_marker,
    chain,
    effect::{Import, put_manifest},
    error::StoreError,
    publish::{Publication, put_if_absent},
    store::JobStore,
};

pub(crate) const MANIFEST: &str = "manifest.pb";
/// The folder of a savepoint's copies.
pub(crate) const COPIES: &str = "segments";
const LONGEST_NAME: usize = 100;

/// Checks that a savepoint could be called so.
pub(crate) async fn check_new_name(store: &JobStore, name: &str) -> Result<(), StoreError> {
    check_name(name)?;
    match folder(store, name).get(MANIFEST).await? {
        Some(_) => Err(StoreError::SavepointExists {
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Checks that a name could be a savepoint's: it becomes part of a path, so it must not lead anywhere.
///
/// # Errors
/// [`StoreError::SavepointName`].
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if plain && !name.is_empty() && !name.starts_with('.') && name.len() <= LONGEST_NAME {
        Ok(())
    } else {
        Err(StoreError::SavepointName {
            name: name.to_owned(),
        })
    }
}

pub(crate) fn folder(store: &JobStore, name: &str) -> JobStore {
    store.folder(layout::SAVEPOINTS).folder(name)
}

/// Copies a claimed savepoint out of the job.
pub(crate) async fn export(
    store: &JobStore,
    name: &str,
    epoch: Epoch,
    manifest: &Manifest,
) -> Result<SavepointInfo, StoreError> {
    check_name(name)?;
    let target = folder(store, name);
    let mut copies = Vec::new();
    let exported = try_export(store, &target, name, manifest, &mut copies).await;
    match exported {
        Ok((copy, size)) => Ok(info(name, &target, epoch, &copy, size)),
        // Nobody knows whether the savepoint exists: its copies stay.
        Err(error @ StoreError::Unresolved { .. }) => Err(error),
        Err(error) => {
            for copy in copies {
                if let Err(error) = target.delete(&copy).await {
                    tracing::warn!(%error, savepoint = name, "a copy is left to the next run");
                }
            }
            Err(error)
        }
    }
}

/// Copies and publishes; `copies` are the objects that may have been made.
async fn try_export(
    store: &JobStore,
    target: &JobStore,
    name: &str,
    manifest: &Manifest,
    copies: &mut Vec<String>,
) -> Result<(Manifest, u64), StoreError> {
    let mut copy = manifest.clone();
    for (i, segment) in copy.segments.iter_mut().enumerate() {
        if let SegmentLocation::Object(object) = &segment.location {
            // Exports of one name that rival for it must not overwrite each other's copies.
            let to = format!("{COPIES}/{}-{}-{i}", manifest.checkpoint, manifest.generation);
            copies.push(to.clone());
            store.copy_to(object, target, &to).await?;
            segment.location = SegmentLocation::Object(to);
        }
    }
    let body = Bytes::from(encode(&copy));
    let size = body.len() as u64;
    if let Publication::Taken(_) = put_if_absent(target, MANIFEST, body).await? {
        return Err(StoreError::SavepointExists {
            name: name.to_owned(),
        });
    }
    // A later leader may have taken the copies for abandoned before there was a manifest.
    let there = target.list(COPIES).await?;
    if let Some(gone) = copies.iter().find(|copy| !there.contains(copy)) {
        target.delete(MANIFEST).await?;
        return Err(StoreError::Missing {
            object: gone.clone(),
            named_by: format!("savepoint {name}"),
        });
    }
    Ok((copy, size))
}

pub(crate) fn info(
    name: &str,
    folder: &JobStore,
    epoch: Epoch,
    manifest: &Manifest,
    manifest_size: u64,
) -> SavepointInfo {
    let segments: u64 = manifest
        .segments
        .iter()
        .filter(|segment| matches!(segment.location, SegmentLocation::Object(_)))
        .map(|segment| segment.size)
        .sum();
    SavepointInfo {
        name: name.to_owned(),
        location: folder.location().to_owned(),
        checkpoint: manifest.checkpoint,
        epoch,
        size: segments + manifest_size,
        written_at_ms: manifest.written_at_ms,
    }
}

/// Copies a savepoint, or a checkpoint that another job retains, into a job and describes it by a manifest of the job's own.
///
/// What its sinks had staged is left out if the job that took it has published it, under its own lineage. Otherwise it is
/// published by this job as well, which is the same as publishing it once.
pub(crate) async fn import(
    store: &JobStore,
    import: Import,
) -> Result<(Arc<Manifest>, ManifestReference), StoreError> {
    let (source, mut manifest) = read(store, &import.location).await?;
    let is_published = match epoch_within(&import.location) {
        Some(_) => chain::committed(&source).await >= Some(manifest.epoch),
        None => true,
    };
    // New segments must replay after those of the savepoint, which keep their number.
    manifest.checkpoint = import.checkpoint.max(manifest.checkpoint.next());
    manifest.epoch = import.epoch;
    manifest.lineage = import.lineage;
    manifest.generation = import.generation;
    for (i, segment) in manifest.segments.iter_mut().enumerate() {
        import_segment(
            store,
            &source,
            segment,
            manifest.checkpoint.0,
            import.generation,
            i,
        )
        .await?;
    }
    if is_published {
        for (_, operator) in manifest.tasks.iter_mut().flat_map(|task| &mut task.operators) {
            operator.committables.clear();
        }
    }
    let reference = put_manifest(store, &manifest).await?;
    Ok((Arc::new(manifest), reference))
}

/// The root of another job and the epoch that a location names: `<root>/epochs/<k>`.
fn epoch_within(location: &str) -> Option<(&str, Epoch)> {
    let location = location.trim_end_matches('/');
    let (root, number) = location.rsplit_once(&format!("/{}/", layout::EPOCHS))?;
    let epoch = layout::parse_epoch(&format!("{}/{number}", layout::EPOCHS))?;
    Some((root, epoch))
}

/// The manifest of a savepoint, or of a checkpoint that a job retains, with the folder that its segments are named relative
/// to.
pub(crate) async fn read(store: &JobStore, location: &str) -> Result<(JobStore, Manifest), StoreError> {
    if let Some((root, epoch)) = epoch_within(location) {
        return read_retained(root, epoch, location).await;
    }
    let folder = resolve(store, location)?;
    let found = folder.get(MANIFEST).await?;
    let Some(bytes) = found.filter(|bytes| !is_marker(bytes)) else {
        return Err(StoreError::NoSavepoint {
            location: location.to_owned(),
        });
    };
    let manifest = decode(&format!("{}/{MANIFEST}", folder.location()), &bytes)?;
    Ok((folder, manifest))
}

async fn read_retained(root: &str, epoch: Epoch, location: &str) -> Result<(JobStore, Manifest), StoreError> {
    let missing = || StoreError::NoSavepoint {
        location: location.to_owned(),
    };
    let root = match JobStore::open_existing(root) {
        Err(StoreError::Location(OpenError::NoDirectory { .. })) => return Err(missing()),
        opened => opened?,
    };
    let object = layout::epoch(epoch);
    let record: Option<EpochRecord> = root.get_object(&object).await?;
    let reference = record.and_then(|record| record.manifest).ok_or_else(missing)?;
    let mut manifest: Manifest = root.get_referenced(&reference, &object).await?;
    // A seal repeats the manifest of an epoch before it.
    manifest.epoch = epoch;
    Ok((root, manifest))
}

async fn import_segment(
    store: &JobStore,
    source: &JobStore,
    segment: &mut Segment,
    checkpoint: u64,
    generation: Generation,
    index: usize,
) -> Result<(), StoreError> {
    if let SegmentLocation::Object(object) = &segment.location {
        let to = format!(
            "{}/{checkpoint:0>12}-import-{generation}-{index}",
            layout::SEGMENTS
        );
        source.copy_to(object, store, &to).await?;
        segment.location = SegmentLocation::Object(to);
    }
    Ok(())
}

/// A name is a savepoint of this job; a location may be one too, or lie anywhere.
fn resolve(store: &JobStore, location: &str) -> Result<JobStore, StoreError> {
    if check_name(location).is_ok() {
        return Ok(folder(store, location));
    }
    let own = store.folder(layout::SAVEPOINTS);
    let within = location
        .trim_end_matches('/')
        .strip_prefix(own.location())
        .and_then(|rest| rest.strip_prefix('/'));
    match within {
        Some(name) if check_name(name).is_ok() => Ok(own.folder(name)),
        _ => match JobStore::open_existing(location) {
            Err(StoreError::Location(OpenError::NoDirectory { location })) => {
                Err(StoreError::NoSavepoint { location })
            }
            opened => opened,
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tidegate_core::{
        BarrierKind, CheckpointId, EventTime, KeySpace, TaskId, VertexId,
        control::{OperatorSnapshot, SnapshotTimings, TaskSnapshot},
        epoch::EpochKind,
        sink::Committable,
    };
    use tidegate_proto::CommittedRecord;

    use super::*;

    /// The manifest of a savepoint with one segment, `segments/a`.
    pub(crate) fn manifest(checkpoint: u64, generation: u64) -> Manifest {
        let checkpoint = CheckpointId(checkpoint);
        Manifest {
            job: "job".into(),
            generation: Generation(generation),
            lineage: "l".into(),
            epoch: Epoch(1),
            checkpoint,
            kind: BarrierKind::Savepoint,
            finished: false,
            space: KeySpace::DEFAULT,
            graph_fingerprint: 0,
            arguments: vec![],
            written_at_ms: 0,
            segments: vec![Segment {
                location: SegmentLocation::Object("segments/a".to_owned()),
                size: 5,
                checkpoint,
                contents: vec![],
            }],
            tasks: vec![],
        }
    }

    fn task_with_committable() -> TaskSnapshot {
        let staged = OperatorSnapshot {
            committables: vec![Committable(vec![7])],
            ..OperatorSnapshot::default()
        };
        TaskSnapshot {
            task: TaskId {
                vertex: VertexId(0),
                index: 0,
            },
            watermark: EventTime::MIN,
            ended: false,
            operators: vec![("sink".into(), staged)],
            timings: SnapshotTimings::default(),
        }
    }

    #[tokio::test]
    async fn an_export_that_fails_leaves_nothing() {
        let store = JobStore::open("memory://").unwrap();
        store.put("segments/a", "state").await.unwrap();
        let mut broken = manifest(3, 1);
        let mut missing = broken.segments[0].clone();
        missing.location = SegmentLocation::Object("segments/b".to_owned());
        broken.segments.push(missing);
        assert!(export(&store, "broken", Epoch(1), &broken).await.is_err());
        assert_eq!(
            store.list(layout::SAVEPOINTS).await.unwrap(),
            Vec::<String>::new()
        );
        export(&store, "whole", Epoch(1), &manifest(3, 1)).await.unwrap();
        let taken = export(&store, "whole", Epoch(1), &manifest(4, 1)).await;
        assert!(matches!(taken, Err(StoreError::SavepointExists { .. })));
        let left = store.list(layout::SAVEPOINTS).await.unwrap();
        assert_eq!(
            left,
            ["savepoints/whole/manifest.pb", "savepoints/whole/segments/3-1-0"]
        );
    }

    #[test]
    fn retained_checkpoints_are_named_by_their_epochs() {
        let named = [
            ("/a/jobs/b/epochs/000000000007", Some(("/a/jobs/b", Epoch(7)))),
            (
                "s3://bucket/jobs/b/epochs/12/",
                Some(("s3://bucket/jobs/b", Epoch(12))),
            ),
            ("/a/jobs/b/savepoints/epochs", None),
            ("/a/jobs/b/epochs/x", None),
            ("epochs/7", None),
        ];
        for (location, expected) in named {
            assert_eq!(epoch_within(location), expected, "{location}");
        }
    }

    #[tokio::test]
    async fn a_retained_checkpoint_is_copied_with_what_is_not_published_yet() {
        let directory = tempfile::tempdir().unwrap();
        let other = JobStore::open(directory.path().join("other").to_str().unwrap()).unwrap();
        let own = JobStore::open(directory.path().join("own").to_str().unwrap()).unwrap();
        other.put("segments/a", "state").await.unwrap();
        let mut retained = manifest(3, 1);
        retained.tasks = vec![task_with_committable()];
        let reference = put_manifest(&other, &retained).await.unwrap();
        let record = EpochRecord {
            epoch: Epoch(4),
            parent: Some(Epoch(3)),
            floor: Epoch(4),
            kind: EpochKind::Checkpoint,
            generation: Generation(1),
            leader: "leader".to_owned(),
            lineage: "l".into(),
            manifest: Some(reference),
            written_at_ms: 0,
        };
        other.put("epochs/000000000004", encode(&record)).await.unwrap();
        let import_it = |checkpoint| Import {
            location: format!("{}/epochs/000000000004", other.location()),
            checkpoint: CheckpointId(checkpoint),
            epoch: Epoch(1),
            lineage: "new".into(),
            generation: Generation(1),
        };
        let staged = |manifest: &Manifest| manifest.tasks[0].operators[0].1.committables.len();
        let (imported, _) = import(&own, import_it(1)).await.unwrap();
        assert_eq!(imported.lineage.as_str(), "new");
        assert_eq!(staged(&imported), 1, "it may not be published");
        let SegmentLocation::Object(copy) = &imported.segments[0].location else {
            panic!("{imported:?}");
        };
        assert_eq!(own.get(copy).await.unwrap().unwrap(), "state");
        let committed = CommittedRecord {
            epoch: Epoch(4),
            generation: Generation(1),
        };
        other.put(layout::COMMITTED, encode(&committed)).await.unwrap();
        let (imported, _) = import(&own, import_it(9)).await.unwrap();
        assert_eq!(staged(&imported), 0, "it is published");
        let gone = format!("{}/epochs/000000000005", other.location());
        assert!(matches!(
            read(&own, &gone).await,
            Err(StoreError::NoSavepoint { .. })
        ));
    }

    #[test]
    fn names_lead_nowhere() {
        for name in ["a", "2024-01-01_x.y", "A-1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(101);
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", long.as_str()] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}

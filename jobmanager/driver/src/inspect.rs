//! Looking into a job's store without running the job.

use std::{collections::BTreeSet, fmt};

use tidegate_coordinator::SavepointInfo;
use tidegate_core::{
    BarrierKind, CheckpointId, Epoch, Generation, Lineage,
    control::{Manifest, SegmentLocation},
    epoch::{EpochKind, EpochRecord},
    layout,
};
use tidegate_proto::decode;

use crate::{abandoned::is_marker, chain, error::StoreError, savepoint, store::JobStore};

/// Which of the snapshots that a job has left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Snapshot {
    /// The checkpoint that the job would resume from.
    #[default]
    Latest,
    /// The checkpoint that an epoch was claimed for, if it is retained.
    Epoch(Epoch),
    /// A savepoint: one of the job's by its name, or one that lies anywhere by its location.
    Savepoint(String),
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("the latest checkpoint"),
            Self::Epoch(epoch) => write!(f, "the checkpoint of epoch {epoch}"),
            Self::Savepoint(name) => write!(f, "savepoint {name:?}"),
        }
    }
}

/// One epoch of a job, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointSummary {
    /// The epoch.
    pub epoch: Epoch,
    /// Why it was claimed.
    pub kind: EpochKind,
    /// Why its checkpoint was taken; `None` if the epoch is a fresh start. A seal repeats its parent's checkpoint.
    pub taken_as: Option<BarrierKind>,
    /// By which generation.
    pub generation: Generation,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The checkpoint, unless the epoch is a fresh start.
    pub checkpoint: Option<CheckpointId>,
    /// How many tasks it is of.
    pub tasks: usize,
    /// How many objects a restore reads, beside the manifest.
    pub segments: usize,
    /// How many bytes a restore reads, the manifest included.
    pub size: u64,
    /// Whether every task had ended.
    pub finished: bool,
    /// Whether sinks are known to have committed it.
    pub committed: bool,
    /// When it was claimed, in milliseconds since the Unix epoch.
    pub written_at_ms: i64,
}

/// The epochs that are kept, oldest first. Of those, only the tail is sure to be restorable.
pub async fn list_checkpoints(store: &JobStore) -> Result<Vec<CheckpointSummary>, StoreError> {
    let chain = chain::read(store).await?;
    let committed = chain.committed;
    let records = chain.links.into_iter().chain(chain.tail.map(|tail| tail.record));
    let mut summaries = Vec::new();
    for record in records {
        let mut summary = CheckpointSummary {
            epoch: record.epoch,
            kind: record.kind,
            generation: record.generation,
            lineage: record.lineage,
            taken_as: None,
            checkpoint: None,
            tasks: 0,
            segments: 0,
            size: 0,
            finished: false,
            committed: committed >= Some(record.epoch),
            written_at_ms: record.written_at_ms,
        };
        if let Some(reference) = record.manifest {
            let manifest: Manifest = store
                .get_referenced(&reference, &layout::epoch(record.epoch))
                .await?;
            let objects = manifest
                .segments
                .iter()
                .filter(|segment| matches!(segment.location, SegmentLocation::Object(_)));
            summary.checkpoint = Some(reference.checkpoint);
            summary.taken_as = Some(manifest.kind);
            summary.tasks = manifest.tasks.len();
            summary.segments = objects.clone().count();
            summary.size = reference.size + objects.map(|segment| segment.size).sum::<u64>();
            summary.finished = manifest.finished;
        }
        summaries.push(summary);
    }
    Ok(summaries)
}

/// The manifest of a snapshot, with the folder that its segments are named relative to. `None` if there is no such
/// snapshot: nothing has been claimed, the job began anew at that epoch, or its record is not kept any more.
///
/// # Errors
/// [`StoreError::NoSavepoint`] for a savepoint that is not there, and whatever is unreadable.
pub async fn read_snapshot(
    store: &JobStore,
    snapshot: &Snapshot,
) -> Result<Option<(JobStore, Manifest)>, StoreError> {
    let record: Option<EpochRecord> = match snapshot {
        Snapshot::Savepoint(location) => {
            let (folder, manifest) = savepoint::read(store, location).await?;
            return Ok(Some((folder, manifest)));
        }
        Snapshot::Latest => chain::read(store).await?.tail.map(|tail| tail.record),
        Snapshot::Epoch(epoch) => store.get_object(&layout::epoch(*epoch)).await?,
    };
    match record {
        Some(EpochRecord {
            epoch,
            manifest: Some(reference),
            ..
        }) => {
            let manifest = store.get_referenced(&reference, &layout::epoch(epoch)).await?;
            Ok(Some((store.clone(), manifest)))
        }
        _ => Ok(None),
    }
}

/// The segments and manifests in the store that no retained epoch references, in order. While the job runs, these may be
/// in flight; when it has ended they wait for the next collection.
pub async fn list_unreferenced(store: &JobStore) -> Result<Vec<String>, StoreError> {
    let mut objects = store.list(layout::CHECKPOINTS).await?;
    objects.append(&mut store.list(layout::SEGMENTS).await?);
    let chain = chain::read(store).await?;
    let mut referenced = BTreeSet::new();
    for record in chain.links.into_iter().chain(chain.tail.map(|tail| tail.record)) {
        let Some(reference) = record.manifest else {
            continue;
        };
        let manifest: Manifest = store
            .get_referenced(&reference, &layout::epoch(record.epoch))
            .await?;
        referenced.insert(reference.object);
        for segment in manifest.segments {
            if let SegmentLocation::Object(object) = segment.location {
                referenced.insert(object);
            }
        }
    }
    objects.retain(|object| !referenced.contains(object));
    Ok(objects)
}

/// The savepoints of a job, by name.
pub async fn list_savepoints(store: &JobStore) -> Result<Vec<SavepointInfo>, StoreError> {
    let mut savepoints = Vec::new();
    for object in store.list(layout::SAVEPOINTS).await? {
        let name = object.strip_prefix(layout::SAVEPOINTS).and_then(|rest| {
            rest.strip_prefix('/')?
                .strip_suffix(savepoint::MANIFEST)?
                .strip_suffix('/')
        });
        let Some(name) = name.filter(|name| !name.contains('/')) else {
            continue;
        };
        // It may be deleted while it is listed.
        if let Some(bytes) = store.get(&object).await?.filter(|bytes| !is_marker(bytes)) {
            let manifest: Manifest = decode(&object, &bytes)?;
            let folder = savepoint::folder(store, name);
            let size = bytes.len() as u64;
            savepoints.push(savepoint::info(name, &folder, manifest.epoch, &manifest, size));
        }
    }
    Ok(savepoints)
}

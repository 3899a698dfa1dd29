//! One worker's part of a checkpoint on its way to the store: packed into few segments, written once.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use tidegate_core::{
    Attempt, CheckpointId, FaultPoint, Faults, WorkerId,
    control::{Segment, SegmentContent, SegmentLocation, WorkerSnapshot},
    layout,
};
use tidegate_state::segment::{self, SegmentWriter};

use crate::{
    local_segments::LocalSegments,
    scan::{Block, TaskPart},
    segments::object_path,
};

/// A segment below this size travels inside the acknowledgement.
const INLINE_BYTES: usize = 16 * 1024;
/// A segment is closed once it has come to this size.
const SEGMENT_BYTES: usize = 256 * 1024 * 1024;

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("a fault has struck")]
    Died,
    #[error("segment {object:?} cannot be written: {cause}")]
    Store {
        object: String,
        cause: object_store::Error,
    },
    #[error(transparent)]
    Format(#[from] segment::SegmentError),
    #[error("packing a segment has panicked")]
    Panicked,
}

/// One worker's contribution to a checkpoint on its way to the store.
pub(crate) struct Upload {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) job_root: Path,
    pub(crate) attempt: Attempt,
    pub(crate) worker: WorkerId,
    pub(crate) checkpoint: CheckpointId,
    /// Where copies are kept.
    pub(crate) local: Option<Arc<LocalSegments>>,
    pub(crate) faults: Faults,
}

impl Upload {
    /// Packs the blocks of all tasks and puts what is not small. Everything in the answer is durable.
    pub(crate) async fn run(self, parts: Vec<TaskPart>) -> Result<WorkerSnapshot, UploadError> {
        if self.faults.strikes(FaultPoint::BeforeUpload) {
            return Err(UploadError::Died);
        }
        let begun = Instant::now();
        let mut snapshot = WorkerSnapshot::default();
        let mut serialised = Vec::new();
        for part in parts {
            snapshot.tasks.push(part.snapshot);
            serialised.push((part.blocks, part.spares));
        }
        let packed = tokio::task::spawn_blocking(move || {
            let packed = pack(serialised.iter().flat_map(|(blocks, _)| blocks).collect());
            for (blocks, spares) in serialised {
                spares.keep_only(blocks.into_iter().map(|block| block.bytes));
            }
            packed
        })
        .await;
        let packed = packed.map_err(|_| UploadError::Panicked)??;
        let may_inline = packed.len() == 1;
        for (index, (bytes, contents)) in packed.into_iter().enumerate() {
            let size = bytes.len() as u64;
            let checkpoint = self.checkpoint;
            let segment = |location| Segment {
                location,
                size,
                checkpoint,
                contents,
            };
            snapshot
                .segments
                .push(if may_inline && bytes.len() < INLINE_BYTES {
                    segment(SegmentLocation::Inline(bytes))
                } else {
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    let object = layout::segment(checkpoint, self.attempt, self.worker, index);
                    let segment = segment(SegmentLocation::Object(object.clone()));
                    self.write(object, &segment, bytes.into()).await?;
                    segment
                });
        }
        let upload_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        for task in &mut snapshot.tasks {
            task.timings.upload_us = upload_us;
        }
        if self.faults.strikes(FaultPoint::AfterUpload) {
            return Err(UploadError::Died);
        }
        Ok(snapshot)
    }

    /// Puts a segment into the store, and keeps a copy of it meanwhile.
    async fn write(&self, object: String, segment: &Segment, bytes: Bytes) -> Result<(), UploadError> {
        let path = object_path(&self.job_root, &object);
        let put = self.store.put(&path, bytes.clone().into());
        let keep = async {
            if let Some(local) = &self.local {
                Arc::clone(local).keep(segment.clone(), bytes).await;
            }
        };
        let (put, ()) = futures::join!(put, keep);
        put.map(drop)
            .map_err(|cause| UploadError::Store { object, cause })
    }
}

type Packed = (Vec<u8>, Vec<SegmentContent>);

/// Packs blocks so that what is read together lies together.
fn pack(mut blocks: Vec<&Block>) -> Result<Vec<Packed>, segment::SegmentError> {
    blocks.sort_by(|a, b| (&a.operator, &a.state, a.group).cmp(&(&b.operator, &b.state, b.group)));
    let mut packed = Vec::new();
    let mut writer = SegmentWriter::new();
    for block in blocks {
        if writer.len() >= SEGMENT_BYTES {
            packed.push(std::mem::take(&mut writer).finish()?);
        }
        writer.add(
            &block.operator,
            &block.state,
            block.group,
            block.kind,
            &block.bytes,
        )?;
    }
    if !writer.is_empty() {
        packed.push(writer.finish()?);
    }
    Ok(packed)
}

//! Conversions between domain types and generated messages. What is read is checked, not trusted.

use tidegate_core::{
    BarrierKind, CheckpointId, Epoch, EventTime, Generation, JobId, KeySpace, Lineage, OperatorUid, TaskId,
    VertexId,
    control::{
        GroupSet, Manifest, OperatorSnapshot, Segment, SegmentContent, SegmentLocation, SnapshotTimings,
        TaskSnapshot,
    },
    epoch::{EpochKind, EpochRecord, ManifestReference},
    sink::Committable,
    snapshot::{OperatorState, Schema},
    source::Split,
};

use crate::{
    generated as wire,
    object::DecodeReason,
    record::{CommittedRecord, GenerationRecord},
};

pub(crate) fn bad(field: &'static str, value: impl ToString) -> DecodeReason {
    DecodeReason::Field {
        field,
        value: value.to_string(),
    }
}

/// What a message must have.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, DecodeReason> {
    value.ok_or_else(|| bad(field, "nothing that this build knows"))
}

/// What a text must be.
pub(crate) fn checked<T, E>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DecodeReason>
where
    E: std::fmt::Display,
{
    parse(text).map_err(|error| bad(field, error))
}

impl From<BarrierKind> for wire::BarrierKind {
    fn from(kind: BarrierKind) -> Self {
        match kind {
            BarrierKind::Checkpoint => Self::Checkpoint,
            BarrierKind::Savepoint => Self::Savepoint,
            BarrierKind::Suspend => Self::Suspend,
            BarrierKind::SuspendWithSavepoint => Self::SuspendWithSavepoint,
        }
    }
}

pub(crate) fn barrier_kind(value: i32) -> Result<BarrierKind, DecodeReason> {
    match wire::BarrierKind::try_from(value) {
        Ok(wire::BarrierKind::Checkpoint) => Ok(BarrierKind::Checkpoint),
        Ok(wire::BarrierKind::Savepoint) => Ok(BarrierKind::Savepoint),
        Ok(wire::BarrierKind::Suspend) => Ok(BarrierKind::Suspend),
        Ok(wire::BarrierKind::SuspendWithSavepoint) => Ok(BarrierKind::SuspendWithSavepoint),
        Ok(wire::BarrierKind::Unspecified) | Err(_) => Err(bad("kind", value)),
    }
}

fn epoch_kind(value: i32) -> Result<EpochKind, DecodeReason> {
    match wire::EpochKind::try_from(value) {
        Ok(wire::EpochKind::Checkpoint) => Ok(EpochKind::Checkpoint),
        Ok(wire::EpochKind::Seal) => Ok(EpochKind::Seal),
        Ok(wire::EpochKind::Start) => Ok(EpochKind::Start),
        Ok(wire::EpochKind::Unspecified) | Err(_) => Err(bad("kind", value)),
    }
}

impl From<&GenerationRecord> for wire::GenerationRecord {
    fn from(record: &GenerationRecord) -> Self {
        Self {
            generation: record.generation.0,
            leader: record.leader.clone(),
            written_at_ms: record.written_at_ms,
        }
    }
}

impl TryFrom<wire::GenerationRecord> for GenerationRecord {
    type Error = DecodeReason;

    fn try_from(record: wire::GenerationRecord) -> Result<Self, DecodeReason> {
        Ok(Self {
            generation: Generation(record.generation),
            leader: record.leader,
            written_at_ms: record.written_at_ms,
        })
    }
}

impl From<&CommittedRecord> for wire::CommittedRecord {
    fn from(record: &CommittedRecord) -> Self {
        Self {
            epoch: record.epoch.0,
            generation: record.generation.0,
        }
    }
}

impl TryFrom<wire::CommittedRecord> for CommittedRecord {
    type Error = DecodeReason;

    fn try_from(record: wire::CommittedRecord) -> Result<Self, DecodeReason> {
        Ok(Self {
            epoch: Epoch(record.epoch),
            generation: Generation(record.generation),
        })
    }
}

impl From<&EpochRecord> for wire::EpochRecord {
    fn from(record: &EpochRecord) -> Self {
        let kind = match record.kind {
            EpochKind::Checkpoint => wire::EpochKind::Checkpoint,
            EpochKind::Seal => wire::EpochKind::Seal,
            EpochKind::Start => wire::EpochKind::Start,
        };
        Self {
            epoch: record.epoch.0,
            parent: record.parent.map(|parent| parent.0),
            floor: record.floor.0,
            kind: kind.into(),
            generation: record.generation.0,
            leader: record.leader.clone(),
            lineage: record.lineage.as_str().to_owned(),
            manifest: record.manifest.as_ref().map(|manifest| wire::ManifestReference {
                object: manifest.object.clone(),
                checkpoint: manifest.checkpoint.0,
                size: manifest.size,
                checksum: manifest.checksum,
            }),
            written_at_ms: record.written_at_ms,
        }
    }
}

impl TryFrom<wire::EpochRecord> for EpochRecord {
    type Error = DecodeReason;

    fn try_from(record: wire::EpochRecord) -> Result<Self, DecodeReason> {
        if record.epoch == 0 {
            return Err(bad("epoch", 0));
        }
        if record.floor > record.epoch {
            return Err(bad("floor", record.floor));
        }
        if record
            .parent
            .is_some_and(|parent| parent.checked_add(1) != Some(record.epoch))
        {
            return Err(bad("parent", record.parent.unwrap_or_default()));
        }
        Ok(Self {
            epoch: Epoch(record.epoch),
            parent: record.parent.map(Epoch),
            floor: Epoch(record.floor),
            kind: epoch_kind(record.kind)?,
            generation: Generation(record.generation),
            leader: record.leader,
            lineage: Lineage::new(record.lineage),
            manifest: record.manifest.map(|manifest| ManifestReference {
                object: manifest.object,
                checkpoint: CheckpointId(manifest.checkpoint),
                size: manifest.size,
                checksum: manifest.checksum,
            }),
            written_at_ms: record.written_at_ms,
        })
    }
}

impl From<&Manifest> for wire::Manifest {
    fn from(manifest: &Manifest) -> Self {
        Self {
            job: manifest.job.as_str().to_owned(),
            generation: manifest.generation.0,
            lineage: manifest.lineage.as_str().to_owned(),
            epoch: manifest.epoch.0,
            checkpoint: manifest.checkpoint.0,
            kind: wire::BarrierKind::from(manifest.kind).into(),
            finished: manifest.finished,
            max_parallelism: u32::from(manifest.space.max_parallelism()),
            graph_fingerprint: manifest.graph_fingerprint,
            arguments: manifest.arguments.clone(),
            written_at_ms: manifest.written_at_ms,
            segments: manifest.segments.iter().map(segment_to_wire).collect(),
            tasks: manifest.tasks.iter().map(task_to_wire).collect(),
        }
    }
}

impl TryFrom<wire::Manifest> for Manifest {
    type Error = DecodeReason;

    fn try_from(manifest: wire::Manifest) -> Result<Self, DecodeReason> {
        let space = u16::try_from(manifest.max_parallelism)
            .ok()
            .and_then(KeySpace::new)
            .ok_or_else(|| bad("max_parallelism", manifest.max_parallelism))?;
        Ok(Self {
            job: JobId::new(manifest.job),
            generation: Generation(manifest.generation),
            lineage: Lineage::new(manifest.lineage),
            epoch: Epoch(manifest.epoch),
            checkpoint: CheckpointId(manifest.checkpoint),
            kind: barrier_kind(manifest.kind)?,
            finished: manifest.finished,
            space,
            graph_fingerprint: manifest.graph_fingerprint,
            arguments: manifest.arguments,
            written_at_ms: manifest.written_at_ms,
            segments: manifest
                .segments
                .into_iter()
                .map(|segment| segment_from_wire(segment, space))
                .collect::<Result<_, _>>()?,
            tasks: manifest.tasks.into_iter().map(task_from_wire).collect(),
        })
    }
}

pub(crate) fn segment_to_wire(segment: &Segment) -> wire::Segment {
    wire::Segment {
        location: Some(match &segment.location {
            SegmentLocation::Object(object) => wire::segment::Location::Object(object.clone()),
            SegmentLocation::Inline(bytes) => wire::segment::Location::Inline(bytes.clone()),
        }),
        size: segment.size,
        checkpoint: segment.checkpoint.0,
        contents: segment
            .contents
            .iter()
            .map(|content| wire::SegmentContent {
                operator: content.operator.as_str().to_owned(),
                state: content.state.clone(),
                base: content.base.words().to_vec(),
                delta: content.delta.words().to_vec(),
            })
            .collect(),
    }
}

pub(crate) fn segment_from_wire(segment: wire::Segment, space: KeySpace) -> Result<Segment, DecodeReason> {
    let location = match segment.location {
        Some(wire::segment::Location::Object(object)) => SegmentLocation::Object(object),
        Some(wire::segment::Location::Inline(bytes)) => SegmentLocation::Inline(bytes),
        None => return Err(bad("segments.location", "")),
    };
    let contents = segment
        .contents
        .into_iter()
        .map(|content| {
            Ok(SegmentContent {
                operator: OperatorUid::new(content.operator),
                state: content.state,
                base: groups(content.base, space)?,
                delta: groups(content.delta, space)?,
            })
        })
        .collect::<Result<_, DecodeReason>>()?;
    Ok(Segment {
        location,
        size: segment.size,
        checkpoint: CheckpointId(segment.checkpoint),
        contents,
    })
}

/// Key groups outside the space would index out of tables later.
fn groups(words: Vec<u64>, space: KeySpace) -> Result<GroupSet, DecodeReason> {
    let limit = usize::from(space.max_parallelism());
    let highest = words
        .iter()
        .enumerate()
        .rev()
        .find(|(_, word)| **word != 0)
        .map(|(i, word)| i * 64 + 63 - word.leading_zeros() as usize);
    match highest {
        Some(group) if group >= limit => Err(bad("segments.contents key group", group)),
        _ if words.len() > usize::from(KeySpace::LIMIT) / 64 => {
            Err(bad("segments.contents number of words", words.len()))
        }
        _ => Ok(GroupSet::from_words(words)),
    }
}

pub(crate) fn task_to_wire(task: &TaskSnapshot) -> wire::TaskSnapshot {
    wire::TaskSnapshot {
        vertex: task.task.vertex.0,
        index: task.task.index,
        watermark_ms: task.watermark.0,
        ended: task.ended,
        operators: task
            .operators
            .iter()
            .map(|(uid, snapshot)| operator_to_wire(uid, snapshot))
            .collect(),
        alignment_us: task.timings.alignment_us,
        sync_us: task.timings.sync_us,
        scan_us: task.timings.scan_us,
        upload_us: task.timings.upload_us,
        written_bytes: task.timings.written_bytes,
    }
}

pub(crate) fn task_from_wire(task: wire::TaskSnapshot) -> TaskSnapshot {
    TaskSnapshot {
        task: TaskId {
            vertex: VertexId(task.vertex),
            index: task.index,
        },
        watermark: EventTime(task.watermark_ms),
        ended: task.ended,
        operators: task.operators.into_iter().map(operator_from_wire).collect(),
        timings: SnapshotTimings {
            alignment_us: task.alignment_us,
            sync_us: task.sync_us,
            scan_us: task.scan_us,
            upload_us: task.upload_us,
            written_bytes: task.written_bytes,
        },
    }
}

fn operator_to_wire(uid: &OperatorUid, snapshot: &OperatorSnapshot) -> wire::OperatorSnapshot {
    wire::OperatorSnapshot {
        operator: uid.as_str().to_owned(),
        states: snapshot
            .states
            .iter()
            .map(|state| wire::OperatorState {
                name: state.name.clone(),
                schema: state.schema.as_ref().map(schema_to_wire),
                bytes: state.bytes.clone(),
            })
            .collect(),
        keyed_schemas: snapshot.keyed_schemas.iter().map(schema_to_wire).collect(),
        committables: snapshot
            .committables
            .iter()
            .map(|committable| committable.0.clone())
            .collect(),
        splits: snapshot.splits.iter().map(split_to_wire).collect(),
    }
}

fn operator_from_wire(snapshot: wire::OperatorSnapshot) -> (OperatorUid, OperatorSnapshot) {
    let domain = OperatorSnapshot {
        states: snapshot
            .states
            .into_iter()
            .map(|state| OperatorState {
                name: state.name,
                schema: state.schema.map(schema_from_wire),
                bytes: state.bytes,
            })
            .collect(),
        keyed_schemas: snapshot.keyed_schemas.into_iter().map(schema_from_wire).collect(),
        committables: snapshot.committables.into_iter().map(Committable).collect(),
        splits: snapshot.splits.into_iter().map(split_from_wire).collect(),
    };
    (OperatorUid::new(snapshot.operator), domain)
}

fn schema_to_wire(schema: &Schema) -> wire::Schema {
    wire::Schema {
        state: schema.state.clone(),
        description: schema.description.clone(),
        fingerprint: schema.fingerprint,
    }
}

fn schema_from_wire(schema: wire::Schema) -> Schema {
    Schema {
        state: schema.state,
        description: schema.description,
        fingerprint: schema.fingerprint,
    }
}

pub(crate) fn split_to_wire(split: &Split) -> wire::Split {
    wire::Split {
        index: split.index,
        state: split.state.clone(),
    }
}

pub(crate) fn split_from_wire(split: wire::Split) -> Split {
    Split {
        index: split.index,
        state: split.state,
    }
}

//! Values of what checkpoints are made of, drawn at random.

use proptest::{prelude::*, sample::select};
use tidegate_core::{
    BarrierKind, CheckpointId, Epoch, EventTime, Generation, KeyGroup, KeySpace, TaskId, VertexId,
    control::{
        Manifest, OperatorSnapshot, Segment, SegmentContent, SegmentLocation, SnapshotTimings, TaskSnapshot,
    },
    sink::Committable,
    snapshot::{OperatorState, Schema},
    source::Split,
};

pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..20)
}

fn schema() -> impl Strategy<Value = Schema> {
    (".{0,8}", ".{0,8}", any::<u64>()).prop_map(|(state, description, fingerprint)| Schema {
        state,
        description,
        fingerprint,
    })
}

pub(crate) fn segment() -> impl Strategy<Value = Segment> {
    let location = prop_oneof![
        ".{0,12}".prop_map(SegmentLocation::Object),
        bytes().prop_map(SegmentLocation::Inline)
    ];
    let groups = || proptest::collection::vec(0..1024u16, 0..5);
    let content =
        (".{0,6}", ".{0,6}", groups(), groups()).prop_map(|(operator, state, base, delta)| SegmentContent {
            operator: operator.as_str().into(),
            state,
            base: base.into_iter().map(KeyGroup).collect(),
            delta: delta.into_iter().map(KeyGroup).collect(),
        });
    (
        location,
        any::<u64>(),
        any::<u64>(),
        proptest::collection::vec(content, 0..3),
    )
        .prop_map(|(location, size, checkpoint, contents)| Segment {
            location,
            size,
            checkpoint: CheckpointId(checkpoint),
            contents,
        })
}

pub(crate) fn task() -> impl Strategy<Value = TaskSnapshot> {
    let state = (".{0,6}", proptest::option::of(schema()), bytes())
        .prop_map(|(name, schema, bytes)| OperatorState { name, schema, bytes });
    let operator = (
        ".{0,6}",
        proptest::collection::vec(state, 0..3),
        proptest::collection::vec(schema(), 0..3),
        proptest::collection::vec(bytes().prop_map(Committable), 0..3),
        proptest::collection::vec(split(), 0..3),
    )
        .prop_map(|(uid, states, keyed_schemas, committables, splits)| {
            let snapshot = OperatorSnapshot {
                states,
                keyed_schemas,
                committables,
                splits,
            };
            (uid.as_str().into(), snapshot)
        });
    (
        any::<(u32, u32, i64, bool, [u64; 5])>(),
        proptest::collection::vec(operator, 0..3),
    )
        .prop_map(
            |((vertex, index, watermark, ended, [a, b, c, d, e]), operators)| TaskSnapshot {
                task: TaskId {
                    vertex: VertexId(vertex),
                    index,
                },
                watermark: EventTime(watermark),
                ended,
                operators,
                timings: SnapshotTimings {
                    alignment_us: a,
                    sync_us: b,
                    scan_us: c,
                    upload_us: d,
                    written_bytes: e,
                },
            },
        )
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    (
        (
            ".{0,6}",
            ".{0,6}",
            barrier_kind(),
            any::<(u64, u64, u64, bool, u64, i64)>(),
        ),
        1024..=32768u16,
        proptest::collection::vec(".{0,6}", 0..3),
        proptest::collection::vec(segment(), 0..3),
        proptest::collection::vec(task(), 0..3),
    )
        .prop_map(
            |((job, lineage, kind, numbers), groups, arguments, segments, tasks)| Manifest {
                job: job.as_str().into(),
                generation: Generation(numbers.0),
                lineage: lineage.as_str().into(),
                epoch: Epoch(numbers.1),
                checkpoint: CheckpointId(numbers.2),
                kind,
                finished: numbers.3,
                space: KeySpace::new(groups).expect("the range is valid"),
                graph_fingerprint: numbers.4,
                arguments,
                written_at_ms: numbers.5,
                segments,
                tasks,
            },
        )
}

pub(crate) fn split() -> impl Strategy<Value = Split> {
    (any::<u32>(), bytes()).prop_map(|(index, state)| Split { index, state })
}

pub(crate) fn barrier_kind() -> impl Strategy<Value = BarrierKind> {
    select(vec![
        BarrierKind::Checkpoint,
        BarrierKind::Savepoint,
        BarrierKind::Suspend,
        BarrierKind::SuspendWithSavepoint,
    ])
}

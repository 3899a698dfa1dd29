//! Stored objects come back as they were written, and anything else is a typed error that names the object.

mod support;

use proptest::{prelude::*, sample::select};
use tidegate_core::{
    ArtifactId, CheckpointId, Epoch, Generation, JobId,
    control::Manifest,
    epoch::{EpochKind, EpochRecord, ManifestReference},
};
use tidegate_proto::{
    CommittedRecord, DecodeReason, GenerationRecord, JobEnd, JobEndKind, JobRecord, decode, encode,
};

use support::{bytes, manifest};

fn epoch_record() -> impl Strategy<Value = EpochRecord> {
    let kind = select(vec![EpochKind::Checkpoint, EpochKind::Seal, EpochKind::Start]);
    let reference = (".{0,12}", any::<(u64, u64, u32)>()).prop_map(|(object, numbers)| ManifestReference {
        object,
        checkpoint: CheckpointId(numbers.0),
        size: numbers.1,
        checksum: numbers.2,
    });
    (
        1..u64::MAX,
        kind,
        ".{0,6}",
        ".{0,6}",
        proptest::option::of(reference),
        any::<(u64, i64)>(),
    )
        .prop_map(|(epoch, kind, leader, lineage, manifest, numbers)| EpochRecord {
            epoch: Epoch(epoch),
            parent: (epoch > 1).then(|| Epoch(epoch - 1)),
            floor: Epoch(1),
            kind,
            generation: Generation(numbers.0),
            leader,
            lineage: lineage.as_str().into(),
            manifest,
            written_at_ms: numbers.1,
        })
}

fn job_record() -> impl Strategy<Value = JobRecord> {
    let kinds = vec![
        JobEndKind::Finished,
        JobEndKind::Suspended,
        JobEndKind::Canceled,
        JobEndKind::Failed,
    ];
    let end = (select(kinds), any::<i64>(), ".{0,9}", any::<Option<u64>>()).prop_map(
        |(kind, at_ms, cause, epoch)| JobEnd {
            kind,
            at_ms,
            cause,
            epoch: epoch.map(Epoch),
        },
    );
    (
        "[0-9a-f]{32}",
        "[0-9a-f]{64}",
        proptest::collection::vec(".{0,9}", 0..3),
        proptest::option::of(".{0,9}"),
        any::<(bool, bool, u64, u32, i64)>(),
        proptest::option::of(end),
    )
        .prop_map(|(job, artifact, arguments, savepoint, numbers, end)| JobRecord {
            job: JobId::parse(&job).expect("the pattern fits"),
            name: "name".to_owned(),
            artifact: ArtifactId::parse(&artifact).expect("the pattern fits"),
            artifact_size_bytes: numbers.2,
            target: "x86_64-linux".to_owned(),
            graph: "{}".to_owned(),
            arguments,
            parallelism: numbers.3,
            savepoint,
            allow_non_restored_state: numbers.0,
            settings: "{\"checkpoints\":{}}".to_owned(),
            request_digest: artifact,
            submitted_at_ms: numbers.4,
            cancel_wanted: numbers.1,
            end,
        })
}

proptest! {
    #[test]
    fn manifests_come_back(manifest in manifest()) {
        prop_assert_eq!(decode::<Manifest>("m", &encode(&manifest)).unwrap(), manifest);
    }

    #[test]
    fn epoch_records_come_back(record in epoch_record()) {
        prop_assert_eq!(decode::<EpochRecord>("e", &encode(&record)).unwrap(), record);
    }

    #[test]
    fn job_records_come_back(record in job_record()) {
        prop_assert_eq!(decode::<JobRecord>("j", &encode(&record)).unwrap(), record);
    }

    #[test]
    fn small_records_come_back(numbers in any::<(u64, i64)>(), leader in ".{0,40}") {
        let generation = GenerationRecord { generation: Generation(numbers.0), leader, written_at_ms: numbers.1 };
        prop_assert_eq!(decode::<GenerationRecord>("g", &encode(&generation)).unwrap(), generation);
        let committed = CommittedRecord { epoch: Epoch(numbers.0), generation: Generation(7) };
        prop_assert_eq!(decode::<CommittedRecord>("c", &encode(&committed)).unwrap(), committed);
    }

    #[test]
    fn every_flipped_bit_is_noticed(manifest in manifest(), place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = encode(&manifest);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let error = decode::<Manifest>("checkpoints/7/manifest-1.pb", &bytes).unwrap_err();
        prop_assert!(error.to_string().contains("checkpoints/7/manifest-1.pb"));
    }

    #[test]
    fn every_truncation_and_extension_is_noticed(record in epoch_record(), cut in any::<prop::sample::Index>(), more in bytes()) {
        let bytes = encode(&record);
        let short = &bytes[..cut.index(bytes.len())];
        let reason = decode::<EpochRecord>("epochs/1", short).unwrap_err().reason;
        prop_assert!(matches!(reason, DecodeReason::Length { .. }), "{reason:?}");
        if !more.is_empty() {
            let long = [bytes, more].concat();
            let reason = decode::<EpochRecord>("epochs/1", &long).unwrap_err().reason;
            prop_assert!(matches!(reason, DecodeReason::Length { .. }), "{reason:?}");
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode::<Manifest>("m", &bytes).is_err());
        prop_assert!(decode::<EpochRecord>("e", &bytes).is_err());
    }

    /// A payload of garbage in a flawless envelope must not panic, nor allocate what it merely claims to hold.
    #[test]
    fn garbage_in_a_good_envelope_is_an_error_or_a_value(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        for tag in [b"MANI", b"EPOC", b"GENR", b"COMM"] {
            let bytes = enveloped(*tag, 1, &payload);
            let _ = decode::<Manifest>("m", &bytes);
            let _ = decode::<EpochRecord>("e", &bytes);
            let _ = decode::<GenerationRecord>("g", &bytes);
            let _ = decode::<CommittedRecord>("c", &bytes);
        }
    }
}

fn enveloped(tag: [u8; 4], version: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a small payload")
        .to_le_bytes();
    let mut bytes = [
        b"TIDE".as_slice(),
        &tag,
        &version.to_le_bytes(),
        &[0, 0],
        &length,
        payload,
    ]
    .concat();
    let sum = tidegate_proto::checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn other_objects_and_newer_versions_are_told_apart() {
    let committed = encode(&CommittedRecord {
        epoch: Epoch(1),
        generation: Generation(1),
    });
    assert_eq!(
        decode::<Manifest>("m", &committed).unwrap_err().reason,
        DecodeReason::Magic
    );
    let newer = enveloped(*b"COMM", 2, &[]);
    let error = decode::<CommittedRecord>("committed", &newer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "object \"committed\" is not readable as a committed record: it has format version 2 and this build reads up \
         to 1; use a newer build; restore the object from a copy"
    );
}

#[test]
fn values_that_must_not_be_are_named() {
    // An empty message: epoch 0, no kind.
    let error = decode::<EpochRecord>("epochs/1", &enveloped(*b"EPOC", 1, &[])).unwrap_err();
    assert!(matches!(error.reason, DecodeReason::Field { field: "epoch", .. }));
    let error = decode::<Manifest>("m", &enveloped(*b"MANI", 1, &[])).unwrap_err();
    assert!(matches!(
        error.reason,
        DecodeReason::Field {
            field: "max_parallelism",
            ..
        }
    ));
}

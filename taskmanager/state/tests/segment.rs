//! Segments: what goes in comes out, and what is damaged is refused by name.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tidegate_core::{KeyGroup, KeyGroupRange, OperatorUid, snapshot::BlockKind};
use tidegate_state::segment::{
    Footer, SegmentError, SegmentProblem, SegmentReader, SegmentWriter, TRAILER_BYTES,
};

type Blocks = Vec<(&'static str, &'static str, u16, BlockKind, Vec<u8>)>;

const ALL: KeyGroupRange = KeyGroupRange {
    start: 0,
    end: u16::MAX,
};

fn pack(blocks: &Blocks) -> Vec<u8> {
    let mut writer = SegmentWriter::new();
    for (operator, state, group, kind, bytes) in blocks {
        writer
            .add(
                &OperatorUid::from(*operator),
                state,
                KeyGroup(*group),
                *kind,
                bytes,
            )
            .unwrap();
    }
    writer.finish().unwrap().0
}

fn sample() -> Blocks {
    vec![
        ("sum", "total", 7, BlockKind::Base, vec![1, 2, 3]),
        ("sum", "total", 3, BlockKind::Delta, vec![]),
        ("join", "left", 7, BlockKind::Base, vec![9; 300]),
        ("sum", "other", 7, BlockKind::Delta, vec![4]),
    ]
}

fn read_all(bytes: &[u8]) -> Result<usize, SegmentError> {
    let reader = SegmentReader::open("segment-1", bytes)?;
    reader
        .blocks()
        .try_fold(0, |count, block| block.map(|_| count + 1))
}

fn blocks() -> impl Strategy<Value = Blocks> {
    let operator = prop::sample::select(vec!["a", "b", "sum per carrier"]);
    let state = prop::sample::select(vec!["x", "y"]);
    let kind = prop::sample::select(vec![BlockKind::Base, BlockKind::Delta]);
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec((operator, state, 0..50u16, kind, bytes), 0..30).prop_map(|mut blocks| {
        let mut seen = std::collections::HashSet::new();
        blocks.retain(|(operator, state, group, ..)| seen.insert((*operator, *state, *group)));
        blocks
    })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(blocks in blocks(), start in 0..50u16, end in 0..50u16) {
        let bytes = pack(&blocks);
        let reader = SegmentReader::open("segment-1", &bytes).unwrap();
        let range = KeyGroupRange { start, end };
        for operator in ["a", "b", "sum per carrier"] {
            for state in ["x", "y"] {
                let mut wanted: Vec<_> = blocks
                    .iter()
                    .filter(|(o, s, group, ..)| *o == operator && *s == state && range.contains(KeyGroup(*group)))
                    .map(|(_, _, group, kind, bytes)| (*group, *kind, bytes.clone()))
                    .collect();
                wanted.sort_by_key(|(group, ..)| *group);
                let found: Vec<_> = reader
                    .select(&operator.into(), state, range)
                    .map(|block| block.map(|block| (block.group.0, block.kind, block.bytes.to_vec())).unwrap())
                    .collect();
                prop_assert_eq!(found, wanted);
            }
        }
        prop_assert_eq!(reader.blocks().count(), blocks.len());
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_all(&bytes).is_err());
    }

    /// Any single flipped bit anywhere is noticed, and so is any end that is cut off.
    #[test]
    fn damage_is_noticed(blocks in blocks(), place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let bytes = pack(&blocks);
        let mut flipped = bytes.clone();
        flipped[place.index(bytes.len())] ^= 1 << bit;
        prop_assert!(read_all(&flipped).is_err());
        prop_assert!(read_all(&bytes[..place.index(bytes.len())]).is_err());
    }

    /// An index that passes its checksum but lies is refused without trusting its lengths.
    #[test]
    fn a_forged_index_is_refused_or_harmless(forged in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut bytes = pack(&sample());
        let size = bytes.len();
        let footer = Footer::locate("segment-1", size as u64, &bytes[size - TRAILER_BYTES..]).unwrap();
        let trailer_rest = bytes[size - TRAILER_BYTES + 8..].to_vec();
        bytes.truncate(footer.start as usize);
        bytes.extend_from_slice(&forged);
        bytes.extend_from_slice(&(forged.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&forged).to_le_bytes());
        bytes.extend_from_slice(&trailer_rest);
        // Whatever comes out has passed its own checksum; nothing panics and nothing large is allocated.
        let _ = read_all(&bytes);
    }
}

#[test]
fn errors_name_the_object_the_place_and_the_problem() {
    let bytes = pack(&sample());
    let problem = |bytes: &[u8]| {
        let error = read_all(bytes).unwrap_err();
        assert_eq!(error.object, "segment-1");
        (error.offset, error.problem)
    };
    let with = |offset: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[offset] = value;
        bytes
    };
    assert_eq!(problem(&with(0, b'X')), (0, SegmentProblem::Magic));
    assert_eq!(
        problem(&with(8, 9)),
        (8, SegmentProblem::Version { found: 9, known: 1 })
    );
    // The first block begins behind the header; its first byte behind length and checksum.
    assert!(matches!(
        problem(&with(20, 77)),
        (12, SegmentProblem::Checksum { .. })
    ));
    assert!(matches!(
        problem(&with(12, 77)),
        (12, SegmentProblem::Index { .. })
    ));
    assert!(matches!(
        problem(&bytes[..20]),
        (0, SegmentProblem::Truncated { .. })
    ));
    assert!(matches!(
        problem(&bytes[..bytes.len() - 1]),
        (_, SegmentProblem::Magic)
    ));
    assert!(matches!(problem(&[]), (0, SegmentProblem::Truncated { .. })));
    let error = read_all(&with(20, 77)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("segment \"segment-1\" at byte 12: its checksum is")
    );
}

#[test]
fn a_block_can_be_read_with_its_range_alone() {
    let bytes = pack(&sample());
    let size = bytes.len() as u64;
    let footer = Footer::locate("o", size, &bytes[bytes.len() - TRAILER_BYTES..]).unwrap();
    let footer = Footer::read("o", size, &bytes[footer.start as usize..]).unwrap();
    let entry = footer.select(&"join".into(), "left", ALL).next().unwrap();
    let range = entry.range();
    let part = &bytes[range.start as usize..range.end as usize];
    assert_eq!(entry.open("o", part).unwrap(), [9; 300]);
    assert!(entry.open("o", &part[..part.len() - 1]).is_err());
    assert!(entry.open("o", &[]).is_err());
}

#[test]
fn contents_say_what_is_inside() {
    let mut writer = SegmentWriter::new();
    assert!(writer.is_empty());
    let uid = OperatorUid::from("sum");
    for (group, kind) in [
        (3, BlockKind::Base),
        (1, BlockKind::Delta),
        (900, BlockKind::Base),
    ] {
        writer.add(&uid, "total", KeyGroup(group), kind, b"x").unwrap();
    }
    let twice = writer.add(&uid, "total", KeyGroup(3), BlockKind::Delta, b"y");
    assert!(matches!(twice.unwrap_err().problem, SegmentProblem::Index { .. }));
    let (_, contents) = writer.finish().unwrap();
    assert_eq!(contents.len(), 1);
    assert_eq!(contents[0].base.iter().map(|g| g.0).collect::<Vec<_>>(), [3, 900]);
    assert_eq!(contents[0].delta.iter().map(|g| g.0).collect::<Vec<_>>(), [1]);
}

//! Which segments a manifest needs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate_core::{
    CheckpointId, KeyGroup,
    control::{GroupSet, Segment, SegmentContent, SegmentLocation, live_segments},
};

fn set(groups: &[u16]) -> GroupSet {
    groups.iter().map(|group| KeyGroup(*group)).collect()
}

fn segment(checkpoint: u64, contents: &[(&str, &[u16], &[u16])]) -> Segment {
    Segment {
        location: SegmentLocation::Object(format!("s{checkpoint}")),
        size: 1,
        checkpoint: CheckpointId(checkpoint),
        contents: contents
            .iter()
            .map(|(operator, base, delta)| SegmentContent {
                operator: (*operator).into(),
                state: "s".into(),
                base: set(base),
                delta: set(delta),
            })
            .collect(),
    }
}

fn live(previous: &[Segment], new: Vec<Segment>) -> Vec<u64> {
    live_segments(previous, new, |operator| operator.as_str() != "gone")
        .iter()
        .map(|segment| segment.checkpoint.0)
        .collect()
}

#[test]
fn a_segment_lives_while_a_group_needs_it() {
    let base = segment(1, &[("a", &[0, 1, 100], &[])]);
    let delta = segment(2, &[("a", &[], &[0])]);
    assert_eq!(live(&[], vec![base.clone()]), [1]);
    assert_eq!(live(std::slice::from_ref(&base), vec![delta.clone()]), [1, 2]);
    let history = [base, delta];
    let part = segment(3, &[("a", &[0, 1], &[])]);
    assert_eq!(
        live(&history, vec![part.clone()]),
        [1, 3],
        "group 100 is still in the first"
    );
    let rest = segment(4, &[("a", &[100], &[0])]);
    let history = [history.to_vec(), vec![part]].concat();
    assert_eq!(live(&history, vec![rest]), [3, 4]);
}

#[test]
fn states_are_told_apart_and_removed_operators_are_forgotten() {
    let first = segment(1, &[("a", &[0], &[]), ("b", &[0], &[])]);
    assert_eq!(
        live(
            std::slice::from_ref(&first),
            vec![segment(2, &[("a", &[0], &[])])]
        ),
        [1, 2]
    );
    assert_eq!(
        live(&[segment(1, &[("gone", &[0], &[])])], vec![]),
        Vec::<u64>::new()
    );
    assert_eq!(
        live(&[first], vec![segment(2, &[("a", &[0], &[]), ("b", &[0], &[])])]),
        [2]
    );
}

proptest! {
    /// What lives is exactly what a restore would read: for each group, everything from its latest base on.
    #[test]
    fn exactly_what_a_restore_reads_is_kept(
        blocks in proptest::collection::vec((0..2usize, proptest::collection::btree_map(0..5u16, any::<bool>(), 0..5)), 1..10)
    ) {
        let names = ["a", "b"];
        let segments: Vec<Segment> = blocks.iter().zip(1..).map(|((operator, groups), checkpoint)| {
            let of = |is_base| groups.iter().filter(|(_, base)| **base == is_base).map(|(g, _)| *g).collect::<Vec<_>>();
            segment(checkpoint, &[(names[*operator], &of(true), &of(false))])
        }).collect();
        let mut needed = BTreeSet::new();
        let mut since_base: BTreeMap<(usize, u16), Vec<u64>> = BTreeMap::new();
        for ((operator, groups), checkpoint) in blocks.iter().zip(1..) {
            for (group, base) in groups {
                let list = since_base.entry((*operator, *group)).or_default();
                if *base {
                    list.clear();
                }
                list.push(checkpoint);
            }
        }
        needed.extend(since_base.into_values().flatten());
        let (new, previous) = segments.split_last().unwrap();
        let kept = live(previous, vec![new.clone()]);
        prop_assert_eq!(kept, needed.into_iter().collect::<Vec<_>>());
    }

    /// Pruning step by step, checkpoint after checkpoint, keeps what pruning at once would.
    #[test]
    fn pruning_can_be_repeated(
        blocks in proptest::collection::vec(proptest::collection::btree_map(0..5u16, any::<bool>(), 0..5), 1..10)
    ) {
        let segments: Vec<Segment> = blocks.iter().zip(1..).map(|(groups, checkpoint)| {
            let of = |is_base| groups.iter().filter(|(_, base)| **base == is_base).map(|(g, _)| *g).collect::<Vec<_>>();
            segment(checkpoint, &[("a", &of(true), &of(false))])
        }).collect();
        let stepwise = segments.iter().fold(Vec::new(), |kept, new| live_segments(&kept, [new.clone()], |_| true));
        let at_once = live_segments(&segments, [], |_| true);
        prop_assert_eq!(stepwise, at_once);
    }
}

//! Which blocks bring a key group back.

use tidegate_core::{
    KeyGroup, KeyGroupRange, OperatorUid,
    control::{Segment, SegmentContent},
    snapshot::BlockKind,
};

/// One block to replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayBlock {
    /// The segment that holds it, as a place in the list that was asked about.
    pub segment: usize,
    /// Whether it stands on its own.
    pub kind: BlockKind,
}

/// What brings a key group back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupReplay {
    /// The key group.
    pub group: KeyGroup,
    /// The latest base and all later changes, in the order in which they apply.
    pub blocks: Vec<ReplayBlock>,
}

/// Which blocks of which segments bring back the key groups of `range` of one state: for each the latest base and all
/// later changes. Key groups of which nothing was ever written are left out.
///
/// `segments` are those of one manifest, in any order: what counts is the checkpoint they were written for. Changes
/// without any base before them are returned as they are; loading them is refused, as it should be.
pub fn replay(
    segments: &[Segment],
    operator: &OperatorUid,
    state: &str,
    range: KeyGroupRange,
) -> Vec<GroupReplay> {
    let mut relevant: Vec<(usize, &Segment, &SegmentContent)> = segments
        .iter()
        .enumerate()
        .flat_map(|(place, segment)| {
            segment
                .contents
                .iter()
                .map(move |content| (place, segment, content))
        })
        .filter(|(_, _, content)| content.operator == *operator && content.state == state)
        .collect();
    relevant.sort_by_key(|(place, segment, _)| (segment.checkpoint, *place));
    range
        .iter()
        .map(|group| GroupReplay {
            group,
            blocks: blocks_of(group, &relevant),
        })
        .filter(|replay| !replay.blocks.is_empty())
        .collect()
}

fn blocks_of(group: KeyGroup, relevant: &[(usize, &Segment, &SegmentContent)]) -> Vec<ReplayBlock> {
    let mut blocks = Vec::new();
    for (segment, _, content) in relevant {
        let segment = *segment;
        if content.base.contains(group) {
            blocks.clear();
            blocks.push(ReplayBlock {
                segment,
                kind: BlockKind::Base,
            });
        } else if content.delta.contains(group) {
            blocks.push(ReplayBlock {
                segment,
                kind: BlockKind::Delta,
            });
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use BlockKind::{Base, Delta};
    use tidegate_core::{CheckpointId, control::SegmentLocation};

    fn segment(checkpoint: u64, state: &str, base: &[u16], delta: &[u16]) -> Segment {
        let groups = |groups: &[u16]| groups.iter().map(|group| KeyGroup(*group)).collect();
        Segment {
            location: SegmentLocation::Inline(Vec::new()),
            size: 0,
            checkpoint: CheckpointId(checkpoint),
            contents: vec![SegmentContent {
                operator: "op".into(),
                state: state.to_owned(),
                base: groups(base),
                delta: groups(delta),
            }],
        }
    }

    #[test]
    fn a_group_is_its_latest_base_and_what_came_after() {
        // Given out of order, with a gap in the checkpoints and another state in between.
        let segments = [
            segment(5, "s", &[], &[0, 1]),
            segment(1, "s", &[0, 1], &[]),
            segment(2, "s", &[2], &[0, 1]),
            segment(4, "other", &[0, 1, 2], &[]),
            segment(4, "s", &[1], &[0]),
        ];
        let range = KeyGroupRange { start: 0, end: 4 };
        let plan: Vec<_> = replay(&segments, &"op".into(), "s", range)
            .into_iter()
            .map(|replay| {
                let blocks: Vec<_> = replay.blocks.iter().map(|b| (b.segment, b.kind)).collect();
                (replay.group.0, blocks)
            })
            .collect();
        assert_eq!(
            plan,
            [
                (0, vec![(1, Base), (2, Delta), (4, Delta), (0, Delta)]),
                (1, vec![(4, Base), (0, Delta)]),
                (2, vec![(2, Base)]),
            ]
        );
        let upper = KeyGroupRange { start: 1, end: 2 };
        assert_eq!(replay(&segments, &"op".into(), "s", upper).len(), 1);
        assert!(replay(&segments, &"op".into(), "missing", range).is_empty());
    }
}

//! Which segments still count.

use std::collections::HashMap;

use crate::{
    control::{GroupSet, Segment},
    id::OperatorUid,
};

/// The segments that a restore must replay, oldest checkpoint first.
///
/// A segment is live while some key group of some state that is still `known` has a block in it at or after that
/// group's latest base. Segments of one checkpoint never hold two blocks of one key group, so they are judged together,
/// newest checkpoint first, against the bases of all newer ones.
pub fn live_segments(
    previous: &[Segment],
    new: impl IntoIterator<Item = Segment>,
    known: impl Fn(&OperatorUid) -> bool,
) -> Vec<Segment> {
    let mut all: Vec<Segment> = previous.iter().cloned().chain(new).collect();
    all.sort_by_key(|segment| segment.checkpoint);
    let mut keep = vec![false; all.len()];
    let mut based: HashMap<(&OperatorUid, &str), GroupSet> = HashMap::new();
    let nothing = GroupSet::default();
    let mut end = all.len();
    while end > 0 {
        let checkpoint = all[end - 1].checkpoint;
        let start = all[..end].partition_point(|segment| segment.checkpoint < checkpoint);
        for (segment, keep) in all[start..end].iter().zip(&mut keep[start..end]) {
            *keep = segment
                .contents
                .iter()
                .filter(|content| known(&content.operator))
                .any(|content| {
                    let newer = based
                        .get(&(&content.operator, content.state.as_str()))
                        .unwrap_or(&nothing);
                    content.base.exceeds(newer) || content.delta.exceeds(newer)
                });
        }
        for content in all[start..end].iter().flat_map(|segment| &segment.contents) {
            based
                .entry((&content.operator, content.state.as_str()))
                .or_default()
                .extend(&content.base);
        }
        end = start;
    }
    let mut keep = keep.into_iter();
    all.retain(|_| keep.next().unwrap_or(false));
    all
}

//! How much of each source a snapshot has behind it.

use std::collections::BTreeMap;

use tidegate::{StateReader, source::Split, state::codec::decode};

use crate::spec::{ITEMS, RULES, Spec, Stage, others_uid, rules_uid};

/// The records that a snapshot has behind it, of every source. Barriers are aligned, so the state in the snapshot is what
/// these records made of it, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of them.
    Whole,
    /// Those that had been emitted by then.
    Until(BTreeMap<String, Positions>),
}

/// How far the splits of a source have come: split *i* has emitted the sequences *i*, *i + stride*, … below its position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    stride: u64,
    next: BTreeMap<u64, u64>,
}

impl Positions {
    fn of(splits: &[Split]) -> Self {
        let mut positions = Self::default();
        for split in splits {
            // The position of a generator: the next sequence and the stride.
            let (next, stride): (u64, u64) =
                decode(&mut split.state.as_slice()).expect("a split is as it was written");
            positions.stride = stride;
            positions.next.insert(u64::from(split.index), next);
        }
        positions
    }

    fn has(&self, sequence: u64) -> bool {
        let split = sequence.checked_rem(self.stride);
        let next = split.and_then(|split| self.next.get(&split));
        next.is_some_and(|next| sequence < *next)
    }

    fn is_complete(&self, count: u64) -> bool {
        (0..count).all(|sequence| self.has(sequence))
    }
}

impl Cut {
    pub(crate) fn of(spec: &Spec, reader: &StateReader) -> Self {
        let sources = spec.sources().into_iter();
        Self::Until(
            sources
                .map(|(uid, _)| {
                    let positions = Positions::of(&reader.splits(&uid));
                    (uid, positions)
                })
                .collect(),
        )
    }

    /// Whether a source's record of that sequence is behind the snapshot.
    pub(crate) fn has(&self, source: &str, sequence: u64) -> bool {
        match self {
            Self::Whole => true,
            Self::Until(positions) => positions[source].has(sequence),
        }
    }

    /// Whether every source had come to its end, so that operators may have emitted what they emit at the end.
    pub(crate) fn is_complete(&self, spec: &Spec) -> bool {
        match self {
            Self::Whole => true,
            Self::Until(positions) => spec
                .sources()
                .iter()
                .all(|(uid, count)| positions[uid].is_complete(*count)),
        }
    }
}

impl Spec {
    /// The sources of the job and how many records each has.
    fn sources(&self) -> Vec<(String, u64)> {
        let mut sources = vec![(ITEMS.to_owned(), self.count)];
        for (place, stage) in self.stages.iter().enumerate() {
            match stage {
                Stage::Join => sources.push((others_uid(place), self.count)),
                Stage::Lookup => sources.push((rules_uid(place), RULES)),
                _ => {}
            }
        }
        sources
    }
}

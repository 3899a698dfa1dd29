//! Random pipelines of event time, beside the rest of a random job: a source with disorder and several splits, and what
//! is reckoned of it by windows or timers.

use proptest::prelude::*;
use tidegate::{prelude::*, source::Split, state::codec::decode};

/// What flows through a pipeline of event time, one record or several that were reduced to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) time_ms: i64,
    /// The split and the place there. Every record of the source has one of its own.
    pub(crate) ids: Vec<u64>,
}

/// The uid of the source.
pub(crate) const EVENTS: &str = "events";

/// How far apart in time the records of a split are, but for their disorder.
const STEP_MS: i64 = 10;

/// How many keys there are.
const KEYS: u64 = 5;

/// How far out of order records may come before they are too late.
pub(crate) const BOUND_MS: i64 = 60;

/// The id of a record.
fn id(split: u32, place: u32) -> u64 {
    u64::from(split) << 32 | u64::from(place)
}

/// A split of the source: so many records, which start so much later than those of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventSplit {
    pub(crate) count: u32,
    pub(crate) skew_ms: i64,
    /// Before which record the split is silent, and for how long.
    pub(crate) silence: Option<(u32, i64)>,
}

/// How far out of order records are, and so what can be told of a pipeline beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disorder {
    /// No record comes later than the bound: there is one right output.
    Within,
    /// Records come later than the bound, from one split that one task reads record by record: which are late, and what
    /// each window holds in the end, is certain.
    BeyondAlone,
    /// Which records are late is left to chance, and nothing else.
    Racing(Race),
}

/// Why it is left to chance which records are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Race {
    /// Several splits have more disorder than the bound.
    Splits,
    /// Splits that are silent for a while do not hold the watermark.
    Idleness,
    /// Watermarks are assigned where the records of several tasks have been mixed.
    Mixed,
}

/// What records pass between where watermarks are assigned and where they are reckoned with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Passage {
    /// They are dealt in turn.
    Shuffle,
    /// They are divided and united again.
    SplitAndUnite,
    /// They pass a function with a key of its own.
    Keyed,
}

/// How windows lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Tumbling { size: i64, offset: i64 },
    Sliding { size: i64, slide: i64 },
    Session { gap: i64 },
}

/// What makes results of the records of a window. All say which records those were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contents {
    Aggregate,
    Reduce,
    Process,
}

/// Something that goes by event time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reckoning {
    Windows {
        shape: Shape,
        contents: Contents,
        lateness: i64,
    },
    /// A function that gathers records until a timer comes, as tumbling windows would.
    Timers { size: i64 },
}

impl Reckoning {
    pub(crate) fn shape(&self) -> Shape {
        match *self {
            Self::Windows { shape, .. } => shape,
            Self::Timers { size } => Shape::Tumbling { size, offset: 0 },
        }
    }

    pub(crate) fn lateness(&self) -> i64 {
        match *self {
            Self::Windows { lateness, .. } => lateness,
            Self::Timers { .. } => 0,
        }
    }
}

/// A random pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) splits: Vec<EventSplit>,
    pub(crate) disorder: Disorder,
    /// Whether a task reads its splits one after the other, or in turn.
    pub(crate) one_by_one: bool,
    /// Whether watermarks are assigned right behind the source, or behind operators fused with it.
    pub(crate) behind_fused: bool,
    pub(crate) passages: Vec<Passage>,
    pub(crate) reckonings: Vec<Reckoning>,
    /// The size of the windows in which the results of the first reckoning are gathered, if they are.
    pub(crate) again: Option<i64>,
}

impl Events {
    /// Record `place` of a split, before it has a disorder of `up_to_ms`.
    fn event(&self, split: u32, place: u32) -> Event {
        let id = id(split, place);
        let mixed = (id ^ 0x5bd1_e995).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let up_to_ms = match self.disorder {
            Disorder::Within | Disorder::Racing(Race::Idleness | Race::Mixed) => BOUND_MS,
            Disorder::BeyondAlone | Disorder::Racing(Race::Splits) => 5 * BOUND_MS,
        };
        let behind = i64::try_from(mixed >> 40).unwrap_or(0) % (up_to_ms + 1);
        let in_order = self.splits[split as usize].skew_ms + i64::from(place) * STEP_MS;
        Event {
            key: (mixed >> 24) % KEYS,
            time_ms: in_order - behind,
            ids: vec![id],
        }
    }

    /// The records of a split from a place on.
    pub(crate) fn of_split(&self, split: u32, from: u32) -> impl Iterator<Item = Event> + '_ {
        let count = self.splits.get(split as usize).map_or(0, |split| split.count);
        (from..count).map(move |place| self.event(split, place))
    }

    /// All records of the source, split by split.
    pub(crate) fn all(&self) -> impl Iterator<Item = Event> + '_ {
        (0u32..)
            .zip(&self.splits)
            .flat_map(|(split, _)| self.of_split(split, 0))
    }

    /// How far the watermark had come where a snapshot was taken, if nothing is late.
    pub(crate) fn watermark(&self, cut: &EventCut) -> i64 {
        let open = (0u32..)
            .zip(&self.splits)
            .filter(|(split, of)| cut.next(*split) < of.count);
        let of_splits = open.map(|(split, _)| {
            let read = self.of_split(split, 0).take(cut.next(split) as usize);
            read.map(|event| event.time_ms - BOUND_MS - 1)
                .max()
                .unwrap_or(i64::MIN)
        });
        of_splits.min().unwrap_or(i64::MAX)
    }
}

/// How far the splits of the source have come.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventCut(Vec<u32>);

impl EventCut {
    /// Where splits were in a snapshot. Before they were found, nothing had been read.
    pub(crate) fn of(splits: &[Split]) -> Self {
        let mut next = vec![0; splits.len()];
        for split in splits {
            next[split.index as usize] =
                decode(&mut split.state.as_slice()).expect("a split is as it was written");
        }
        Self(next)
    }

    /// The first record of a split that is not behind the cut.
    fn next(&self, split: u32) -> u32 {
        self.0.get(split as usize).copied().unwrap_or(0)
    }

    /// Whether a record is behind the cut.
    pub(crate) fn has(&self, id: u64) -> bool {
        let (split, place) = ((id >> 32) as u32, id as u32);
        place < self.next(split)
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (20..300i64, 0..20i64).prop_map(|(size, offset)| Shape::Tumbling { size, offset }),
        (10..60i64, 0..200i64).prop_map(|(slide, longer)| Shape::Sliding {
            size: slide + longer,
            slide
        }),
        // So many slices a window that what they come to is kept.
        Just(Shape::Sliding { size: 500, slide: 20 }),
        (10..120i64).prop_map(|gap| Shape::Session { gap }),
    ]
}

fn reckonings() -> impl Strategy<Value = Reckoning> {
    let contents = prop::sample::select(vec![Contents::Aggregate, Contents::Reduce, Contents::Process]);
    let lateness = prop_oneof![Just(0i64), 1..300i64];
    prop_oneof![
        4 => (shapes(), contents, lateness)
            .prop_map(|(shape, contents, lateness)| Reckoning::Windows { shape, contents, lateness }),
        1 => (20..300i64).prop_map(|size| Reckoning::Timers { size }),
    ]
}

/// Random pipelines of event time.
pub(crate) fn pipelines() -> impl Strategy<Value = Events> {
    let disorder = prop_oneof![
        4 => Just(Disorder::Within),
        2 => Just(Disorder::BeyondAlone),
        1 => Just(Disorder::Racing(Race::Splits)),
        1 => Just(Disorder::Racing(Race::Idleness)),
        1 => Just(Disorder::Racing(Race::Mixed)),
    ];
    let count = prop_oneof![1 => Just(0u32), 5 => 1..150u32];
    let silence = prop::option::weighted(0.3, (0..60u32, 5..25i64));
    let split = (count, -500..500i64, silence).prop_map(|(count, skew_ms, silence)| EventSplit {
        count,
        skew_ms,
        silence,
    });
    let passages = prop::sample::select(vec![Passage::Shuffle, Passage::SplitAndUnite, Passage::Keyed]);
    (
        disorder,
        prop::collection::vec(split, 1..6),
        any::<(bool, bool)>(),
        prop::collection::vec(passages, 0..3),
        prop::collection::vec(reckonings(), 1..3),
        prop::option::weighted(0.3, 50..400i64),
    )
        .prop_map(
            |(disorder, mut splits, (one_by_one, behind_fused), mut passages, reckonings, again)| {
                let is_alone = disorder == Disorder::BeyondAlone;
                if is_alone {
                    splits.truncate(1);
                    splits[0].count = 3 * splits[0].count.max(20);
                    // Where tasks meet, records and watermarks race.
                    passages.clear();
                }
                Events {
                    splits,
                    disorder,
                    one_by_one,
                    behind_fused: behind_fused && !is_alone,
                    passages,
                    reckonings,
                    again: again.filter(|_| disorder == Disorder::Within),
                }
            },
        )
}

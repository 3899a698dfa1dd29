//! Random jobs: what they are made of.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate::prelude::*;

use crate::events::{Events, pipelines};

/// What flows through every random job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) key: u64,
    pub(crate) value: i64,
    /// The source and the sequence there: no two items share one at first.
    pub(crate) id: u64,
}

/// Keys are dealt to splits by their remainder modulo this, which every parallelism we use divides: all items of a key
/// come from one split, in the order of their sequence.
const KEY_CLASSES: u64 = 12;

/// The item with a sequence, of one of two sources.
pub(crate) fn item(source: u64, sequence: u64) -> Item {
    let mixed = (sequence ^ (source << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Item {
        key: sequence % KEY_CLASSES + KEY_CLASSES * ((mixed >> 33) % 3),
        value: i64::try_from(mixed >> 50).unwrap_or(0),
        id: source << 32 | sequence,
    }
}

impl Item {
    /// Its place in its source.
    pub(crate) fn sequence(&self) -> u64 {
        self.id & 0xffff_ffff
    }
}

/// The uid of the main source.
pub(crate) const ITEMS: &str = "items";

/// The uid of a stage.
pub(crate) fn stage_uid(place: usize) -> String {
    format!("stage-{place}")
}

/// The uid of the source that a [`Stage::Join`] joins with.
pub(crate) fn others_uid(place: usize) -> String {
    format!("stage-{place}-others")
}

/// The uid of the source of a [`Stage::Lookup`]'s rules.
pub(crate) fn rules_uid(place: usize) -> String {
    format!("stage-{place}-rules")
}

/// How many rules the lookup stage knows.
pub(crate) const RULES: u64 = 5;

/// One stage of a random job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Adds to the value.
    Add(i64),
    /// Drops items whose value has this remainder modulo 4.
    Drop(i64),
    /// Repeats every item.
    Repeat(u64),
    /// Splits by the value's parity, changes one side, unites them again.
    SplitAndUnite,
    /// Sends even keys to an output of their own.
    DivertEven,
    /// Deals items in turn, whatever their key.
    Shuffle,
    /// The running sum of the key's values.
    RunningSum,
    /// A function with a state of every kind.
    Remember,
    /// Joins with the second source by key and sequence.
    Join,
    /// Waits for a rule from a broadcast stream and applies it.
    Lookup,
    /// The first item of every value of the key.
    Deduplicate,
}

/// A random job with the faults that strike it.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) count: u64,
    pub(crate) stages: Vec<Stage>,
    /// One sum per key at the end, beside the items themselves.
    pub(crate) with_totals: bool,
    /// The sequence of an item on which user code panics, once.
    pub(crate) poison: Option<u64>,
    /// For each run but the last: at which point it dies, and at the how-manieth time the point is passed.
    pub(crate) deaths: Vec<(usize, u64)>,
    /// For each run: workers and slots.
    pub(crate) sizes: Vec<(u32, u32)>,
    /// Whether checkpoints of all runs but the last time out so fast that many are aborted.
    pub(crate) hasty: bool,
    /// Whether output goes to files, whose commits can die half way, or to memory.
    pub(crate) in_files: bool,
    /// Whether all checkpoints are retained, so that the chain of epochs can be looked at as a whole, or only the last.
    pub(crate) keeps_all: bool,
    /// In which run a savepoint is taken, and after how many checkpoints; another job starts from it.
    pub(crate) savepoint: Option<(usize, u64)>,
    /// A pipeline of event time beside the rest.
    pub(crate) events: Option<Arc<Events>>,
}

fn stages() -> impl Strategy<Value = Stage> {
    prop_oneof![
        (1..100i64).prop_map(Stage::Add),
        (0..4i64).prop_map(Stage::Drop),
        (2..4u64).prop_map(Stage::Repeat),
        Just(Stage::SplitAndUnite),
        Just(Stage::DivertEven),
        Just(Stage::Shuffle),
        Just(Stage::RunningSum),
        Just(Stage::Remember),
        Just(Stage::Join),
        Just(Stage::Lookup),
        Just(Stage::Deduplicate),
    ]
}

/// Random jobs under random faults.
pub(crate) fn specs() -> impl Strategy<Value = Spec> {
    let sizes = prop::sample::select(vec![(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]);
    (
        200..1500u64,
        prop::collection::vec(stages(), 1..5),
        any::<bool>(),
        prop::option::weighted(0.3, 0..200u64),
        prop::collection::vec((0..tidegate::FaultPoint::ALL.len(), 0..6u64), 0..4),
        prop::collection::vec(sizes, 5),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        any::<bool>(),
        (
            prop::option::weighted(0.5, (0..3usize, 0..4u64)),
            prop::option::weighted(0.6, pipelines()),
        ),
    )
        .prop_map(
            |(
                count,
                stages,
                with_totals,
                poison,
                deaths,
                sizes,
                hasty,
                in_files,
                keeps_all,
                (savepoint, events),
            )| {
                Spec {
                    count,
                    stages,
                    with_totals,
                    poison,
                    deaths,
                    sizes,
                    hasty,
                    in_files,
                    keeps_all,
                    savepoint,
                    events: events.map(Arc::new),
                }
            },
        )
}

/// What a job must have put out, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) items: Vec<Item>,
    pub(crate) diverted: Vec<Item>,
    pub(crate) totals: Vec<(u64, i64)>,
}

impl Output {
    /// What is left when what had been put out `before` is taken away. Totals come at the end.
    pub(crate) fn without(&self, before: &Self) -> Self {
        Self {
            items: without(&self.items, &before.items),
            diverted: without(&self.diverted, &before.diverted),
            totals: self.totals.clone(),
        }
    }
}

fn without<T: Ord + Clone>(all: &[T], before: &[T]) -> Vec<T> {
    let mut before = before.iter().peekable();
    let rest = all.iter().filter(|element| before.next_if_eq(element).is_none());
    let rest = rest.cloned().collect();
    assert!(
        before.next().is_none(),
        "an earlier output is part of the later one"
    );
    rest
}

/// Whether items of a key still come in the order of their sequence after a stage, if they did before.
pub(crate) fn keeps_order(stage: Stage) -> bool {
    !matches!(stage, Stage::SplitAndUnite | Stage::Shuffle | Stage::Join)
}

/// What a rule adds.
pub(crate) fn rule(index: u64) -> i64 {
    i64::try_from(index * index * 7 + 1).unwrap_or(0)
}

/// An item several times.
pub(crate) fn repeat(item: Item, times: u64) -> impl Iterator<Item = Item> {
    (0..times).map(move |i| Item {
        value: item.value.wrapping_add(i as i64),
        ..item
    })
}

/// What [`Stage::Remember`] makes of its states.
pub(crate) fn digest(count: i64, recent: usize, in_class: i64, sum: i64, least: Option<i64>) -> i64 {
    let recent = i64::try_from(recent).unwrap_or(0);
    [count, recent, in_class, sum, least.unwrap_or(0)]
        .into_iter()
        .fold(17i64, |digest, part| digest.wrapping_mul(31).wrapping_add(part))
}

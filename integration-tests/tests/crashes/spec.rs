//! Random jobs: what they are made of, and what plain sequential code says they compute.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate::prelude::*;

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
    )
        .prop_map(
            |(count, stages, with_totals, poison, deaths, sizes, hasty, in_files, keeps_all)| Spec {
                count,
                stages,
                with_totals,
                poison,
                deaths,
                sizes,
                hasty,
                in_files,
                keeps_all,
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

/// Whether items of a key still come in the order of their sequence after a stage, if they did before.
pub(crate) fn keeps_order(stage: Stage) -> bool {
    !matches!(stage, Stage::SplitAndUnite | Stage::Shuffle | Stage::Join)
}

/// What a rule adds.
pub(crate) fn rule(index: u64) -> i64 {
    i64::try_from(index * index * 7 + 1).unwrap_or(0)
}

/// Computes the output one item after the other.
pub(crate) fn interpret(spec: &Spec) -> Output {
    let mut items: Vec<Item> = (0..spec.count).map(|sequence| item(0, sequence)).collect();
    let mut output = Output::default();
    let mut is_ordered = true;
    for stage in &spec.stages {
        items = apply(*stage, items, is_ordered, spec.count, &mut output.diverted);
        is_ordered &= keeps_order(*stage);
    }
    if spec.with_totals {
        let mut totals: BTreeMap<u64, i64> = BTreeMap::new();
        for item in &items {
            let total = totals.entry(item.key).or_default();
            *total = total.wrapping_add(item.value);
        }
        output.totals = totals.into_iter().collect();
    }
    output.items = items;
    output.items.sort_unstable();
    output.diverted.sort_unstable();
    output
}

fn apply(
    stage: Stage,
    items: Vec<Item>,
    is_ordered: bool,
    count: u64,
    diverted: &mut Vec<Item>,
) -> Vec<Item> {
    let with = |item: Item, value: i64| Item { value, ..item };
    match stage {
        Stage::Add(amount) => items
            .into_iter()
            .map(|i| with(i, i.value.wrapping_add(amount)))
            .collect(),
        Stage::Drop(remainder) => items
            .into_iter()
            .filter(|i| i.value.rem_euclid(4) != remainder)
            .collect(),
        Stage::Repeat(times) => items.into_iter().flat_map(|i| repeat(i, times)).collect(),
        Stage::SplitAndUnite => {
            let odd = |i: Item| {
                if i.value % 2 == 0 {
                    i
                } else {
                    with(i, i.value.wrapping_mul(3))
                }
            };
            items.into_iter().map(odd).collect()
        }
        Stage::DivertEven => {
            let (even, odd): (Vec<_>, Vec<_>) = items.into_iter().partition(|i| i.key % 2 == 0);
            diverted.extend(even);
            odd
        }
        Stage::Shuffle => items,
        Stage::RunningSum if is_ordered => {
            let mut sums: BTreeMap<u64, i64> = BTreeMap::new();
            let add = |i: Item| {
                let sum = sums.entry(i.key).or_default();
                *sum = sum.wrapping_add(i.value);
                Item {
                    key: i.key,
                    value: *sum,
                    id: 0,
                }
            };
            items.into_iter().map(add).collect()
        }
        // Without an order only the number of results is certain.
        Stage::RunningSum => items
            .into_iter()
            .map(|i| Item {
                key: i.key,
                value: 0,
                id: 0,
            })
            .collect(),
        Stage::Remember => {
            let mut memory: BTreeMap<u64, Memory> = BTreeMap::new();
            let recall = |i: Item| with(i, memory.entry(i.key).or_default().remember(i, is_ordered));
            items.into_iter().map(recall).collect()
        }
        Stage::Join => {
            let others: BTreeMap<(u64, u64), i64> = (0..count)
                .map(|sequence| item(1, sequence))
                .map(|o| ((o.key, o.id & 0xffff_ffff), o.value))
                .collect();
            let join = |i: Item| {
                let other = others.get(&(i.key, i.id & 0xffff_ffff))?;
                Some(with(i, i.value.wrapping_add(*other)))
            };
            items.into_iter().filter_map(join).collect()
        }
        Stage::Lookup => items
            .into_iter()
            .map(|i| with(i, i.value.wrapping_add(rule(i.key % RULES))))
            .collect(),
        Stage::Deduplicate => {
            let mut seen = BTreeSet::new();
            let first = |i: &Item| seen.insert((i.key, i.value));
            let firsts = items.into_iter().filter(first);
            firsts
                .map(|i| Item {
                    key: i.key,
                    value: i.value,
                    id: 0,
                })
                .collect()
        }
    }
}

/// An item several times.
pub(crate) fn repeat(item: Item, times: u64) -> impl Iterator<Item = Item> {
    (0..times).map(move |i| Item {
        value: item.value.wrapping_add(i as i64),
        ..item
    })
}

/// What [`Stage::Remember`] keeps of a key, in plain collections.
#[derive(Default)]
struct Memory {
    count: i64,
    recent: Vec<i64>,
    by_class: BTreeMap<i64, i64>,
    sum: i64,
    least: Option<i64>,
}

impl Memory {
    fn remember(&mut self, item: Item, is_ordered: bool) -> i64 {
        self.count += 1;
        self.recent.push(item.value);
        if self.recent.len() > 3 {
            self.recent.clear();
        }
        let class = item.value.rem_euclid(5);
        let in_class = self.by_class.entry(class).or_default();
        *in_class += 1;
        let in_class = *in_class;
        if in_class >= 4 {
            self.by_class.remove(&class);
        }
        self.sum = self.sum.wrapping_add(item.value);
        self.least = Some(self.least.map_or(item.value, |least| least.min(item.value)));
        if is_ordered {
            digest(self.count, self.recent.len(), in_class, self.sum, self.least)
        } else {
            item.value
        }
    }
}

/// What [`Stage::Remember`] makes of its states.
pub(crate) fn digest(count: i64, recent: usize, in_class: i64, sum: i64, least: Option<i64>) -> i64 {
    let recent = i64::try_from(recent).unwrap_or(0);
    [count, recent, in_class, sum, least.unwrap_or(0)]
        .into_iter()
        .fold(17i64, |digest, part| digest.wrapping_mul(31).wrapping_add(part))
}

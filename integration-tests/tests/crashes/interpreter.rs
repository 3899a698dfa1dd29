//! What plain sequential code computes: the output of a random job and the state it keeps, one item after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use crate::{
    cut::Cut,
    functions::far_timer,
    spec::{
        ITEMS, Item, Output, RULES, Spec, Stage, digest, item, keeps_order, others_uid, repeat, rule,
        rules_uid, stage_uid,
    },
};

/// The contents of keyed states, in words: by operator and state, then by key.
pub(crate) type States = BTreeMap<(String, &'static str), BTreeMap<String, String>>;

/// The contents of one state, in words.
pub(crate) fn contents<K: Debug, V: Debug>(
    entries: impl IntoIterator<Item = (K, V)>,
) -> BTreeMap<String, String> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (format!("{key:?}"), format!("{value:?}")))
        .collect()
}

/// Computes what a job has put out and what it remembers when it has taken what is behind `cut`, and no end of input.
pub(crate) fn interpret(spec: &Spec, cut: &Cut) -> (Output, States) {
    let behind = (0..spec.count).filter(|sequence| cut.has(ITEMS, *sequence));
    let mut job = Interpreter {
        spec,
        cut,
        items: behind.map(|sequence| item(0, sequence)).collect(),
        is_ordered: true,
        output: Output::default(),
        states: States::new(),
    };
    for (place, stage) in spec.stages.iter().enumerate() {
        job.apply(place, *stage);
        job.is_ordered &= keeps_order(*stage);
    }
    let Interpreter {
        items,
        mut output,
        mut states,
        ..
    } = job;
    if spec.with_totals {
        let mut totals: BTreeMap<u64, i64> = BTreeMap::new();
        for item in &items {
            let total = totals.entry(item.key).or_default();
            *total = total.wrapping_add(item.value);
        }
        states.insert(("totals".to_owned(), "accumulator"), contents(&totals));
        output.totals = totals.into_iter().collect();
    }
    output.items = items;
    output.items.sort_unstable();
    output.diverted.sort_unstable();
    (output, states)
}

struct Interpreter<'a> {
    spec: &'a Spec,
    cut: &'a Cut,
    items: Vec<Item>,
    /// Whether items of a key come in the order of their sequence.
    is_ordered: bool,
    output: Output,
    states: States,
}

fn with(item: Item, value: i64) -> Item {
    Item { value, ..item }
}

impl Interpreter<'_> {
    fn apply(&mut self, place: usize, stage: Stage) {
        let items = std::mem::take(&mut self.items).into_iter();
        self.items = match stage {
            Stage::Add(amount) => items.map(|i| with(i, i.value.wrapping_add(amount))).collect(),
            Stage::Drop(remainder) => items.filter(|i| i.value.rem_euclid(4) != remainder).collect(),
            Stage::Repeat(times) => items.flat_map(|i| repeat(i, times)).collect(),
            Stage::SplitAndUnite => {
                let odd = |i: Item| match i.value % 2 {
                    0 => i,
                    _ => with(i, i.value.wrapping_mul(3)),
                };
                items.map(odd).collect()
            }
            Stage::DivertEven => {
                let (even, odd): (Vec<_>, Vec<_>) = items.partition(|i| i.key % 2 == 0);
                self.output.diverted.extend(even);
                odd
            }
            Stage::Shuffle => items.collect(),
            Stage::RunningSum => self.running_sum(place, items),
            Stage::Remember => self.remember(place, items),
            Stage::Join => self.join(place, items),
            Stage::Lookup => self.look_up(place, items),
            Stage::Deduplicate => self.deduplicate(place, items),
        };
    }

    fn keeps<K: Debug, V: Debug>(
        &mut self,
        place: usize,
        state: &'static str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) {
        self.states.insert((stage_uid(place), state), contents(entries));
    }

    fn running_sum(&mut self, place: usize, items: impl Iterator<Item = Item>) -> Vec<Item> {
        let mut sums: BTreeMap<u64, i64> = BTreeMap::new();
        let is_ordered = self.is_ordered;
        let add = |i: Item| {
            let sum = sums.entry(i.key).or_default();
            *sum = sum.wrapping_add(i.value);
            Item {
                key: i.key,
                // Without an order only the number of results is certain.
                value: if is_ordered { *sum } else { 0 },
                id: 0,
            }
        };
        let results = items.map(add).collect();
        self.keeps(place, "accumulator", sums);
        results
    }

    fn remember(&mut self, place: usize, items: impl Iterator<Item = Item>) -> Vec<Item> {
        let mut memory: BTreeMap<u64, Memory> = BTreeMap::new();
        let is_ordered = self.is_ordered;
        let recall = |i: Item| with(i, memory.entry(i.key).or_default().remember(i, is_ordered));
        let results = items.map(recall).collect();
        let of_keys = || memory.iter().map(|(key, of_key)| (*key, of_key));
        self.keeps(place, "count", of_keys().map(|(key, of_key)| (key, of_key.count)));
        let recent = of_keys().filter(|(_, of_key)| !of_key.recent.is_empty());
        let recent = recent.map(|(key, of_key)| (key, in_order(of_key.recent.clone(), is_ordered)));
        self.keeps(place, "recent", recent);
        let classes =
            || of_keys().flat_map(|(key, of_key)| of_key.by_class.iter().map(move |class| (key, class)));
        self.keeps(
            place,
            "by-class",
            classes().map(|(key, (class, count))| ((key, *class), *count)),
        );
        self.keeps(place, "sum", of_keys().map(|(key, of_key)| (key, of_key.sum)));
        self.keeps(
            place,
            "least",
            of_keys().map(|(key, of_key)| (key, of_key.least.unwrap_or(0))),
        );
        let far = classes().map(|(key, (class, _))| ((key, far_timer(*class).0), ()));
        self.keeps(place, "far timers", far);
        // Each key has set one timer, which has either fired or is still to fire.
        self.keeps(place, "near timers", of_keys().map(|(key, _)| (key, 1i64)));
        results
    }

    fn join(&mut self, place: usize, items: impl Iterator<Item = Item>) -> Vec<Item> {
        let source = others_uid(place);
        let behind = (0..self.spec.count).filter(|sequence| self.cut.has(&source, *sequence));
        let others: BTreeMap<(u64, u64), i64> = behind
            .map(|sequence| item(1, sequence))
            .map(|other| ((other.key, other.sequence()), other.value))
            .collect();
        let mut waiting: BTreeMap<(u64, u64), Vec<Item>> = BTreeMap::new();
        let join = |i: Item| match others.get(&(i.key, i.sequence())) {
            Some(other) => Some(with(i, i.value.wrapping_add(*other))),
            None => {
                waiting.entry((i.key, i.sequence())).or_default().push(i);
                None
            }
        };
        let results = items.filter_map(join).collect();
        self.keeps(place, "others", others);
        let is_ordered = self.is_ordered;
        let waiting = waiting
            .into_iter()
            .map(|(key, items)| (key, in_order(items, is_ordered)));
        self.keeps(place, "waiting", waiting);
        results
    }

    fn look_up(&mut self, place: usize, items: impl Iterator<Item = Item>) -> Vec<Item> {
        let source = rules_uid(place);
        let mut waiting: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
        let apply = |i: Item| {
            let index = i.key % RULES;
            if self.cut.has(&source, index) {
                return Some(with(i, i.value.wrapping_add(rule(index))));
            }
            waiting.entry(i.key).or_default().push(i);
            None
        };
        let results = items.filter_map(apply).collect();
        let is_ordered = self.is_ordered;
        let waiting = waiting
            .into_iter()
            .map(|(key, items)| (key, in_order(items, is_ordered)));
        self.keeps(place, "waiting", waiting);
        results
    }

    fn deduplicate(&mut self, place: usize, items: impl Iterator<Item = Item>) -> Vec<Item> {
        let mut seen = BTreeSet::new();
        let firsts = items.filter(|i| seen.insert((i.key, i.value)));
        let firsts = firsts.map(|i| Item { id: 0, ..i }).collect();
        self.keeps(place, "seen", seen.into_iter().map(|seen| (seen, ())));
        firsts
    }
}

/// Elements as they were appended, or, where that is left to chance, in a way that does not depend on it. Of numbers that
/// come and go by chance only how many there are is certain.
pub(crate) fn in_order<T: Appended>(elements: Vec<T>, is_ordered: bool) -> String {
    if is_ordered {
        format!("{elements:?}")
    } else {
        T::without_order(elements)
    }
}

/// An element of a list that may have been appended to in any order.
pub(crate) trait Appended: Debug + Sized {
    /// What is certain of a list all the same.
    fn without_order(elements: Vec<Self>) -> String;
}

impl Appended for Item {
    fn without_order(mut elements: Vec<Self>) -> String {
        elements.sort_unstable();
        format!("{elements:?}")
    }
}

impl Appended for i64 {
    /// [`Stage::Remember`] clears its list now and then: which values were cleared is left to chance.
    fn without_order(elements: Vec<Self>) -> String {
        elements.len().to_string()
    }
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

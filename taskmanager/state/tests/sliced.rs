//! Random lives of a sliced table against a plain map: writes and drops between the slices of a scan, aborts, claims, and
//! restores at another sharding.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_core::{
    CheckpointId, EncodeKey, KeyGroup, KeyGroupRange, KeySpace,
    snapshot::{BlockKind, Freeze, KeyedState, SnapshotSink},
};
use tidegate_state::{SlicedTable, Value};

type Contents = BTreeMap<(i64, u64), u64>;

#[derive(Clone, Debug)]
enum Step {
    /// Adds to a key in the slice that ends so long after the last one dropped.
    Add(i64, u64, u64),
    /// Drops slices.
    Drop(i64),
    Freeze,
    Scan(usize),
    Abort,
    Claim,
    /// The table is lost and restored from what was claimed.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1i64..6, 0u64..12, 1u64..9).prop_map(|(slice, key, value)| Step::Add(slice, key, value)),
        2 => (1i64..4).prop_map(Step::Drop),
        3 => Just(Step::Freeze),
        4 => (1usize..6).prop_map(Step::Scan),
        1 => Just(Step::Abort),
        3 => Just(Step::Claim),
        1 => Just(Step::Crash),
    ]
}

/// The blocks of one checkpoint.
#[derive(Clone, Default)]
struct Blocks(Vec<(KeyGroup, BlockKind, Vec<u8>)>);

impl SnapshotSink for Blocks {
    fn block(&mut self, _state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        assert!(
            self.0.iter().all(|(other, ..)| *other != group),
            "one block per key group"
        );
        self.0.push((group, kind, bytes));
    }
}

type Table = SlicedTable<u64, Value<u64>>;

fn table(space: KeySpace, groups: KeyGroupRange, chain: &[(CheckpointId, Blocks)]) -> Table {
    let mut table = Table::new("slices", space);
    table.assign(groups);
    for (group, kind, bytes) in chain.iter().flat_map(|(_, blocks)| &blocks.0) {
        if groups.contains(*group) {
            table
                .load(*group, *kind, bytes)
                .expect("what was written can be read");
        }
    }
    if let Some((checkpoint, _)) = chain.last() {
        table.restored(*checkpoint);
    }
    table
}

fn contents(table: &Table) -> Contents {
    let mut contents = Contents::new();
    for group in 0..table.key_groups() {
        let mut rows = Vec::new();
        table.rows(group, i64::MIN, i64::MAX, &mut rows);
        for row in rows {
            let (key, value) = table.at(group, row);
            contents.insert((table.end_of(row), *key), *value);
        }
    }
    contents
}

fn live(steps: &[Step], groups: u16) -> Result<(), TestCaseError> {
    let space = KeySpace::new(groups).unwrap_or(KeySpace::DEFAULT);
    let mut subject = table(space, space.all(), &[]);
    let (mut model, mut dropped, mut next) = (Contents::new(), 0i64, CheckpointId(1));
    let mut pending: Option<(CheckpointId, Blocks, Contents, i64)> = None;
    let mut chain: Vec<(CheckpointId, Blocks)> = Vec::new();
    let mut claimed = (Contents::new(), 0i64);
    for step in steps {
        match *step {
            Step::Add(slice, key, value) => {
                let end = dropped + slice;
                let index = subject.slice(end);
                match subject.get_mut(index, key.key_hash(), &key) {
                    Some(sum) => *sum += value,
                    None => subject.insert(index, key.key_hash(), key, value),
                }
                *model.entry((end, key)).or_default() += value;
            }
            Step::Drop(by) => {
                dropped += by;
                subject.drop_through(dropped);
                model.retain(|(end, _), _| *end > dropped);
            }
            Step::Freeze => {
                let since = chain.last().map(|(checkpoint, _)| *checkpoint);
                subject.freeze(Freeze {
                    checkpoint: next,
                    since,
                });
                pending = Some((next, Blocks::default(), model.clone(), dropped));
                next = next.next();
            }
            Step::Scan(budget) => {
                if let Some((_, blocks, ..)) = &mut pending {
                    let _ = subject.scan(budget, blocks).expect("numbers can be serialised");
                }
            }
            Step::Abort => {
                pending = None;
                subject.discard();
            }
            Step::Claim => {
                if let Some((checkpoint, mut blocks, frozen, dropped)) = pending.take() {
                    let _ = subject
                        .scan(usize::MAX, &mut blocks)
                        .expect("numbers can be serialised");
                    chain.push((checkpoint, blocks));
                    subject.claimed(checkpoint);
                    claimed = (frozen, dropped);
                    let mut restored = Contents::new();
                    for index in 0..2.min(u32::from(groups)) {
                        let range = space.range_of(index, 2.min(u32::from(groups)));
                        restored.extend(contents(&table(space, range, &chain)));
                    }
                    prop_assert_eq!(&restored, &claimed.0);
                }
            }
            Step::Crash => {
                pending = None;
                subject = table(space, space.all(), &chain);
                (model, dropped) = claimed.clone();
            }
        }
        prop_assert_eq!(&contents(&subject), &model, "after {:?}", step);
        prop_assert_eq!(subject.entries(), model.len() as u64);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_life_is_that_of_a_plain_map(
        steps in prop::collection::vec(step(), 0..120), groups in prop_oneof![Just(1u16), Just(3), Just(1024)],
    ) {
        live(&steps, groups)?;
    }
}

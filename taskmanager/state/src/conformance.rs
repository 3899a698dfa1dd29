//! What every backend of keyed state must do, as a property over random lives of a table.
//!
//! A life is a sequence of writes, deletions, freezes, scans in slices of random length with writes in between, aborts,
//! claims that the table hears of or not, and crashes. After every claim the chain of claimed checkpoints is restored
//! into several tables at another sharding, and what they hold together must be what a plain map held at the freeze.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tidegate_core::{
    CheckpointId, KeyGroup, KeyGroupRange, KeySpace, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, SnapshotSink},
};

/// What a table holds, in terms that any kind of state can be expressed in.
pub type Contents = BTreeMap<u64, Vec<u32>>;

/// A backend under test.
pub trait Subject: KeyedState {
    /// Gives a key this value alone.
    fn put(&mut self, key: u64, value: u32);
    /// Adds a value to those of a key, in the way of the state at hand.
    fn append(&mut self, key: u64, value: u32);
    /// Removes a key.
    fn delete(&mut self, key: u64);
    /// What the table holds.
    fn contents(&mut self) -> Contents;
    /// What [`append`](Self::append) means.
    fn append_to(values: &mut Vec<u32>, value: u32) {
        values.push(value);
    }
}

/// One step of a table's life.
#[derive(Clone, Debug)]
pub enum Step {
    /// See [`Subject::put`].
    Put(u64, u32),
    /// See [`Subject::append`].
    Append(u64, u32),
    /// See [`Subject::delete`].
    Delete(u64),
    /// A checkpoint begins; one under way is aborted.
    Freeze,
    /// A savepoint begins: everything is written.
    FreezeAll,
    /// Some of what is frozen is serialised.
    Scan(usize),
    /// The checkpoint under way is aborted, and the table may hear of it.
    Abort(bool),
    /// The checkpoint under way is completed and claimed, and the table may hear of it.
    Claim(bool),
    /// The table is lost and restored.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..40u64;
    prop_oneof![
        8 => (key.clone(), 0..16u32).prop_map(|(key, value)| Step::Put(key, value)),
        8 => (key.clone(), 0..16u32).prop_map(|(key, value)| Step::Append(key, value)),
        8 => key.prop_map(Step::Delete),
        3 => Just(Step::Freeze),
        1 => Just(Step::FreezeAll),
        4 => (1..20usize).prop_map(Step::Scan),
        1 => any::<bool>().prop_map(Step::Abort),
        3 => any::<bool>().prop_map(Step::Claim),
        1 => Just(Step::Crash),
    ]
}

/// The blocks of one checkpoint.
#[derive(Default)]
struct Blocks(BTreeMap<KeyGroup, (BlockKind, Vec<u8>)>);

impl SnapshotSink for Blocks {
    fn block(&mut self, _state: &str, group: KeyGroup, kind: BlockKind, bytes: Vec<u8>) {
        let before = self.0.insert(group, (kind, bytes));
        assert!(
            before.is_none(),
            "a table gives at most one block per key group and freeze"
        );
    }
}

struct Pending {
    checkpoint: CheckpointId,
    blocks: Blocks,
    frozen: Contents,
}

struct Life<'a, S> {
    make: &'a dyn Fn() -> S,
    space: KeySpace,
    subject: S,
    model: Contents,
    next: CheckpointId,
    pending: Option<Pending>,
    chain: Vec<(CheckpointId, Blocks)>,
    claimed: Contents,
}

impl<S: Subject> Life<'_, S> {
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Put(key, value) => {
                self.subject.put(key, value);
                self.model.insert(key, vec![value]);
            }
            Step::Append(key, value) => {
                self.subject.append(key, value);
                S::append_to(self.model.entry(key).or_default(), value);
            }
            Step::Delete(key) => {
                self.subject.delete(key);
                self.model.remove(&key);
            }
            Step::Freeze => self.freeze(self.chain.last().map(|(checkpoint, _)| *checkpoint)),
            Step::FreezeAll => self.freeze(None),
            Step::Scan(budget) => {
                let _ = self.scan(budget);
            }
            Step::Abort(heard) => {
                self.pending = None;
                if heard {
                    self.subject.discard();
                }
            }
            Step::Claim(heard) => self.claim(heard)?,
            Step::Crash => self.crash(),
        }
        prop_assert_eq!(self.subject.contents(), self.model.clone());
        Ok(())
    }

    fn freeze(&mut self, since: Option<CheckpointId>) {
        let checkpoint = self.next;
        self.next = CheckpointId(checkpoint.0 + 2);
        self.subject.freeze(Freeze { checkpoint, since });
        self.pending = Some(Pending {
            checkpoint,
            blocks: Blocks::default(),
            frozen: self.model.clone(),
        });
    }

    fn scan(&mut self, budget: usize) -> Progress {
        let mut unheeded = Blocks::default();
        let blocks = self
            .pending
            .as_mut()
            .map_or(&mut unheeded, |pending| &mut pending.blocks);
        self.subject
            .scan(budget, blocks)
            .expect("everything can be serialised")
    }

    fn claim(&mut self, heard: bool) -> Result<(), TestCaseError> {
        while self.pending.is_some() && self.scan(7) == Progress::More {}
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        if heard {
            self.subject.claimed(pending.checkpoint);
        }
        self.chain.push((pending.checkpoint, pending.blocks));
        self.claimed = pending.frozen;
        for parallelism in [1, 3] {
            let mut together = Contents::new();
            let (mut digest, mut entries) = (0u64, 0);
            for index in 0..parallelism {
                let mut part = self.restore(self.space.range_of(index, parallelism));
                digest = digest.wrapping_add(part.digest());
                entries += part.entries();
                together.extend(part.contents());
            }
            prop_assert_eq!(&together, &self.claimed);
            if self.model == self.claimed {
                prop_assert_eq!(digest, self.subject.digest());
                prop_assert_eq!(entries, self.subject.entries());
            }
        }
        Ok(())
    }

    fn restore(&self, range: KeyGroupRange) -> S {
        let mut subject = (self.make)();
        subject.assign(range);
        for group in range.iter() {
            let blocks: Vec<_> = self
                .chain
                .iter()
                .filter_map(|(_, blocks)| blocks.0.get(&group))
                .collect();
            let base = blocks
                .iter()
                .rposition(|(kind, _)| *kind == BlockKind::Base)
                .unwrap_or(0);
            for (kind, bytes) in &blocks[base..] {
                subject
                    .load(group, *kind, bytes)
                    .expect("what was written can be read");
            }
        }
        if let Some((checkpoint, _)) = self.chain.last() {
            subject.restored(*checkpoint);
        }
        subject
    }

    fn crash(&mut self) {
        self.pending = None;
        self.subject = self.restore(self.space.all());
        self.model = self.claimed.clone();
    }
}

/// Runs `cases` random lives of the tables that `make` makes. The space is the one `make` uses.
///
/// # Panics
/// If a table does what it must not, with the smallest life that shows it.
pub fn check<S: Subject>(space: KeySpace, cases: u32, make: impl Fn() -> S) {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    };
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 1..120), |steps| {
        let mut subject = make();
        subject.assign(space.all());
        let mut life = Life {
            make: &make,
            space,
            subject,
            model: Contents::new(),
            next: CheckpointId(1),
            pending: None,
            chain: Vec::new(),
            claimed: Contents::new(),
        };
        steps.iter().try_for_each(|step| life.step(step))?;
        life.step(&Step::Freeze)?;
        life.step(&Step::Claim(true))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

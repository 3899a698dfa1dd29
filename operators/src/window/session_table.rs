//! The sessions of every key, and when the next of them is due.
//!
//! What is kept and snapshotted is a table of key → sessions; the index by time is derived, and built anew after a
//! restore. A key is in the index once, for the session of it that is due first. A session that grows stays there: when
//! its old time has come, the key moves on to the new one. So records that prolong a session, which is what most records
//! do, cost one look-up of the table.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_core::{
    CheckpointId, Key, KeyGroup, KeyGroupRange, KeySpace, ProcessingTime, Progress,
    snapshot::{BlockKind, Freeze, KeyedState, Schema, SnapshotSink, StateError},
};
use tidegate_state::{Cursor, Table, Value};

/// One session of a key.
#[derive(Serialize, Deserialize)]
pub(super) struct SessionState<V> {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether its result has been emitted, and nothing came since.
    pub(super) fired: bool,
    pub(super) value: V,
}

impl<V> SessionState<V> {
    /// When something has to be done about it: when time has come to this.
    pub(super) fn due(&self, lateness: i64) -> i64 {
        if self.fired { self.end + lateness } else { self.end }
    }
}

/// All sessions of a key, in the order of time. They do not touch.
#[derive(Serialize, Deserialize)]
pub(super) struct Sessions<V> {
    pub(super) all: Vec<SessionState<V>>,
    /// Where the key is in the index; `None` if it is there for its first session since it was loaded.
    #[serde(skip)]
    indexed: Option<i64>,
}

impl<V> Sessions<V> {
    pub(super) fn due(&self, lateness: i64) -> Option<i64> {
        self.all.iter().map(|session| session.due(lateness)).min()
    }

    /// Where the key is in the index, as long as the sessions are as they were when it was put there.
    pub(super) fn indexed(&self, lateness: i64) -> Option<i64> {
        self.indexed.or_else(|| self.due(lateness))
    }

    /// Notes where the key is in the index.
    pub(super) fn set_indexed(&mut self, due: i64) {
        self.indexed = Some(due);
    }
}

/// A key that is due.
struct Due<K> {
    hash: u64,
    key: K,
}

/// A table of sessions with an index by time.
pub(super) struct SessionTable<K: Key, V: Serialize + DeserializeOwned + Send + 'static> {
    pub(super) table: Table<K, Value<Sessions<V>>>,
    lateness: i64,
    index: BTreeMap<i64, Vec<Due<K>>>,
}

impl<K: Key, V: Serialize + DeserializeOwned + Send + 'static> SessionTable<K, V> {
    pub(super) fn new(name: &str, space: KeySpace, lateness: i64) -> Self {
        Self {
            table: Table::new(name, space),
            lateness,
            index: BTreeMap::new(),
        }
    }

    /// When the first key is due.
    pub(super) fn first_due(&self) -> Option<i64> {
        self.index.first_key_value().map(|(due, _)| *due)
    }

    /// Adds a key that has no session yet.
    pub(super) fn insert(&mut self, hash: u64, key: K, session: SessionState<V>) {
        let due = session.due(self.lateness);
        let sessions = Sessions {
            all: vec![session],
            indexed: Some(due),
        };
        self.index.entry(due).or_default().push(Due {
            hash,
            key: key.clone(),
        });
        self.table.insert(hash, key, sessions);
    }

    /// Puts a key into the index, whose sessions have been told so.
    pub(super) fn index(&mut self, due: i64, hash: u64, key: K) {
        self.index.entry(due).or_default().push(Due { hash, key });
    }

    /// Takes the next key out of the index that is due not after `due`.
    pub(super) fn pop_due(&mut self, due: i64) -> Option<(u64, K)> {
        loop {
            let mut first = self.index.first_entry().filter(|first| *first.key() <= due)?;
            let time = *first.key();
            let popped = first.get_mut().pop();
            if first.get().is_empty() {
                first.remove();
            }
            let Due { hash, key } = popped?;
            let is_current = self
                .table
                .get(hash, &key)
                .is_some_and(|sessions| sessions.indexed(self.lateness) == Some(time));
            if is_current {
                return Some((hash, key));
            }
        }
    }

    /// Puts a key that was taken out of the index in again if it still has sessions; else it leaves the table.
    pub(super) fn put_back(&mut self, hash: u64, key: K) {
        let Some(sessions) = self.table.get_mut(hash, &key) else {
            return;
        };
        match sessions.due(self.lateness) {
            Some(due) => {
                sessions.set_indexed(due);
                self.index(due, hash, key);
            }
            None => {
                self.table.remove(hash, &key);
            }
        }
    }

    fn index_all(&mut self) {
        self.index.clear();
        let (index, lateness) = (&mut self.index, self.lateness);
        let _ = self.table.visit(&mut Cursor::default(), |key, sessions| {
            if let Some(due) = sessions.due(lateness) {
                index.entry(due).or_default().push(Due {
                    hash: key.key_hash(),
                    key: key.clone(),
                });
            }
            ControlFlow::Continue(())
        });
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + Send + 'static> KeyedState for SessionTable<K, V> {
    fn name(&self) -> &str {
        self.table.name()
    }

    fn schema(&self) -> Schema {
        self.table.schema()
    }

    fn assign(&mut self, groups: KeyGroupRange) {
        self.table.assign(groups);
        self.index.clear();
    }

    fn restored(&mut self, checkpoint: CheckpointId) {
        self.table.restored(checkpoint);
        self.index_all();
    }

    fn set_now(&mut self, now: ProcessingTime) {
        self.table.set_now(now);
    }

    fn freeze(&mut self, freeze: Freeze) {
        self.table.freeze(freeze);
    }

    fn scan(&mut self, budget: usize, out: &mut dyn SnapshotSink) -> Result<Progress, StateError> {
        self.table.scan(budget, out)
    }

    fn discard(&mut self) {
        self.table.discard();
    }

    fn claimed(&mut self, checkpoint: CheckpointId) {
        self.table.claimed(checkpoint);
    }

    fn load(&mut self, group: KeyGroup, kind: BlockKind, bytes: &[u8]) -> Result<(), StateError> {
        self.table.load(group, kind, bytes)
    }

    fn memory_bytes(&self) -> u64 {
        let index = self.table.entries() * size_of::<Due<K>>() as u64;
        self.table.memory_bytes() + index
    }

    fn entries(&self) -> u64 {
        self.table.entries()
    }

    fn digest(&self) -> u64 {
        self.table.digest()
    }
}

//! One keyed state of a snapshot and its entries.

use std::vec;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Key, KeyGroupRange, KeySpace, OperatorUid,
    snapshot::{Schema, StateError},
};
use tidegate_state::{Aggregator, StoredState};
use tidegate_worker::{SegmentError, Segments};

use super::{StateReadError, StateReader};

/// How many key groups are in memory at a time.
const GROUPS_AT_A_TIME: usize = 128;

/// A keyed state of a snapshot. What it is read as must be what it was declared as.
pub struct StateInSnapshot<'a> {
    pub(super) reader: &'a StateReader,
    pub(super) operator: OperatorUid,
    pub(super) schema: &'a Schema,
    pub(super) version: u32,
}

impl<'a> StateInSnapshot<'a> {
    /// The version that was declared with the state, for types that resist tracing.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// One value per key: of a [`ValueState`](crate::state::ValueState), or the accumulator of a built-in operator.
    ///
    /// # Errors
    /// [`StateReadError::Schema`] if it is something else.
    pub fn value<K: Key, T>(self) -> Result<StateEntries<'a, K, T>, StateReadError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let stored = StoredState::value(self.schema, self.space(), self.version);
        self.entries(stored)
    }

    /// The elements per key of a [`ListState`](crate::state::ListState), oldest first.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn list<K: Key, T>(self) -> Result<StateEntries<'a, K, Vec<T>>, StateReadError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let stored = StoredState::list(self.schema, self.space(), self.version);
        self.entries(stored)
    }

    /// The entries of a [`MapState`](crate::state::MapState), each with its key and map key. Those of one key need not
    /// come together.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn map<K: Key, M: Key, V>(self) -> Result<StateEntries<'a, (K, M), V>, StateReadError>
    where
        V: Serialize + DeserializeOwned + Send + 'static,
    {
        let stored = StoredState::map(self.schema, self.space(), self.version);
        self.entries(stored)
    }

    /// One value per key of a [`ReducingState`](crate::state::ReducingState).
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn reducing<K: Key, T>(self) -> Result<StateEntries<'a, K, T>, StateReadError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.value()
    }

    /// The result per key of an [`AggregatingState`](crate::state::AggregatingState), as `aggregator` makes it of the
    /// stored accumulator; [`value`](Self::value) reads the accumulators themselves.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn aggregating<K: Key, A: Aggregator>(
        self,
        aggregator: A,
    ) -> Result<impl Iterator<Item = Result<(K, A::Out), StateReadError>> + use<'a, K, A>, StateReadError>
    {
        let accumulators = self.value::<K, A::Acc>()?;
        Ok(accumulators
            .map(move |entry| entry.map(|(key, accumulator)| (key, aggregator.lower(&accumulator)))))
    }

    /// The keys and times of timers, see [`StateReader::timers`].
    pub(super) fn timers<K: Key>(
        self,
    ) -> Result<impl Iterator<Item = Result<(K, i64), StateReadError>> + use<'a, K>, StateReadError> {
        let stored = StoredState::timers(self.schema, self.space());
        let timers = self.entries::<(K, i64), ()>(stored)?;
        Ok(timers.map(|entry| entry.map(|(timer, ())| timer)))
    }

    fn space(&self) -> KeySpace {
        self.reader.manifest.space
    }

    fn entries<K: 'static, V: 'static>(
        self,
        stored: Result<StoredState<K, V>, StateError>,
    ) -> Result<StateEntries<'a, K, V>, StateReadError> {
        let operator = || self.operator.to_string();
        let stored = stored.map_err(|error| match error {
            StateError::SchemaMismatch {
                state,
                stored,
                wanted,
            } => StateReadError::Schema {
                operator: operator(),
                state,
                stored,
                wanted,
            },
            cause => StateReadError::Damaged {
                operator: operator(),
                state: self.schema.state.clone(),
                cause: Box::new(SegmentError::State {
                    object: "manifest".to_owned(),
                    cause,
                }),
            },
        })?;
        let all = self.space().all();
        Ok(StateEntries {
            segments: &self.reader.segments,
            state: self.schema.state.clone(),
            operator: self.operator,
            stored,
            rest: all,
            loaded: Vec::new().into_iter(),
        })
    }
}

/// The entries of a state, in no particular order. After an error there are no more.
pub struct StateEntries<'a, K, V> {
    segments: &'a Segments,
    operator: OperatorUid,
    state: String,
    stored: StoredState<K, V>,
    /// The key groups that have not been loaded yet.
    rest: KeyGroupRange,
    loaded: vec::IntoIter<(K, V)>,
}

impl<K: 'static, V: 'static> StateEntries<'_, K, V> {
    /// Loads the next key groups; says whether there were any.
    fn load(&mut self) -> Result<bool, StateReadError> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let size = u16::try_from(self.rest.len().min(GROUPS_AT_A_TIME)).unwrap_or(u16::MAX);
        let groups = KeyGroupRange {
            start: self.rest.start,
            end: self.rest.start + size,
        };
        self.rest.start = groups.end;
        self.stored.table().assign(groups);
        if let Err(cause) = self.segments.load(&self.operator, self.stored.table(), groups) {
            self.rest.start = self.rest.end;
            return Err(StateReadError::Damaged {
                operator: self.operator.to_string(),
                state: self.state.clone(),
                cause: Box::new(cause),
            });
        }
        self.loaded = self.stored.take().into_iter();
        Ok(true)
    }
}

impl<K: 'static, V: 'static> Iterator for StateEntries<'_, K, V> {
    type Item = Result<(K, V), StateReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.loaded.next() {
                return Some(Ok(entry));
            }
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

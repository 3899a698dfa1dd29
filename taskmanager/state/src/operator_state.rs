//! State that is not keyed: broadcast maps, and lists that are dealt anew when the parallelism changes.

use std::collections::{BTreeMap, btree_map};

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::snapshot::{OperatorState, RestoredState, StateError};

use crate::{
    codec::{decode, encode},
    schema,
};

/// A map that every task of an operator holds the same, fed by a broadcast stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastState<K, V> {
    entries: BTreeMap<K, V>,
}

impl<K: Ord, V> Default for BroadcastState<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<K, V> BroadcastState<K, V>
where
    K: Ord + Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Gives a key a value and returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.entries.insert(key, value)
    }

    /// Removes a key and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.remove(key)
    }

    /// Walks over the map in the order of its keys.
    pub fn iter(&self) -> btree_map::Iter<'_, K, V> {
        self.entries.iter()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The map for a snapshot.
    pub fn snapshot(&self, name: &str) -> Result<OperatorState, StateError> {
        pack(name, &self.entries)
    }

    /// The map from a snapshot: all former tasks held the same, so any will do. Empty if none held one.
    pub fn restore(name: &str, restored: &RestoredState) -> Result<Self, StateError> {
        let entries = match restored.named(name).next() {
            Some(state) => unpack(state)?,
            None => BTreeMap::new(),
        };
        Ok(Self { entries })
    }
}

/// A list of which every task holds a part. On a restore the parts of all former tasks are put together in their order
/// and dealt one by one to the tasks there are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorListState<T> {
    /// This task's part.
    pub elements: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> OperatorListState<T> {
    /// The part for a snapshot.
    pub fn snapshot(&self, name: &str) -> Result<OperatorState, StateError> {
        pack(name, &self.elements)
    }

    /// The part of task `index` of `parallelism` many.
    pub fn restore(
        name: &str,
        restored: &RestoredState,
        index: u32,
        parallelism: u32,
    ) -> Result<Self, StateError> {
        let mut all = Vec::new();
        for state in restored.named(name) {
            all.extend(unpack::<Vec<T>>(state)?);
        }
        let step = parallelism.max(1) as usize;
        Ok(Self {
            elements: all.into_iter().skip(index as usize).step_by(step).collect(),
        })
    }
}

fn pack<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> Result<OperatorState, StateError> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).map_err(|error| StateError::Unserialisable {
        state: name.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(OperatorState {
        name: name.to_owned(),
        schema: Some(schema::schema(name, schema::describe::<T>(0))),
        bytes,
    })
}

fn unpack<T: DeserializeOwned>(state: &OperatorState) -> Result<T, StateError> {
    if let Some(stored) = &state.schema {
        schema::check(stored, &schema::schema(&state.name, schema::describe::<T>(0)))?;
    }
    let mut rest = state.bytes.as_slice();
    let value = decode(&mut rest).map_err(|error| error.to_string());
    match value {
        Ok(value) if rest.is_empty() => Ok(value),
        Ok(_) => Err("bytes are left over".to_owned()),
        Err(reason) => Err(reason),
    }
    .map_err(|reason| StateError::Corrupt {
        state: state.name.clone(),
        offset: (state.bytes.len() - rest.len()) as u64,
        reason,
    })
}

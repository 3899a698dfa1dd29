//! The broadcast state of a task, and its part in snapshots.

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    OperatorContext, OperatorError,
    snapshot::{OperatorState, RestoredState},
};
use tidegate_state::BroadcastState;

/// The name of the broadcast state within its operator.
const NAME: &str = "#broadcast";

/// A broadcast state, of which all tasks hold the same and the first writes it into snapshots.
pub(super) struct SharedState<K, V> {
    pub(super) state: BroadcastState<K, V>,
    is_writer: bool,
}

impl<K: Ord, V> Default for SharedState<K, V> {
    fn default() -> Self {
        Self {
            state: BroadcastState::default(),
            is_writer: false,
        }
    }
}

impl<K, V> SharedState<K, V>
where
    K: Ord + Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    pub(super) fn open(&mut self, context: &OperatorContext) {
        self.is_writer = context.index() == 0;
    }

    pub(super) fn snapshot(&self) -> Result<Vec<OperatorState>, OperatorError> {
        if !self.is_writer {
            return Ok(Vec::new());
        }
        Ok(vec![self.state.snapshot(NAME)?])
    }

    pub(super) fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.state = BroadcastState::restore(NAME, state)?;
        Ok(())
    }
}

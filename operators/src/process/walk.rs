//! Work on all keys of a state, in steps.

use std::ops::ControlFlow;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{BoxError, Key, OperatorContext, OperatorError, Output, Progress};
use tidegate_state::{Cursor, ListState, StateRegistry, ValueState};

use super::context::{ProcessContext, Scope};

/// How many keys are looked up before the work on them is done.
const KEYS_PER_STEP: usize = 256;

/// A handle to a state whose keys can be walked over.
pub trait StateKeys<K: Key>: Send + 'static {
    /// Shows the keys that have an entry to `visit`, from `cursor` on, until it breaks off or all have been seen.
    fn visit(
        &self,
        registry: &mut StateRegistry<K>,
        cursor: &mut Cursor,
        visit: &mut dyn FnMut(&K) -> ControlFlow<()>,
    ) -> Progress;
}

macro_rules! state_keys {
    ($($state:ident),*) => {$(
        impl<K: Key, T: Serialize + DeserializeOwned + Send + 'static> StateKeys<K> for $state<T> {
            fn visit(
                &self,
                registry: &mut StateRegistry<K>,
                cursor: &mut Cursor,
                visit: &mut dyn FnMut(&K) -> ControlFlow<()>,
            ) -> Progress {
                self.visit_keys(registry, cursor, visit)
            }
        }
    )*};
}

state_keys!(ValueState, ListState);

/// What is done for each key.
pub(super) type Work<K, O> = Box<dyn FnMut(&mut ProcessContext<'_, K, O>) -> Result<(), BoxError> + Send>;

/// A walk over the keys of a state.
pub(super) struct Walk<K: Key, O> {
    state: Box<dyn StateKeys<K>>,
    work: Work<K, O>,
    cursor: Cursor,
    /// Keys that have been looked up and wait for their turn, in order.
    keys: std::vec::IntoIter<K>,
    seen: Progress,
}

impl<K: Key, O> Walk<K, O> {
    pub(super) fn new(state: Box<dyn StateKeys<K>>, work: Work<K, O>) -> Self {
        Self {
            state,
            work,
            cursor: Cursor::default(),
            keys: Vec::new().into_iter(),
            seen: Progress::More,
        }
    }

    /// Works until all keys have had their turn or the output is full.
    pub(super) fn step(
        &mut self,
        scope: &mut Scope<K>,
        out: &mut Output<O>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        loop {
            for key in self.keys.by_ref() {
                let hash = key.key_hash();
                let mut of_key = scope.of_key(&key, hash, None, out, context);
                (self.work)(&mut of_key).map_err(OperatorError::Other)?;
                if out.is_full() {
                    return Ok(Progress::More);
                }
            }
            if self.seen == Progress::Done {
                return Ok(Progress::Done);
            }
            let mut keys = Vec::with_capacity(KEYS_PER_STEP);
            self.seen = self
                .state
                .visit(&mut scope.registry, &mut self.cursor, &mut |key| {
                    keys.push(key.clone());
                    if keys.len() == KEYS_PER_STEP {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
            self.keys = keys.into_iter();
        }
    }
}

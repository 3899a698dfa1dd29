//! What of the watermarks is in snapshots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_core::{
    EventTime, OperatorError,
    bug::{Bug, is_seeded},
    snapshot::{OperatorState, RestoredState, StateError},
};

/// The name of the state within its operator.
const NAME: &str = "#watermarks";

/// A part of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPart {
    pub(super) watermark: EventTime,
    pub(super) reading: SavedReading,
    /// The generator, in its own encoding.
    pub(super) generator: Vec<u8>,
}

/// How far the reading of a part had come. Idleness is not kept: the clock that it goes by starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SavedReading {
    Unread,
    Begun,
    Ended,
}

/// What one task keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedWatermarks {
    /// How far event time had come; `None` before anything was known.
    pub(super) emitted: Option<EventTime>,
    /// The input as a whole, where splits are not told apart.
    pub(super) whole: Option<SavedPart>,
    pub(super) splits: BTreeMap<u32, SavedPart>,
}

impl SavedWatermarks {
    pub(super) fn to_state(&self) -> Result<OperatorState, OperatorError> {
        let bytes = postcard::to_stdvec(self).map_err(|error| StateError::Unserialisable {
            state: NAME.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(OperatorState {
            name: NAME.to_owned(),
            schema: None,
            bytes,
        })
    }

    /// What task `index` of `parallelism` many goes on with: its own, if there were as many before; else the splits of
    /// all, of which it will be assigned some, and as far as event time had come in the task that was furthest behind.
    pub(super) fn restore(
        state: &RestoredState,
        index: u32,
        parallelism: u32,
    ) -> Result<Self, OperatorError> {
        let mut former = Vec::new();
        for (task, states) in &state.tasks {
            for state in states.iter().filter(|state| state.name == NAME) {
                let saved: Self =
                    postcard::from_bytes(&state.bytes).map_err(|error| StateError::Corrupt {
                        state: NAME.to_owned(),
                        offset: 0,
                        reason: error.to_string(),
                    })?;
                former.push((*task, saved));
            }
        }
        if is_seeded(Bug::WatermarkRegresses) {
            former.clear();
        }
        let splits = former
            .iter()
            .flat_map(|(_, saved)| saved.splits.clone())
            .collect();
        let is_rescaled = former.len() != parallelism as usize;
        let mine = former
            .into_iter()
            .filter(|(task, _)| is_rescaled || *task == index)
            .map(|(_, saved)| saved)
            // A task whose input had ended has no say in where the others stand, unless all had.
            .min_by_key(|saved| (saved.emitted, saved.whole.as_ref().map(|part| part.watermark)))
            .unwrap_or_default();
        Ok(Self { splits, ..mine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(watermark: i64) -> SavedPart {
        SavedPart {
            watermark: EventTime(watermark),
            reading: SavedReading::Begun,
            generator: vec![7],
        }
    }

    fn saved(emitted: EventTime, split: u32) -> SavedWatermarks {
        SavedWatermarks {
            emitted: Some(emitted),
            whole: None,
            splits: BTreeMap::from([(split, part(i64::from(split)))]),
        }
    }

    fn of(tasks: &[SavedWatermarks]) -> RestoredState {
        let tasks = tasks
            .iter()
            .zip(0..)
            .map(|(saved, index)| (index, vec![saved.to_state().unwrap()]));
        RestoredState {
            tasks: tasks.collect(),
        }
    }

    #[test]
    fn as_many_tasks_go_on_where_each_was_and_others_where_the_last_was() {
        let former = of(&[
            saved(EventTime(50), 0),
            saved(EventTime(20), 1),
            saved(EventTime::MAX, 2),
        ]);
        for (index, parallelism, expected) in [
            (0, 3, EventTime(50)),
            (1, 3, EventTime(20)),
            (2, 3, EventTime::MAX),
            (0, 1, EventTime(20)),
            (4, 5, EventTime(20)),
        ] {
            let restored = SavedWatermarks::restore(&former, index, parallelism).unwrap();
            assert_eq!(restored.emitted, Some(expected), "task {index} of {parallelism}");
            assert_eq!(restored.splits.len(), 3);
        }
    }

    #[test]
    fn bytes_that_are_not_ours_are_refused() {
        let mut former = of(&[saved(EventTime(50), 0)]);
        former.tasks[0].1[0].bytes = vec![0xff; 20];
        let error = SavedWatermarks::restore(&former, 0, 1).unwrap_err();
        assert!(error.to_string().contains("#watermarks"), "{error}");
    }

    #[test]
    fn a_fresh_start_has_nothing() {
        let fresh = SavedWatermarks::restore(&RestoredState::default(), 0, 2).unwrap();
        assert_eq!(fresh, SavedWatermarks::default());
    }
}

//! Sources that need nothing from outside.

mod generator;
mod iterator;

pub use generator::GeneratorSource;
pub use iterator::IteratorSource;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{OperatorError, snapshot::StateError, source::Split};

fn encode_split<P: Serialize>(index: u32, progress: &P) -> Result<Split, OperatorError> {
    match postcard::to_stdvec(progress) {
        Ok(state) => Ok(Split { index, state }),
        Err(error) => Err(OperatorError::State(StateError::Unserialisable {
            state: format!("split {index}"),
            reason: error.to_string(),
        })),
    }
}

fn decode_split<P: DeserializeOwned>(split: &Split) -> Result<P, OperatorError> {
    postcard::from_bytes(&split.state).map_err(|error| {
        OperatorError::State(StateError::Corrupt {
            state: format!("split {}", split.index),
            offset: 0,
            reason: error.to_string(),
        })
    })
}

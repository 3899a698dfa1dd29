//! Typed handles to keyed state, for functions that users write.
//!
//! A handle is a small value without contents. What it means depends on the key at hand, which a [`KeyedContext`]
//! carries.

mod aggregating;
mod context;
mod list;
mod map;
mod reducing;
mod registry;
mod value;

pub use self::{
    aggregating::AggregatingState,
    context::KeyedContext,
    list::ListState,
    map::MapState,
    reducing::ReducingState,
    registry::{RegistryError, StateOptions, StateRegistry},
    value::ValueState,
};

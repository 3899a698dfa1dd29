//! Keyed state tables of Tidegate and the encoding of snapshot segments.
//!
//! - [`Table`] keeps one [`Cell`] per key on the heap, is read and written in place, and is snapshotted while work goes
//!   on.
//! - [`StateRegistry`] holds the states of a user's function and hands out typed handles: [`ValueState`],
//!   [`ListState`], [`MapState`], [`ReducingState`], [`AggregatingState`]; [`Timers`] are state, too.
//! - [`SlicedTable`] keeps one such table for each slice of time, for windows.
//! - [`BroadcastState`] and [`OperatorListState`] are for state that is not keyed.
//! - [`StoredState`] brings keyed state back outside of any operator, to be read.
//! - [`segment`] packs what tables write into few objects, and finds it again.
//!
//! Everything here is pure: bytes in, bytes out.

pub mod aggregator;
mod cell;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod estimate;
mod interval;
mod layout;
mod list;
mod map_table;
mod operator_state;
pub mod schema;
mod scoped;
pub mod segment;
mod sliced;
mod state;
mod stored;
mod table;
mod timers;
mod ttl;

pub use aggregator::Aggregator;
pub use cell::{Cell, Timed, Touched, Value};
pub use interval::{Interval, Stamp};
pub use list::{Elements, List};
pub use map_table::MapTable;
pub use operator_state::{BroadcastState, OperatorListState};
pub use scoped::BorrowedKey;
pub use sliced::{Row, SliceIndex, SlicedTable};
pub use state::{
    AggregatingState, KeyedContext, ListState, MapState, ReducingState, RegistryError, StateOptions,
    StateRegistry, ValueState,
};
pub use stored::StoredState;
pub use table::{Cursor, Hint, LOOK_AHEAD, Table};
pub use timers::{Timer, Timers};
pub use ttl::{Ttl, TtlUpdate};

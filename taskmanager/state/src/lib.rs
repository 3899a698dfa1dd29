//! Keyed state tables of Tidegate and the encoding of snapshot segments.
//!
//! - [`Table`] keeps one [`Cell`] per key on the heap, is read and written in place, and is snapshotted while work goes
//!   on.
//!
//! Everything here is pure: bytes in, bytes out.

pub mod aggregator;
mod cell;
pub mod codec;
mod interval;
mod layout;
mod list;
pub mod schema;
mod table;
mod ttl;

pub use aggregator::Aggregator;
pub use cell::{Cell, Timed, Touched, Value};
pub use interval::{Interval, Stamp};
pub use list::{Elements, List};
pub use table::{Cursor, Table};
pub use ttl::{Ttl, TtlUpdate};

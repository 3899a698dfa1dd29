//! Windows: stretches of time in which the records of a key are brought together.
//!
//! # Which windows there are
//!
//! [`Tumbling`] windows lie side by side, [`Sliding`] ones overlap, a [`Session`] lasts as long as a key's records keep
//! coming. Windows go by the times of the records, or by the machine's clock if one asks for `processing_time`. A window
//! holds the records from its start on and before its end.
//!
//! # When results come
//!
//! Records come in any order, so no window knows by itself that it is complete. The *watermark* does: a watermark of *t*
//! says that no record at or before *t* is expected any more. A window's result is emitted when the watermark has come
//! to its last millisecond.
//!
//! ```text
//!   times of records    3   7   5  11   9   │  14   8       │
//!   window [0, 10)      ●   ●   ●       ●   │       late    │
//!   window [10, 20)                 ●       │   ●           │
//!   watermark                               9              19
//!                                           └ [0, 10) fires └ [10, 20) fires
//! ```
//!
//! Results carry the key, the window and the value, and have the window's last millisecond as their event time: windows
//! behind windows see them in time. A session ends a gap after its last record, a record at that very time still prolongs it,
//! and so its result comes, with the end as its time, when the watermark has come to its end. When all input has ended the watermark goes beyond everything, and what is left fires.
//! A job that is suspended has not ended: its windows stay open.
//!
//! # Late records
//!
//! A record that comes when the watermark has passed all of its windows is late. What becomes of it depends on the
//! *allowed lateness*, zero unless set:
//!
//! ```text
//!   watermark     … 8 │ 9            9 + lateness │ …
//!   record at 7   in time │ updates the result    │ late
//! ```
//!
//! - Before its window has fired, it is not late at all.
//! - Until the watermark has gone on for the allowed lateness, it is added to its window, and the window's result is
//!   emitted again. That result replaces the one before; whoever reads it must expect several for one key and window.
//!   All records of a batch together make one such update.
//! - After that it goes to the late output, if the job reads one, or is dropped and counted as `late_records`.
//!
//! State is kept until the lateness is over, so a long one costs memory. What was late before a failure is late after it.
//!
//! What could never apply is refused when the job is built: a lateness or a late output on the machine's clock, windows of
//! event time that no watermark comes to (on each side of a union there must be a strategy), and a bound of watermarks
//! within which all accepted times lie.
//!
//! # What it costs
//!
//! State lies by time first: one table key → value for each *slice*, the time between two bounds of windows. A record
//! touches one slice however many windows it is in, nothing is kept per window, there is no timer per key, and slices
//! that are over are dropped whole. A window's result is made of its slices. Where it has many, what they have in
//! common with the next window is kept merged, so that a firing costs a few steps per key and not one per slice.
//! Sessions are kept per key.
//!
//! Records go through the exchange one by one unless they are [combined](Combine) first: then each batch sends one record for
//! each key and slice that it has anything for. It keeps nothing between two batches.
//!
//! A large firing goes out in steps, and while it does the operator takes no records. A snapshot remembers how far it has
//! come, and a restore goes on there, with any number of tasks.

mod assigner;
mod combine;
mod contents;
mod error;
mod firing;
mod grid;
mod late;
mod operator;
mod process;
mod result;
mod running;
mod session_table;
mod sessions;
mod sliced;
mod updates;

pub use assigner::{Clock, Session, Sliding, Tumbling, WindowAssigner, WindowPlan};
pub use combine::{Combine, OfPartials, Partial};
pub use contents::{Aggregated, Reduced, WindowContents};
pub use error::WindowError;
pub use late::{LATE_RECORDS_PORT, late_records};
pub use operator::windows;
pub use process::{ProcessWindowFunction, Processed, WindowContext, WindowElements};
pub use result::{Window, Windowed};

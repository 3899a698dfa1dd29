//! Write dataflow jobs in Rust, run them anywhere, every record exactly once.
//!
//! A *job* reads *streams* of records from sources, puts them through operators, many at a time and in parallel, and
//! writes what comes of it to sinks. It keeps what it needs to remember in *state* that the engine looks after: when a
//! machine dies, or somebody pulls the plug, the job goes on from its last checkpoint, and its output is what it would
//! have been had nothing happened.
//!
//! # A job in twenty lines
//!
//! ```no_run
//! use tidegate::prelude::*;
//!
//! #[derive(clap::Args)]
//! struct Args {
//!     /// The files to read.
//!     #[arg(long)]
//!     input: String,
//!     /// The directory to write to.
//!     #[arg(long)]
//!     output: std::path::PathBuf,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Flight {
//!     carrier: String,
//!     departure_delay_min: Option<i64>,
//! }
//!
//! fn main() -> tidegate::Result<()> {
//!     tidegate::main("carrier-delays", |env, args: Args| {
//!         env.source("flights", FileSource::csv::<Flight>(&args.input))
//!             .filter_map(|flight| Some((flight.carrier, flight.departure_delay_min?)))
//!             .key_by(|(carrier, _)| carrier.clone())
//!             .aggregate("delay-per-carrier", Mean::of(|(_, delay): &(String, i64)| *delay), Emit::AtEnd)
//!             .sink("delays", FileSink::json_lines(&args.output));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! `cargo run -- --input 'flights*.csv.gz' --output delays` runs it on all cores of the machine, with nothing else beside
//! it. Kill it half way and start it again: it goes on, and `delays` ends up the same.
//!
//! # Streams
//!
//! An [`Env`] builds a job. [`Env::source`] starts a [`Stream`], operations turn it into others, a
//! [`sink`](Stream::sink) ends it. `Stream<T>` is an ordinary value: name it, store it, pass it to functions, build it
//! in loops. Records are any `T: Serialize + DeserializeOwned + Send + 'static`; they move, and are copied only where a
//! stream is cloned or broadcast, which is where `T: Clone` is asked for. Closures are ordinary ones that are
//! `Fn + Send + Sync`: all parallel tasks share them, so they cannot hide state of their own. Where a closure may fail,
//! the `try_` variant takes one that returns a `Result`, and [`with_dead_letters`](Fallible::with_dead_letters) sends
//! what was refused to a stream of its own.
//!
//! # Keys and state
//!
//! [`key_by`](Stream::key_by) divides a stream: records of one key meet in one task, in order. Behind it stands what
//! remembers: [`reduce`](KeyedStream::reduce), [`fold`](KeyedStream::fold),
//! [`aggregate`](KeyedStream::aggregate) and, for everything else, [`process`](KeyedStream::process), whose function has
//! values, lists, maps and timers per key. [`connect`](KeyedStream::connect) joins two keyed streams over shared state,
//! [`connect_broadcast`](KeyedStream::connect_broadcast) brings a small stream to every task of a large one.
//!
//! # Event time
//!
//! [`watermarks`](Stream::watermarks) gives records the time at which what they tell of happened, and says how far that
//! time has come. Windows close by it, and so do event-time timers in `process` functions. What a watermark promises, how
//! splits, idle inputs and restarts are treated, and what becomes of records without a usable time is told in
//! [`operators::watermarks`].
//!
//! # Names
//!
//! Whatever keeps state takes a name first: sources, sinks and stateful operators. State is found again by that name, so
//! it must stay when the job changes around it; two of one name are refused when the job is built. Everything else
//! finds a name by itself, or is given one for people with [`name`](Stream::name).
//!
//! # What is promised
//!
//! * **State changes exactly once per record.** Checkpoints cut all streams at one line. After a failure every operator
//!   goes back to the last cut and every source re-reads from there.
//! * **Output appears exactly once** in sinks that can commit, such as [`FileSink`](crate::files::FileSink): they stage what they are given
//!   and publish it when its checkpoint is claimed. So results are visible up to one checkpoint interval late. Sinks
//!   that cannot, such as [`print`](Stream::print), say that they repeat themselves after a failure.
//! * **Order** is kept from one task to the next for records of one key, and not across tasks.
//! * **A job that is suspended, killed or moved to another parallelism** goes on from where its checkpoint directory
//!   says. A job that has finished says so and does nothing more.
//!
//! # Running
//!
//! [`main`](fn@main) gives a job its command line: `run`, `plan`, `savepoint`, `checkpoints`, progress lines, Ctrl-C and exit
//! codes. [`Job::run`] and [`Job::start`] do the same for tests and other programs:
//!
//! ```
//! use tidegate::prelude::*;
//!
//! let env = Env::new("words");
//! let counts = env
//!     .source("words", IteratorSource::new(|| ["tide", "gate", "tide"].map(String::from)))
//!     .key_by_ref(|word| word.as_str())
//!     .aggregate("count", Count::new(), Emit::AtEnd)
//!     .map(|count| (count.key, count.value))
//!     .collect("counts");
//! env.build()?.run(RunOptions::in_memory().parallelism(2))?;
//! assert_eq!(counts.sorted(), [("gate".to_string(), 1), ("tide".to_string(), 2)]);
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! # Watching
//!
//! [`metrics`] says what a running job measures, how that is served to Prometheus, and how functions add to it.
//!
//! # Looking into state
//!
//! [`StateReader`] opens a checkpoint or a savepoint and gives the entries of any keyed state in it, without running the job.
//!
//! # Testing
//!
//! [`testing`] drives a single operator step by step, with records, time, snapshots and restores in the order that a
//! test says.

// The derive writes paths that start with `::tidegate`; so do the examples.
extern crate self as tidegate;

mod allocator;
mod async_map;
mod broadcast;
mod build_error;
mod clock;
mod command_line;
mod connected;
mod embedded;
mod env;
mod error;
mod fallible;
mod job;
mod keyed;
pub mod metrics;
pub mod options;
pub mod plan;
pub mod prelude;
mod record;
pub mod selector;
mod sinks;
mod split;
mod state_reader;
mod stateless;
mod stream;
pub mod testing;
mod throttle;
mod watermarks;
mod windowed_stream;

pub use allocator::tune_allocator;
pub use broadcast::{BroadcastStream, KeyedBroadcast, StreamBroadcast};
pub use build_error::BuildError;
pub use command_line::{NoArgs, main};
pub use connected::ConnectedStreams;
pub use embedded::{JobControl, RunningJob};
pub use env::Env;
pub use error::{Error, ExitCode, Result};
pub use fallible::Fallible;
pub use job::Job;
pub use keyed::KeyedStream;
pub use options::RunOptions;
pub use record::Record;
pub use sinks::SinkHandle;
pub use state_reader::{StateEntries, StateInSnapshot, StateReadError, StateReader};
pub use stream::Stream;
pub use throttle::Throttle;
pub use windowed_stream::WindowedStream;

pub use tidegate_core::{
    BoxError, CheckpointId, EncodeKey, Epoch, EventTime, FaultPoint, Faults, Key, KeyEncoder, KeySelector,
    OperatorContext, OperatorError, Output, OutputTag, ProcessingTime, sink, source,
};
pub use tidegate_derive::Key;
pub use tidegate_driver::{JobState, JobStatus, Outcome, SavepointInfo, Snapshot};
/// Reading and writing files, on this machine and in object stores.
pub use tidegate_files as files;
/// The operators behind the methods of streams, to be used with [`testing`] or to build others.
pub use tidegate_operators as operators;
/// Windows, and when their results are emitted.
pub use tidegate_operators::window;
/// Keyed state: its handles and the aggregators.
pub use tidegate_state as state;

/// The job in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

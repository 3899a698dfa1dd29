//! What a running job measures, and how it is read from outside.
//!
//! Every value lives where it is measured, in a counter that only one thread writes; reading costs the job nothing but the
//! reading. [`JobControl::serve_metrics`](crate::JobControl::serve_metrics), which is what `run --metrics-address` does,
//! serves them at `/metrics` in the OpenMetrics text format, which Prometheus and what is compatible with it scrape:
//!
//! ```
//! use tidegate::{metrics::MetricsServer, prelude::*};
//!
//! let job = Job::build("numbers", |env| {
//!     env.source("numbers", GeneratorSource::new(|_seed, sequence| sequence).rate(1000)).discard("nowhere");
//!     Ok(())
//! })?;
//! let server = MetricsServer::bind("127.0.0.1:0".parse()?)?;
//! println!("metrics are at http://{}/metrics", server.address());
//! let running = job.start(RunOptions::in_memory())?;
//! running.serve_metrics(server);
//! # running.cancel()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Metrics of a task
//! Labelled with `job`, `chain` (the names of its operators), `vertex` (the chain's number in the plan) and `task` (its
//! index). They begin anew when the job restarts.
//!
//! | metric | what | in Flink |
//! |---|---|---|
//! | `tidegate_task_records_in_total` | records received, or read by a source | `numRecordsIn` of the task |
//! | `tidegate_task_records_out_total` | records sent to other tasks or written to sinks | `numRecordsOut` of the task |
//! | `tidegate_task_records_written_total` | those of them that were written to sinks | `numRecordsSend` |
//! | `tidegate_task_bytes_in_total`, `…_bytes_out_total` | bytes received from and sent to other workers; records that stay in a worker are never bytes | `numBytesIn`, `numBytesOut` |
//! | `tidegate_task_busy_seconds_total` | time in which it ran; its rate is the share of a core | `busyTimeMsPerSecond` |
//! | `tidegate_task_idle_seconds_total` | time in which there was nothing to do | `idleTimeMsPerSecond` |
//! | `tidegate_task_queued_seconds_total` | time in which it waited for other tasks of its thread | part of `busyTimeMsPerSecond` |
//! | `tidegate_task_backpressured_seconds_total` | time in which a consumer or a sink had no room | `backPressuredTimeMsPerSecond` |
//! | `tidegate_task_run_seconds` | histogram of how long it held its thread at a time | – |
//! | `tidegate_task_watermark_seconds` | how far event time has come, since the Unix epoch; absent while nothing is known, infinite at the end | `currentInputWatermark` |
//! | `tidegate_task_watermark_lag_seconds` | how far that is behind the clock | `watermarkLag` |
//! | `tidegate_task_late_records_total` | records dropped because they were too late | `numLateRecordsDropped` |
//! | `tidegate_task_malformed_records_total` | records that a policy dropped or diverted | `numRecordsInErrors` |
//! | `tidegate_task_state_bytes` | keyed state, estimated, at the last checkpoint | – |
//! | `tidegate_task_checkpoint_alignment_seconds` | from the first barrier of the last checkpoint to its last | `checkpointAlignmentTime` |
//!
//! # Metrics of an operator
//! Labelled as those of its task, and with `operator`, its uid.
//!
//! | metric | what | in Flink |
//! |---|---|---|
//! | `tidegate_operator_records_in_total` | records taken in | `numRecordsIn` |
//! | `tidegate_operator_records_out_total` | records handed on through the main output, or written | `numRecordsOut` |
//!
//! # Metrics of the job
//! Labelled with `job`.
//!
//! | metric | what | in Flink |
//! |---|---|---|
//! | `tidegate_job_state` | 1, with the state as label `state` | `runningState`, … |
//! | `tidegate_job_restarts_total` | how often its tasks were restarted | `numRestarts` |
//! | `tidegate_job_checkpoints_completed_total` | checkpoints that were claimed | `numberOfCompletedCheckpoints` |
//! | `tidegate_job_checkpoints_failed_total` | checkpoints that were not | `numberOfFailedCheckpoints` |
//! | `tidegate_job_checkpoint_epoch` | the last claimed epoch | `lastCompletedCheckpointId` |
//! | `tidegate_job_last_checkpoint_duration_seconds` | from its trigger until it was claimed | `lastCheckpointDuration` |
//! | `tidegate_job_last_checkpoint_alignment_seconds` | the longest alignment of a task | – |
//! | `tidegate_job_last_checkpoint_sync_seconds` | the longest time that a task stood still | – |
//! | `tidegate_job_last_checkpoint_written_bytes` | what was written for it | `lastCheckpointSize` |
//! | `tidegate_job_last_checkpoint_size_bytes` | what a restore would read | `lastCheckpointFullSize` |
//! | `tidegate_job_last_checkpoint_age_seconds` | how long ago it was claimed | – |
//! | `tidegate_job_pending_checkpoint_age_seconds` | how long ago the one being taken was triggered | – |
//!
//! # Metrics of your own
//! [`OperatorContext::metrics`](crate::OperatorContext::metrics) makes counters, gauges and histograms by name, in `open`
//! of a function; contexts of functions have `count` beside it. They are served as `tidegate_user_<name>`, counters with
//! `_total` behind, labelled as those of an operator. A name that cannot be one is refused when the metric is made, which
//! fails the task:
//!
//! ```
//! use tidegate::prelude::*;
//! use tidegate_core::{OperatorContext, metrics::{Counter, MetricError}};
//!
//! fn open(context: &OperatorContext) -> Result<std::sync::Arc<Counter>, MetricError> {
//!     context.metrics().counter("alerts")
//! }
//! ```

mod exposition;
mod server;

pub use server::MetricsServer;
pub use tidegate_core::metrics::{Counter, Gauge, Histogram, HistogramValues, MetricError, OperatorMetrics};

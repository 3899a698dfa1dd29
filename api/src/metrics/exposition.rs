//! The metrics of a job as text, in the OpenMetrics format. Pure: a function of what was measured.

use std::{collections::BTreeMap, fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tidegate_core::{
    EventTime, ProcessingTime, RunTimes,
    metrics::{ActivityTimes, HistogramValues, OwnMetric},
};
use tidegate_driver::{CheckpointStatistics, JobStatus};
use tidegate_worker::TaskMetricsEntry;

/// What the text is of.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// A job at one time.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) job: String,
    pub(super) status: JobStatus,
    pub(super) tasks: Vec<TaskMetricsEntry>,
    pub(super) now: ProcessingTime,
}

/// One task at one time.
struct TaskRow<'a> {
    labels: Labels,
    entry: &'a TaskMetricsEntry,
    times: ActivityTimes,
}

/// What a metric is called, without the prefix that all of its kind share, and what it means.
struct Named<T> {
    name: &'static str,
    help: &'static str,
    value: T,
}

type TaskCounter = Named<fn(&TaskMetricsEntry) -> u64>;
type TaskTime = Named<fn(&ActivityTimes) -> Duration>;
/// Left out where it has no value.
type TaskGauge = Named<fn(&TaskMetricsEntry, ProcessingTime) -> Option<f64>>;
type JobCounter = Named<fn(&JobStatus) -> u64>;
type CheckpointGauge = Named<fn(&CheckpointStatistics, ProcessingTime) -> f64>;

const fn named<T>(name: &'static str, help: &'static str, value: T) -> Named<T> {
    Named { name, help, value }
}

const TASK_COUNTERS: [TaskCounter; 7] = [
    named("records_in", "Records received, or read by a source", |task| {
        task.metrics.records_in.get()
    }),
    named(
        "records_out",
        "Records sent to other tasks or written to sinks",
        |task| task.metrics.records_out.get(),
    ),
    named("records_written", "Records written to sinks", |task| {
        task.metrics.records_written.get()
    }),
    named(
        "bytes_in",
        "Bytes received from other workers",
        TaskMetricsEntry::bytes_in,
    ),
    named(
        "bytes_out",
        "Bytes sent to other workers",
        TaskMetricsEntry::bytes_out,
    ),
    named(
        "late_records",
        "Records dropped because they were too late",
        |task| task.metrics.late_records.get(),
    ),
    named(
        "malformed_records",
        "Records that a policy dropped or diverted",
        |task| task.metrics.malformed.get(),
    ),
];

const TASK_TIMES: [TaskTime; 4] = [
    named("busy_seconds", "Time in which it ran", |times| times.busy),
    named("idle_seconds", "Time in which there was nothing to do", |times| {
        times.idle
    }),
    named(
        "queued_seconds",
        "Time in which it waited for other tasks of its thread",
        |times| times.queued,
    ),
    named(
        "backpressured_seconds",
        "Time in which a consumer or a sink had no room",
        |times| times.backpressured,
    ),
];

const TASK_GAUGES: [TaskGauge; 4] = [
    named(
        "watermark_seconds",
        "How far event time has come, since the Unix epoch",
        |task, _| watermark_seconds(task.metrics.watermark.get()),
    ),
    named(
        "watermark_lag_seconds",
        "How far the watermark is behind the clock",
        |task, now| {
            let watermark =
                watermark_seconds(task.metrics.watermark.get()).filter(|watermark| watermark.is_finite());
            watermark.map(|watermark| now.0 as f64 / 1e3 - watermark)
        },
    ),
    named(
        "state_bytes",
        "Keyed state, estimated, at the last checkpoint",
        |task, _| Some(task.metrics.state_bytes.get() as f64),
    ),
    named(
        "checkpoint_alignment_seconds",
        "From the first barrier of the last checkpoint to its last",
        |task, _| Some(task.metrics.alignment_us.get() as f64 / 1e6),
    ),
];

const JOB_COUNTERS: [JobCounter; 3] = [
    named("restarts", "How often the job's tasks were restarted", |status| {
        u64::from(status.restarts)
    }),
    named(
        "checkpoints_completed",
        "Checkpoints that were claimed",
        |status| status.completed_checkpoints,
    ),
    named(
        "checkpoints_failed",
        "Checkpoints that were not claimed",
        |status| status.failed_checkpoints,
    ),
];

const LAST_CHECKPOINT: [CheckpointGauge; 7] = [
    named("checkpoint_epoch", "The last claimed epoch", |last, _| {
        last.epoch.0 as f64
    }),
    named(
        "last_checkpoint_duration_seconds",
        "From its trigger until it was claimed",
        |last, _| last.duration.as_secs_f64(),
    ),
    named(
        "last_checkpoint_alignment_seconds",
        "The longest alignment of a task",
        |last, _| last.longest_alignment_us as f64 / 1e6,
    ),
    named(
        "last_checkpoint_sync_seconds",
        "The longest time that a task stood still",
        |last, _| last.longest_sync_us as f64 / 1e6,
    ),
    named(
        "last_checkpoint_written_bytes",
        "Bytes written for it",
        |last, _| last.written_bytes as f64,
    ),
    named(
        "last_checkpoint_size_bytes",
        "Bytes that a restore would read",
        |last, _| last.total_bytes as f64,
    ),
    named(
        "last_checkpoint_age_seconds",
        "How long ago it was claimed",
        |last, now| now.since(last.claimed_at).as_secs_f64(),
    ),
];

fn watermark_seconds(watermark: EventTime) -> Option<f64> {
    match watermark {
        EventTime::MIN => None,
        EventTime::MAX => Some(f64::INFINITY),
        EventTime(millis) => Some(millis as f64 / 1e3),
    }
}

impl Scrape {
    /// The text that is served.
    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn rows(&self) -> Vec<TaskRow<'_>> {
        self.tasks
            .iter()
            .map(|entry| TaskRow {
                labels: vec![
                    ("job", self.job.clone()),
                    ("chain", entry.name.clone()),
                    ("vertex", entry.task.vertex.0.to_string()),
                    ("task", entry.task.index.to_string()),
                ],
                entry,
                times: entry.times(),
            })
            .collect()
    }

    fn encode_job(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let (labels, status) = (vec![("job", self.job.clone())], &self.status);
        let mut with_state = labels.clone();
        with_state.push(("state", status.state.to_string()));
        let state = (with_state, ConstGauge::new(1u64));
        families.family("job", "state", "1 for the state that the job is in", [state])?;
        for Named { name, help, value } in JOB_COUNTERS {
            families.family(
                "job",
                name,
                help,
                [(labels.clone(), ConstCounter::new(value(status)))],
            )?;
        }
        for Named { name, help, value } in LAST_CHECKPOINT {
            let last = status.last_checkpoint.iter();
            let sample = last.map(|last| (labels.clone(), ConstGauge::new(value(last, self.now))));
            families.family("job", name, help, sample)?;
        }
        let pending = status.pending_checkpoint.iter().map(|(_, triggered_at)| {
            let age = self.now.since(*triggered_at);
            (labels.clone(), ConstGauge::new(age.as_secs_f64()))
        });
        let help = "How long ago the checkpoint being taken was triggered";
        families.family("job", "pending_checkpoint_age_seconds", help, pending)
    }

    fn encode_tasks(&self, rows: &[TaskRow<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
        for Named { name, help, value } in TASK_COUNTERS {
            let samples = rows
                .iter()
                .map(|row| (row.labels.clone(), ConstCounter::new(value(row.entry))));
            families.family("task", name, help, samples)?;
        }
        for Named { name, help, value } in TASK_TIMES {
            let samples = rows.iter().map(|row| {
                let seconds = value(&row.times).as_secs_f64();
                (row.labels.clone(), ConstCounter::new(seconds))
            });
            families.family("task", name, help, samples)?;
        }
        let samples = rows.iter().map(|row| (row.labels.clone(), run_times(row)));
        families.family(
            "task",
            "run_seconds",
            "How long it held its thread at a time",
            samples,
        )?;
        for Named { name, help, value } in TASK_GAUGES {
            let samples = rows.iter().filter_map(|row| {
                let value = value(row.entry, self.now)?;
                Some((row.labels.clone(), ConstGauge::new(value)))
            });
            families.family("task", name, help, samples)?;
        }
        Ok(())
    }
}

fn run_times(row: &TaskRow<'_>) -> Buckets {
    let metrics = &row.entry.metrics;
    let bounds = RunTimes::BOUNDS.map(|bound| bound.as_secs_f64());
    let bounds = bounds.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(metrics.run_times.counts()).collect();
    Buckets(HistogramValues {
        count: buckets.iter().map(|(_, count)| count).sum(),
        buckets,
        sum: row.times.busy.as_secs_f64(),
    })
}

fn encode_operators(rows: &[TaskRow<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    let operators: Vec<(Labels, _)> = rows
        .iter()
        .flat_map(|row| {
            let operators = row.entry.metrics.operators().into_iter();
            operators.map(|(uid, counters)| (with_operator(row, uid.as_str()), counters))
        })
        .collect();
    let samples = operators
        .iter()
        .map(|(labels, counters)| (labels.clone(), ConstCounter::new(counters.records_in.get())));
    families.family("operator", "records_in", "Records taken in", samples)?;
    let samples = operators
        .iter()
        .map(|(labels, counters)| (labels.clone(), ConstCounter::new(counters.records_out.get())));
    let help = "Records handed on through the main output, or written";
    families.family("operator", "records_out", help, samples)
}

/// Metrics of users' functions. The worker sees to it that all of one name are of one kind.
fn encode_own(rows: &[TaskRow<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    let mut by_name: BTreeMap<String, Vec<(Labels, OwnSample)>> = BTreeMap::new();
    for row in rows {
        for (operator, name, metric) in row.entry.metrics.all_own() {
            let sample = OwnSample::of(&metric);
            let labels = with_operator(row, operator.as_str());
            by_name.entry(name).or_default().push((labels, sample));
        }
    }
    by_name
        .into_iter()
        .try_for_each(|(name, samples)| families.family("user", &name, "Declared by the job", samples))
}

fn with_operator(row: &TaskRow<'_>, operator: &str) -> Labels {
    let mut labels = row.labels.clone();
    labels.push(("operator", operator.to_owned()));
    labels
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        self.encode_job(&mut families)?;
        let rows = self.rows();
        self.encode_tasks(&rows, &mut families)?;
        encode_operators(&rows, &mut families)?;
        encode_own(&rows, &mut families)
    }
}

/// Writes one family of samples after the other.
struct Families<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    /// Writes a family, unless it is empty. All samples are of one type.
    fn family<M: EncodeMetric>(
        &mut self,
        of: &str,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let name = format!("tidegate_{of}_{name}");
        let mut family = self.0.encode_descriptor(&name, help, None, first.metric_type())?;
        for (labels, metric) in samples {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A user's metric as it was read.
enum OwnSample {
    Counter(ConstCounter<u64>),
    Gauge(ConstGauge<f64>),
    Histogram(Buckets),
}

impl OwnSample {
    fn of(metric: &OwnMetric) -> Self {
        match metric {
            OwnMetric::Counter(counter) => Self::Counter(ConstCounter::new(counter.get())),
            OwnMetric::Gauge(gauge) => Self::Gauge(ConstGauge::new(gauge.get())),
            OwnMetric::Histogram(histogram) => Self::Histogram(Buckets(histogram.values())),
        }
    }

    fn metric(&self) -> &dyn EncodeMetric {
        match self {
            Self::Counter(counter) => counter,
            Self::Gauge(gauge) => gauge,
            Self::Histogram(buckets) => buckets,
        }
    }
}

impl EncodeMetric for OwnSample {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.metric().encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.metric().metric_type()
    }
}

/// A histogram as it was read.
struct Buckets(HistogramValues);

impl EncodeMetric for Buckets {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.0.sum, self.0.count, &self.0.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

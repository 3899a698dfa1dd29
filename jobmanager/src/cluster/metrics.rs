//! What a job manager measures, as text in the OpenMetrics format. Names are those of a job that runs by itself.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tidegate_core::{EventTime, metrics::TaskMeasurement};
use tidegate_driver::JobStatus;

use super::{dispatcher::Dispatcher, job::JobEntry};

type Labels = Vec<(&'static str, String)>;

/// Everything that is measured, as of now.
pub(crate) fn text(dispatcher: &Dispatcher) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::of(dispatcher)));
    let mut text = String::new();
    if let Err(error) = text::encode(&mut text, &registry) {
        tracing::error!(%error, "metrics could not be written");
    }
    text
}

/// A cluster at one time.
#[derive(Debug)]
struct Scrape {
    now_ms: i64,
    generation: u64,
    task_managers: Vec<TaskManagerRow>,
    jobs: Vec<JobRow>,
}

#[derive(Debug)]
struct TaskManagerRow {
    labels: Labels,
    slots: u32,
    free_slots: u32,
    memory_bytes: Option<u64>,
    heard_ms: i64,
}

#[derive(Debug)]
struct JobRow {
    labels: Labels,
    state: String,
    status: Option<JobStatus>,
    tasks: Vec<(Labels, TaskMeasurement)>,
    restored_local: u64,
    restored_remote: u64,
    refused_connections: u64,
}

impl Scrape {
    fn of(dispatcher: &Dispatcher) -> Self {
        let slots = dispatcher.slots.borrow().clone();
        let links = dispatcher.task_managers.all();
        let task_managers = links.iter().map(|link| {
            let (seen, own) = (link.seen(), slots.get(link.id()));
            TaskManagerRow {
                labels: vec![("task_manager", link.id().to_string())],
                slots: link.registration.slots,
                free_slots: own.map_or(0, |slots| slots.free()),
                memory_bytes: seen.resources.map(|resources| resources.memory_bytes),
                heard_ms: seen.at_ms,
            }
        });
        let jobs = dispatcher.jobs.all();
        let unfinished = jobs.iter().filter(|job| job.end().is_none());
        Self {
            now_ms: dispatcher.clock.now_ms(),
            generation: dispatcher.generation.0,
            task_managers: task_managers.collect(),
            jobs: unfinished.map(|job| job_row(job)).collect(),
        }
    }

    fn encode_cluster(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let generation = [(vec![], ConstGauge::new(self.generation))];
        families.family("cluster_generation", "The term of this job manager", generation)?;
        let managers = &self.task_managers;
        let count = u64::try_from(managers.len()).unwrap_or(u64::MAX);
        families.family(
            "cluster_task_managers",
            "Task managers that are attached",
            [(vec![], ConstGauge::new(count))],
        )?;
        let rows = managers.iter();
        families.family(
            "task_manager_slots",
            "Slots of a task manager",
            rows.clone()
                .map(|row| (row.labels.clone(), ConstGauge::new(u64::from(row.slots)))),
        )?;
        families.family(
            "task_manager_free_slots",
            "Slots that no worker holds",
            rows.clone()
                .map(|row| (row.labels.clone(), ConstGauge::new(u64::from(row.free_slots)))),
        )?;
        families.family(
            "task_manager_memory_bytes",
            "Memory of a task manager and its workers",
            rows.clone()
                .filter_map(|row| Some((row.labels.clone(), ConstGauge::new(row.memory_bytes?)))),
        )?;
        families.family(
            "task_manager_last_heard_seconds",
            "How long ago a task manager was heard of",
            rows.map(|row| {
                let age = (self.now_ms - row.heard_ms).max(0);
                (row.labels.clone(), ConstGauge::new(age as f64 / 1e3))
            }),
        )
    }

    fn encode_jobs(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let jobs = self.jobs.iter();
        families.family(
            "job_state",
            "1 for the state that the job is in",
            jobs.clone().map(|job| {
                let mut labels = job.labels.clone();
                labels.push(("state", job.state.to_lowercase()));
                (labels, ConstGauge::new(1u64))
            }),
        )?;
        type JobCounter = (&'static str, &'static str, fn(&JobStatus) -> u64);
        let counters: [JobCounter; 3] = [
            ("job_restarts", "How often the job's tasks were restarted", |it| {
                u64::from(it.restarts)
            }),
            (
                "job_checkpoints_completed",
                "Checkpoints that were claimed",
                |it| it.completed_checkpoints,
            ),
            (
                "job_checkpoints_failed",
                "Checkpoints that were not claimed",
                |it| it.failed_checkpoints,
            ),
        ];
        for (name, help, value) in counters {
            families.family(
                name,
                help,
                jobs.clone().filter_map(|job| {
                    Some((job.labels.clone(), ConstCounter::new(value(job.status.as_ref()?))))
                }),
            )?;
        }
        type CheckpointGauge = (
            &'static str,
            &'static str,
            fn(&tidegate_driver::CheckpointStatistics) -> f64,
        );
        let gauges: [CheckpointGauge; 4] = [
            ("job_checkpoint_epoch", "The last claimed epoch", |last| {
                last.epoch.0 as f64
            }),
            (
                "job_last_checkpoint_duration_seconds",
                "From its trigger until it was claimed",
                |last| last.duration.as_secs_f64(),
            ),
            (
                "job_last_checkpoint_written_bytes",
                "Bytes written for it",
                |last| last.written_bytes as f64,
            ),
            (
                "job_last_checkpoint_size_bytes",
                "Bytes that a restore would read",
                |last| last.total_bytes as f64,
            ),
        ];
        for (name, help, value) in gauges {
            let last = jobs.clone().filter_map(|job| {
                let last = job.status.as_ref()?.last_checkpoint.as_ref()?;
                Some((job.labels.clone(), ConstGauge::new(value(last))))
            });
            families.family(name, help, last)?;
        }
        families.family(
            "job_last_checkpoint_age_seconds",
            "How long ago it was claimed",
            jobs.clone().filter_map(|job| {
                let last = job.status.as_ref()?.last_checkpoint.as_ref()?;
                let age = (self.now_ms - last.claimed_at.0).max(0);
                Some((job.labels.clone(), ConstGauge::new(age as f64 / 1e3)))
            }),
        )?;
        type WorkerCounter = (&'static str, &'static str, fn(&JobRow) -> u64);
        let workers: [WorkerCounter; 3] = [
            (
                "job_restored_local_bytes",
                "Bytes that workers last restored from copies of their own",
                |job| job.restored_local,
            ),
            (
                "job_restored_remote_bytes",
                "Bytes that workers last restored from the store",
                |job| job.restored_remote,
            ),
            (
                "job_refused_connections",
                "Strangers that workers turned away at their data ports",
                |job| job.refused_connections,
            ),
        ];
        for (name, help, value) in workers {
            let rows = jobs
                .clone()
                .map(|job| (job.labels.clone(), ConstGauge::new(value(job))));
            families.family(name, help, rows)?;
        }
        Ok(())
    }

    fn encode_tasks(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let tasks = self.jobs.iter().flat_map(|job| &job.tasks);
        type TaskCounter = (&'static str, &'static str, fn(&TaskMeasurement) -> u64);
        let counters: [TaskCounter; 7] = [
            (
                "task_records_in",
                "Records received, or read by a source",
                |task| task.records_in,
            ),
            (
                "task_records_out",
                "Records sent to other tasks or written to sinks",
                |task| task.records_out,
            ),
            ("task_records_written", "Records written to sinks", |task| {
                task.records_written
            }),
            ("task_bytes_in", "Bytes received from other workers", |task| {
                task.bytes_in
            }),
            ("task_bytes_out", "Bytes sent to other workers", |task| {
                task.bytes_out
            }),
            (
                "task_late_records",
                "Records dropped because they were too late",
                |task| task.late_records,
            ),
            (
                "task_malformed_records",
                "Records that a policy dropped or diverted",
                |task| task.malformed_records,
            ),
        ];
        for (name, help, value) in counters {
            let rows = tasks
                .clone()
                .map(|(labels, task)| (labels.clone(), ConstCounter::new(value(task))));
            families.family(name, help, rows)?;
        }
        type TaskTime = (
            &'static str,
            &'static str,
            fn(&TaskMeasurement) -> std::time::Duration,
        );
        let times: [TaskTime; 4] = [
            ("task_busy_seconds", "Time in which it ran", |task| {
                task.times.busy
            }),
            (
                "task_idle_seconds",
                "Time in which there was nothing to do",
                |task| task.times.idle,
            ),
            (
                "task_queued_seconds",
                "Time in which it waited for other tasks of its thread",
                |task| task.times.queued,
            ),
            (
                "task_backpressured_seconds",
                "Time in which a consumer or a sink had no room",
                |task| task.times.backpressured,
            ),
        ];
        for (name, help, value) in times {
            let rows = tasks
                .clone()
                .map(|(labels, task)| (labels.clone(), ConstCounter::new(value(task).as_secs_f64())));
            families.family(name, help, rows)?;
        }
        families.family(
            "task_watermark_seconds",
            "How far event time has come, since the Unix epoch",
            tasks.clone().filter_map(|(labels, task)| {
                let seconds = match task.watermark {
                    EventTime::MIN => return None,
                    EventTime::MAX => f64::INFINITY,
                    EventTime(millis) => millis as f64 / 1e3,
                };
                Some((labels.clone(), ConstGauge::new(seconds)))
            }),
        )?;
        families.family(
            "task_state_bytes",
            "Keyed state, estimated, at the last checkpoint",
            tasks.map(|(labels, task)| (labels.clone(), ConstGauge::new(task.state_bytes as f64))),
        )
    }
}

fn job_row(job: &JobEntry) -> JobRow {
    let labels: Labels = vec![("job", job.record().name), ("job_id", job.id().to_string())];
    let row = |task: &TaskMeasurement| {
        let mut labels = labels.clone();
        let chain = job
            .plan()
            .vertices
            .iter()
            .find(|vertex| vertex.id == task.task.vertex);
        labels.push((
            "chain",
            chain.map(|vertex| vertex.name.clone()).unwrap_or_default(),
        ));
        labels.push(("vertex", task.task.vertex.to_string()));
        labels.push(("task", task.task.index.to_string()));
        (labels, *task)
    };
    let workers = job.worker_measurements();
    let sum = |value: fn(&tidegate_core::metrics::WorkerMeasurement) -> u64| workers.iter().map(value).sum();
    JobRow {
        state: job.phase().to_string(),
        status: job.status(),
        tasks: workers.iter().flat_map(|worker| &worker.tasks).map(row).collect(),
        restored_local: sum(|worker| worker.restored.local),
        restored_remote: sum(|worker| worker.restored.remote),
        refused_connections: sum(|worker| worker.refused_connections),
        labels,
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        self.encode_cluster(&mut families)?;
        self.encode_jobs(&mut families)?;
        self.encode_tasks(&mut families)
    }
}

/// Writes one family of samples after the other.
struct Families<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    /// Writes a family, unless it is empty. All samples are of one type.
    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let name = format!("tidegate_{name}");
        let mut family = self.0.encode_descriptor(&name, help, None, first.metric_type())?;
        for (labels, metric) in samples {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

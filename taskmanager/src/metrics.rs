//! What the task manager counts of itself, for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tidegate_core::TaskManagerId;
use tidegate_proto::taskmanager::{DescribeProblem, ResourceUse, WorkerEnd};

use crate::options::TaskManagerOptions;

/// What a scrape is of.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Level = Gauge<u64, AtomicU64>;

/// What the task manager counts of itself.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    slots_used: Level,
    workers: Level,
    connected: Level,
    attachments: Counter,
    ends: Family<How, Counter>,
    descriptions: Family<How, Counter>,
    cpu_millicores: Level,
    memory_bytes: Level,
    disk_bytes: Level,
}

/// How something came out.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct How {
    outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new(id: &TaskManagerId, options: &TaskManagerOptions) -> Self {
        let mut registry = Registry::with_prefix("tidegate_taskmanager");
        let slots = Level::default();
        slots.set(options.slots.into());
        let memory_limit = Level::default();
        memory_limit.set(options.memory_bytes);
        let build = Info::new(vec![
            ("task_manager", id.to_string()),
            ("release", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        let metrics = Self {
            registry: Registry::default(),
            slots_used: Level::default(),
            workers: Level::default(),
            connected: Level::default(),
            attachments: Counter::default(),
            ends: Family::default(),
            descriptions: Family::default(),
            cpu_millicores: Level::default(),
            memory_bytes: Level::default(),
            disk_bytes: Level::default(),
        };
        registry.register("build", "Which task manager this is", build);
        registry.register("slots", "Slots that it offers", slots);
        registry.register("memory_available_bytes", "Memory that it may use", memory_limit);
        registry.register(
            "slots_used",
            "Slots that workers have",
            metrics.slots_used.clone(),
        );
        registry.register("workers", "Workers that it runs", metrics.workers.clone());
        registry.register(
            "connected",
            "Whether it is attached to a job manager",
            metrics.connected.clone(),
        );
        registry.register(
            "attachments",
            "How often it has attached to a job manager",
            metrics.attachments.clone(),
        );
        registry.register(
            "worker_ends",
            "Workers that have ended, by how",
            metrics.ends.clone(),
        );
        registry.register(
            "descriptions",
            "Executables that were asked what they are, by what came of it",
            metrics.descriptions.clone(),
        );
        registry.register(
            "cpu_millicores",
            "Processor time of it and its workers, in thousandths of a core",
            metrics.cpu_millicores.clone(),
        );
        registry.register(
            "memory_resident_bytes",
            "Resident memory of it and its workers",
            metrics.memory_bytes.clone(),
        );
        registry.register(
            "disk_used_bytes",
            "What artifacts, working directories and logs occupy",
            metrics.disk_bytes.clone(),
        );
        Self { registry, ..metrics }
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn attached(&self) {
        self.attachments.inc();
        self.connected.set(1);
    }

    pub(crate) fn detached(&self) {
        self.connected.set(0);
    }

    pub(crate) fn running(&self, workers: usize, slots: u64) {
        self.workers.set(workers as u64);
        self.slots_used.set(slots);
    }

    pub(crate) fn worker_ended(&self, end: &WorkerEnd) {
        let outcome = match end {
            WorkerEnd::Exited(0) => "exited",
            WorkerEnd::Exited(_) => "failed",
            WorkerEnd::Signaled(_) => "signaled",
            WorkerEnd::MemoryLimit { .. } => "memory-limit",
            WorkerEnd::NotStarted { .. } => "not-started",
            WorkerEnd::Stopped => "stopped",
        };
        self.ends.get_or_create(&How { outcome }).inc();
    }

    pub(crate) fn described(&self, outcome: &Result<String, DescribeProblem>) {
        let outcome = match outcome {
            Ok(_) => "described",
            Err(problem) => problem.kind.name(),
        };
        self.descriptions.get_or_create(&How { outcome }).inc();
    }

    pub(crate) fn used(&self, resources: &ResourceUse) {
        self.cpu_millicores.set(resources.cpu_millicores);
        self.memory_bytes.set(resources.memory_bytes);
        self.disk_bytes.set(resources.disk_bytes);
    }
}

//! A job as the cluster knows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tidegate_core::{ProcessingTime, TaskManagerId, WorkerName};

use super::shortage::Shortage;

/// How many failures of a job's workers in a row are answered with another worker at once.
const FREE_FAILURES: u32 = 2;
/// The pause after the first failure that is not.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Failures further apart than this have nothing to do with each other.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);
/// A worker that has run for so long is not one of those that end as soon as they are started: how soon its job goes on is for
/// the job's restart strategy to say.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// How many failures of a job's workers in a row make a task manager the last choice for it.
const SHUNNED_AFTER: u32 = 2;

/// Workers that ended though they were wanted, one after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    last: Option<ProcessingTime>,
}

impl Failures {
    /// Counts the end of a worker that ran since `since`. Workers that end together are one failure: only the end of one
    /// that was started after the last is another.
    fn add(&mut self, now: ProcessingTime, since: ProcessingTime) {
        match self.last {
            Some(last) if now.since(last) >= FAILURE_MEMORY => self.count = 1,
            Some(last) if since < last => return,
            _ => self.count = self.count.saturating_add(1),
        }
        self.last = Some(now);
    }

    fn recent(&self, now: ProcessingTime) -> u32 {
        match self.last {
            Some(last) if now.since(last) < FAILURE_MEMORY => self.count,
            _ => 0,
        }
    }
}

/// Before when nothing is started for a job, and why.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) until: ProcessingTime,
    pub(crate) length: Duration,
    pub(crate) failures: u32,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct Job {
    /// Its place in the order of submission.
    pub(crate) order: u64,
    pub(crate) slots: u32,
    pub(crate) target: Option<String>,
    /// Whether it has ever had all of its slots, or had when the job manager was started.
    pub(crate) has_run: bool,
    /// The workers that count for it.
    pub(crate) workers: BTreeMap<WorkerName, TaskManagerId>,
    /// Until when workers of before are taken back, and nothing is started in their place.
    pub(crate) reattaching_until: Option<ProcessingTime>,
    /// Workers that its driver was told are gone while others may be taken back: they are not.
    pub(crate) gone: BTreeSet<WorkerName>,
    pub(crate) pause: Option<Pause>,
    pub(crate) told: Option<Told>,
    failures: Failures,
    failures_on: BTreeMap<TaskManagerId, Failures>,
}

/// What was last told of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Placed,
    Waits(Shortage),
}

impl Job {
    pub(crate) fn new(order: u64, slots: u32, target: Option<String>) -> Self {
        Self {
            order,
            slots: slots.max(1),
            target,
            has_run: false,
            workers: BTreeMap::new(),
            reattaching_until: None,
            gone: BTreeSet::new(),
            pause: None,
            told: None,
            failures: Failures::default(),
            failures_on: BTreeMap::new(),
        }
    }

    /// A wanted worker has ended.
    pub(crate) fn failed(
        &mut self,
        now: ProcessingTime,
        on: &TaskManagerId,
        since: ProcessingTime,
        reason: &str,
    ) {
        self.failures_on.entry(on.clone()).or_default().add(now, since);
        if now.since(since) >= SETTLED_AFTER {
            return;
        }
        self.failures.add(now, since);
        let failures = self.failures.recent(now);
        if failures > FREE_FAILURES {
            let doublings = (failures - FREE_FAILURES - 1).min(16);
            let length = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
            self.pause = Some(Pause {
                until: now.after(length),
                length,
                failures,
                reason: reason.to_owned(),
            });
        }
    }

    /// Whether other task managers are better for it.
    pub(crate) fn shuns(&self, now: ProcessingTime, task_manager: &TaskManagerId) -> bool {
        let failures = self.failures_on.get(task_manager);
        failures.is_some_and(|failures| failures.recent(now) >= SHUNNED_AFTER)
    }

    /// Whether workers of before are still waited for.
    pub(crate) fn is_reattaching(&self, now: ProcessingTime) -> bool {
        self.reattaching_until.is_some_and(|until| now < until)
    }
}

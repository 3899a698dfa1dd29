//! The cluster's state, and what facts do to it. Giving slots away is in `placing`.

use std::{collections::BTreeMap, time::Duration};

use tidegate_core::{Generation, JobId, ProcessingTime, Severity, TaskManagerId, WorkerName};

use super::{
    command::ClusterCommand,
    event::{Admission, ClusterEvent, HostedWorker},
    job::{Job, Told},
    shortage::Shortage,
    task_manager::{Hosted, SlotUse, Standing, TaskManager},
};

/// What a cluster is told once, at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterOptions {
    /// The term of leadership over the cluster: no two starts of job managers have the same.
    pub generation: Generation,
    /// How long workers of recovered jobs are waited for before others are started in their place.
    pub reattachment: Duration,
}

impl ClusterOptions {
    /// Three seconds for workers to come back: less than the window in which a coordinator adopts them, so that a job that
    /// has lost some is complete again when it closes.
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            reattachment: Duration::from_secs(3),
        }
    }
}

/// Decides who runs where. See the module's documentation for its rules.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    pub(crate) task_managers: BTreeMap<TaskManagerId, TaskManager>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    next_job: u64,
    next_worker: u64,
    pub(crate) commands: Vec<ClusterCommand>,
}

/// How many workers a generation has numbers for before it runs into those of the next.
const WORKERS_OF_A_GENERATION: u64 = 1_000_000_000;

impl Cluster {
    /// A cluster without task managers and jobs.
    pub fn new(options: ClusterOptions) -> Self {
        Self {
            next_worker: options.generation.0.saturating_mul(WORKERS_OF_A_GENERATION),
            options,
            task_managers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            commands: Vec::new(),
        }
    }

    /// Takes a fact and answers with what is to be done about it, in order. `now` never runs backwards.
    pub fn handle(&mut self, now: ProcessingTime, event: ClusterEvent) -> Vec<ClusterCommand> {
        match event {
            ClusterEvent::TaskManagerAttached {
                task_manager,
                incarnation,
                slots,
                target,
                workers,
            } => self.attach(now, task_manager, incarnation, slots, target, workers),
            ClusterEvent::TaskManagerLost {
                task_manager,
                incarnation,
                reason,
            } => {
                let known = self.task_managers.get(&task_manager);
                if known.is_some_and(|known| known.incarnation == incarnation) {
                    self.forget_task_manager(&task_manager, &reason);
                }
            }
            ClusterEvent::JobAdmitted {
                job,
                slots,
                target,
                admission,
            } => self.admit(now, job, slots, target, admission),
            ClusterEvent::JobNeeds { job, slots } => self.resize(&job, slots),
            ClusterEvent::JobEnded { job } => self.end_job(&job),
            ClusterEvent::WorkerStarted {
                task_manager,
                job,
                worker,
            } => self.worker_started(task_manager, job, worker),
            ClusterEvent::WorkerEnded {
                task_manager,
                worker,
                reason,
                severity,
                ..
            } => self.worker_ended(now, &task_manager, worker, reason, severity),
            ClusterEvent::Wakeup => {}
        }
        self.place_all(now);
        std::mem::take(&mut self.commands)
    }

    /// When [`ClusterEvent::Wakeup`] is due, if nothing else happens before. What was due already is not named again.
    pub fn next_wakeup(&self) -> Option<ProcessingTime> {
        let short = self.jobs.values().filter_map(|job| match &job.told {
            Some(Told::Waits(Shortage::Reattaching { .. })) => job.reattaching_until,
            Some(Told::Waits(Shortage::Failing { .. })) => job.pause.as_ref().map(|pause| pause.until),
            _ => None,
        });
        short.min()
    }

    /// The slots of an attached task manager.
    pub fn slot_use(&self, task_manager: &TaskManagerId) -> Option<SlotUse> {
        self.task_managers.get(task_manager).map(TaskManager::slot_use)
    }

    /// The attached task managers and their slots.
    pub fn task_managers(&self) -> impl Iterator<Item = (&TaskManagerId, SlotUse)> {
        self.task_managers
            .iter()
            .map(|(id, task_manager)| (id, task_manager.slot_use()))
    }

    /// The workers that count for a job, and where they are. A worker that is not among them has no business with the job.
    pub fn workers(&self, job: &JobId) -> impl Iterator<Item = (&WorkerName, &TaskManagerId)> {
        self.jobs.get(job).into_iter().flat_map(|job| &job.workers)
    }

    /// What a job is short of; `None` if it has all of its slots, or is unknown.
    pub fn shortage(&self, job: &JobId) -> Option<&Shortage> {
        match &self.jobs.get(job)?.told {
            Some(Told::Waits(shortage)) => Some(shortage),
            _ => None,
        }
    }

    pub(crate) fn reattachment(&self) -> Duration {
        self.options.reattachment
    }

    fn attach(
        &mut self,
        now: ProcessingTime,
        id: TaskManagerId,
        incarnation: u64,
        slots: u32,
        target: String,
        running: Vec<HostedWorker>,
    ) {
        let restarted = |known: &TaskManager| known.incarnation != incarnation;
        if self.task_managers.get(&id).is_some_and(restarted) {
            self.forget_task_manager(&id, "its task manager was started again");
        }
        let before = self.task_managers.remove(&id);
        let mut known = before.map(|before| before.workers).unwrap_or_default();
        self.task_managers.insert(
            id.clone(),
            TaskManager {
                incarnation,
                slots,
                target,
                workers: BTreeMap::new(),
            },
        );
        for found in running {
            let hosted = match known.remove(&found.worker) {
                Some(hosted) => hosted,
                None => self.receive(now, &id, &found),
            };
            if !matches!(hosted.standing, Standing::Wanted { .. }) {
                self.order_stop(&id, &hosted.job, &found.worker);
            }
            if let Some(task_manager) = self.task_managers.get_mut(&id) {
                task_manager.workers.insert(found.worker, hosted);
            }
        }
        for (worker, hosted) in known {
            self.gone(worker, &hosted, "its task manager does not run it any more");
        }
    }

    /// A worker that is found running: whether it is one that its job waits for.
    fn receive(&mut self, now: ProcessingTime, on: &TaskManagerId, found: &HostedWorker) -> Hosted {
        let missing = self.missing(&found.job);
        let task_manager = self.task_managers.get(on);
        let wanted = self.jobs.get_mut(&found.job).filter(|job| {
            job.is_reattaching(now)
                && found.slots <= missing
                && !job.gone.contains(&found.worker)
                && task_manager.is_some_and(|on| on.fits(job.target.as_deref()))
        });
        let standing = match wanted {
            Some(job) => {
                job.workers.insert(found.worker.clone(), on.clone());
                Standing::Wanted { since: now }
            }
            None => Standing::Stray,
        };
        Hosted {
            job: found.job.clone(),
            slots: found.slots,
            standing,
        }
    }

    fn forget_task_manager(&mut self, id: &TaskManagerId, reason: &str) {
        let Some(lost) = self.task_managers.remove(id) else {
            return;
        };
        for (worker, hosted) in lost.workers {
            self.gone(worker, &hosted, &format!("task manager {id} is lost: {reason}"));
        }
    }

    /// A worker is not there any more, through no fault of its own.
    fn gone(&mut self, worker: WorkerName, hosted: &Hosted, reason: &str) {
        if matches!(hosted.standing, Standing::Wanted { .. }) {
            self.strike_off(&hosted.job, worker, reason.to_owned(), Severity::Restart);
        }
    }

    /// A worker counts for its job no longer.
    fn strike_off(&mut self, id: &JobId, worker: WorkerName, reason: String, severity: Severity) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.workers.remove(&worker);
        if job.reattaching_until.is_some() {
            job.gone.insert(worker.clone());
        }
        self.commands.push(ClusterCommand::WorkerGone {
            job: id.clone(),
            worker,
            reason,
            severity,
        });
    }

    fn admit(
        &mut self,
        now: ProcessingTime,
        id: JobId,
        slots: u32,
        target: Option<String>,
        admission: Admission,
    ) {
        if self.jobs.contains_key(&id) {
            return self.resize(&id, slots);
        }
        let mut job = Job::new(self.next_job, slots, target);
        self.next_job += 1;
        if admission == Admission::Recovered {
            job.has_run = true;
            job.reattaching_until = Some(now.after(self.options.reattachment));
        }
        self.jobs.insert(id, job);
    }

    fn resize(&mut self, id: &JobId, slots: u32) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.slots = slots.max(1);
        let mut surplus = self.held(id).saturating_sub(slots.max(1));
        for (worker, on) in self.newest_workers(id) {
            let size = self.hosted(&on, &worker).map_or(0, |hosted| hosted.slots);
            if size <= surplus {
                surplus -= size;
                self.release(id, &on, worker, "the job needs fewer slots");
            }
        }
    }

    fn end_job(&mut self, id: &JobId) {
        let Some(job) = self.jobs.remove(id) else { return };
        for (worker, on) in job.workers {
            self.order_stop(&on, id, &worker);
            self.set_released(&on, &worker);
        }
    }

    /// A worker is told to stop although its job goes on.
    pub(crate) fn release(&mut self, id: &JobId, on: &TaskManagerId, worker: WorkerName, reason: &str) {
        self.order_stop(on, id, &worker);
        self.set_released(on, &worker);
        self.strike_off(id, worker, reason.to_owned(), Severity::Restart);
    }

    fn set_released(&mut self, on: &TaskManagerId, worker: &WorkerName) {
        let hosted = self.task_managers.get_mut(on);
        if let Some(hosted) = hosted.and_then(|on| on.workers.get_mut(worker)) {
            hosted.standing = Standing::Released;
        }
    }

    fn order_stop(&mut self, task_manager: &TaskManagerId, job: &JobId, worker: &WorkerName) {
        self.commands.push(ClusterCommand::StopWorker {
            task_manager: task_manager.clone(),
            job: job.clone(),
            worker: worker.clone(),
        });
    }

    /// An order may have been under way while its task manager attached anew without the worker.
    fn worker_started(&mut self, on: TaskManagerId, job: JobId, worker: WorkerName) {
        let Some(task_manager) = self.task_managers.get_mut(&on) else {
            return;
        };
        if !task_manager.workers.contains_key(&worker) {
            let stray = Hosted {
                job: job.clone(),
                slots: 0,
                standing: Standing::Stray,
            };
            task_manager.workers.insert(worker.clone(), stray);
            self.order_stop(&on, &job, &worker);
        }
    }

    fn worker_ended(
        &mut self,
        now: ProcessingTime,
        on: &TaskManagerId,
        worker: WorkerName,
        reason: String,
        severity: Severity,
    ) {
        let task_manager = self.task_managers.get_mut(on);
        let Some(hosted) = task_manager.and_then(|on| on.workers.remove(&worker)) else {
            return;
        };
        let Standing::Wanted { since } = hosted.standing else {
            return;
        };
        if let Some(job) = self.jobs.get_mut(&hosted.job) {
            job.failed(now, on, since, &reason);
        }
        self.strike_off(&hosted.job, worker, reason, severity);
        if severity == Severity::FailJob {
            // Its driver is about to end it; nothing is started in the meantime.
            self.end_job(&hosted.job);
        }
    }

    pub(crate) fn start_worker(&mut self, now: ProcessingTime, id: &JobId, on: &TaskManagerId, slots: u32) {
        let worker = WorkerName::of(on, self.next_worker);
        self.next_worker += 1;
        if let Some(task_manager) = self.task_managers.get_mut(on) {
            let hosted = Hosted {
                job: id.clone(),
                slots,
                standing: Standing::Wanted { since: now },
            };
            task_manager.workers.insert(worker.clone(), hosted);
        }
        if let Some(job) = self.jobs.get_mut(id) {
            job.workers.insert(worker.clone(), on.clone());
        }
        self.commands.push(ClusterCommand::StartWorker {
            task_manager: on.clone(),
            job: id.clone(),
            worker,
            slots,
        });
    }

    pub(crate) fn hosted(&self, on: &TaskManagerId, worker: &WorkerName) -> Option<&Hosted> {
        self.task_managers.get(on)?.workers.get(worker)
    }

    /// How many slots the workers of a job have.
    pub(crate) fn held(&self, id: &JobId) -> u32 {
        let workers = self.workers(id);
        workers
            .filter_map(|(worker, on)| self.hosted(on, worker))
            .map(|hosted| hosted.slots)
            .sum()
    }

    pub(crate) fn missing(&self, id: &JobId) -> u32 {
        let wanted = self.jobs.get(id).map_or(0, |job| job.slots);
        wanted.saturating_sub(self.held(id))
    }

    /// The workers of a job, those that were started last first.
    fn newest_workers(&self, id: &JobId) -> Vec<(WorkerName, TaskManagerId)> {
        let mut workers: Vec<_> = self
            .workers(id)
            .map(|(worker, on)| (worker.clone(), on.clone()))
            .collect();
        workers.sort_by_key(|(worker, on)| {
            let standing = self.hosted(on, worker).map(|hosted| hosted.standing);
            std::cmp::Reverse(match standing {
                Some(Standing::Wanted { since }) => since,
                _ => ProcessingTime(0),
            })
        });
        workers
    }
}

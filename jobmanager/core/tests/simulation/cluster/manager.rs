//! Job managers: a cluster and a coordinator per job, with their effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tidegate_coordinator::{
    Command, Coordinator, CoordinatorOptions, Event, Notice, Outcome, Requirement,
    cluster::{Admission, Cluster, ClusterCommand, ClusterEvent, ClusterOptions},
};
use tidegate_core::{Generation, ProcessingTime, WorkerId, WorkerName, control::WorkerReport};

use super::{ClusterWorld, Happening};
use crate::{job::options, store_work::work};

pub(super) struct Manager {
    pub(super) cluster: Cluster,
    /// By job; jobs that had finished before have none.
    pub(super) drivers: Vec<Option<Driver>>,
    /// The connections of task managers.
    pub(super) nodes: BTreeMap<usize, u64>,
    pub(super) is_alive: bool,
    /// Its way to the store takes many times as long.
    pub(super) is_slow: bool,
}

pub(super) struct Driver {
    pub(super) coordinator: Coordinator,
    /// Workers that were given up.
    pub(super) gone: BTreeSet<WorkerName>,
    /// The process and the connection of each attached worker.
    pub(super) sessions: BTreeMap<WorkerId, (usize, u64)>,
    pub(super) is_over: bool,
}

impl ClusterWorld {
    pub(super) fn start_manager(&mut self) {
        let number = self.managers.len();
        let is_first = number == 0;
        let drivers = (0..self.jobs.len()).map(|job| {
            let (slots, tasks) = (self.jobs[job].slots, self.jobs[job].tasks);
            let seed = self.random.next();
            (!self.jobs[job].finished).then(|| Driver {
                coordinator: Coordinator::new(CoordinatorOptions {
                    requirement: Requirement::Slots(slots),
                    adoption: Some(Duration::from_secs(5)),
                    ..options(number, 0, tasks, seed)
                }),
                gone: BTreeSet::new(),
                sessions: BTreeMap::new(),
                is_over: false,
            })
        });
        let drivers: Vec<Option<Driver>> = drivers.collect();
        let is_slow = self.is_faulty() && self.random.per_mille(200);
        self.managers.push(Manager {
            cluster: Cluster::new(ClusterOptions::new(Generation(number as u64 + 1))),
            drivers,
            nodes: BTreeMap::new(),
            is_alive: true,
            is_slow,
        });
        self.tally.leaders += 1;
        for job in 0..self.jobs.len() {
            if self.jobs[job].finished {
                continue;
            }
            let admission = if is_first {
                Admission::Submitted
            } else {
                Admission::Recovered
            };
            let admitted = ClusterEvent::JobAdmitted {
                job: self.jobs[job].id.clone(),
                slots: self.jobs[job].slots,
                target: None,
                admission,
            };
            self.tell_cluster(number, admitted);
            self.after(0, Happening::ToJob(number, job, Event::Started));
        }
    }

    pub(super) fn manager_dies(&mut self, manager: usize) {
        self.managers[manager].is_alive = false;
        for node in 0..self.nodes.len() {
            if self.nodes[node].connection.is_some_and(|(to, _)| to == manager) {
                self.node_is_cut_off(node);
            }
        }
        for process in 0..self.processes.len() {
            let to = self.processes[process].connection;
            if to.is_some_and(|(to, _)| to == manager) {
                self.worker_is_cut_off(process);
            }
        }
    }

    /// The job manager that somebody who looks for one finds.
    pub(super) fn find_manager(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..self.managers.len())
            .filter(|i| self.managers[*i].is_alive)
            .collect();
        let newest = alive.last().copied()?;
        // A name service may be late.
        let stray = self.is_faulty() && self.random.per_mille(100);
        let index = self.random.next() as usize % alive.len();
        Some(if stray { alive[index] } else { newest })
    }

    pub(super) fn wake_cluster(&mut self, manager: usize) {
        let due = self.managers[manager].cluster.next_wakeup();
        if due.is_some_and(|at| at.0 <= self.now) {
            self.tell_cluster(manager, ClusterEvent::Wakeup);
        }
    }

    pub(super) fn tell_cluster(&mut self, manager: usize, event: ClusterEvent) {
        if !self.managers[manager].is_alive {
            return;
        }
        let now = ProcessingTime(self.now);
        for command in self.managers[manager].cluster.handle(now, event) {
            match command {
                ClusterCommand::StartWorker { ref task_manager, .. }
                | ClusterCommand::StopWorker { ref task_manager, .. } => {
                    let node = self.nodes.iter().position(|node| node.id == *task_manager);
                    let node = node.expect("only task managers that exist are told anything");
                    if let Some(connection) = self.managers[manager].nodes.get(&node).copied() {
                        let at = self.arrival(connection, false);
                        self.at(at, Happening::NodeHears(node, connection, command));
                    }
                }
                ClusterCommand::WorkerGone {
                    job,
                    worker,
                    reason,
                    severity,
                } => {
                    let job = self.job_number(&job);
                    self.dismiss(manager, job, &worker);
                    let gone = Event::WorkerGone {
                        name: worker,
                        reason,
                        severity,
                    };
                    self.after(0, Happening::ToJob(manager, job, gone));
                }
                ClusterCommand::JobWaits { .. } => self.tally.waits += 1,
                ClusterCommand::JobPlaced { .. } => {}
            }
        }
        if let Some(at) = self.managers[manager].cluster.next_wakeup() {
            self.at(at.0.max(self.now), Happening::WakeCluster(manager));
        }
        self.assert_slots_are_kept(manager);
    }

    fn assert_slots_are_kept(&self, manager: usize) {
        let cluster = &self.managers[manager].cluster;
        for (id, slots) in cluster.task_managers() {
            assert!(
                slots.used <= slots.total,
                "task manager {id} has given away {slots:?}"
            );
        }
    }

    fn job_number(&self, id: &tidegate_core::JobId) -> usize {
        let job = self.jobs.iter().position(|job| job.id == *id);
        job.expect("only jobs that exist are spoken of")
    }

    /// A worker is given up: its session ends and it is not let in again.
    fn dismiss(&mut self, manager: usize, job: usize, name: &WorkerName) {
        let Some(driver) = self.managers[manager].drivers[job].as_mut() else {
            return;
        };
        driver.gone.insert(name.clone());
        let process = self.processes.iter().position(|process| process.name == *name);
        let Some(process) = process else { return };
        let before = driver.sessions.len();
        driver.sessions.retain(|_, (of, _)| *of != process);
        if driver.sessions.len() < before {
            self.worker_is_cut_off(process);
        }
    }

    pub(super) fn wake_job(&mut self, manager: usize, job: usize) {
        let driver = self.managers[manager].drivers[job].as_ref();
        let due = driver.and_then(|driver| driver.coordinator.next_wakeup());
        if due.is_some_and(|at| at.0 <= self.now) {
            self.tell_job(manager, job, Event::Wakeup);
        }
    }

    /// Hands a fact to a coordinator and starts what it commands.
    pub(super) fn tell_job(&mut self, manager: usize, job: usize, event: Event) {
        if !self.managers[manager].is_alive {
            return;
        }
        let now = ProcessingTime(self.now);
        let Some(driver) = self.managers[manager].drivers[job].as_mut() else {
            return;
        };
        for command in driver.coordinator.handle(now, event) {
            self.start(manager, job, command);
        }
        let driver = self.managers[manager].drivers[job].as_ref();
        if let Some(at) = driver.and_then(|driver| driver.coordinator.next_wakeup()) {
            self.at(at.0.max(self.now), Happening::WakeJob(manager, job));
        }
    }

    fn start(&mut self, manager: usize, job: usize, command: Command) {
        let Some(driver) = self.managers[manager].drivers[job].as_mut() else {
            return;
        };
        match command {
            Command::Seat { request, worker } => {
                let process = request.0 as usize;
                let Some((_, connection)) = self.processes[process].connection else {
                    return;
                };
                driver.sessions.insert(worker, (process, connection));
                self.processes[process].worker.id = worker;
            }
            Command::Refuse { request, .. } => {
                self.tally.refused += 1;
                self.process_ends(request.0 as usize, "it was refused");
            }
            Command::Send { worker, order } => {
                let generation = driver.coordinator.status().generation.unwrap_or_default();
                if let Some((process, connection)) = driver.sessions.get(&worker).copied() {
                    let at = self.arrival(connection, false);
                    self.at(at, Happening::WorkerHears(process, connection, generation, order));
                }
            }
            Command::Notify(Notice::Adopted { .. }) => self.tally.adopted += 1,
            Command::Notify(Notice::NotAdopted { .. }) => self.tally.not_adopted += 1,
            Command::Notify(Notice::Overtaken { .. }) => self.tally.overtaken += 1,
            Command::Notify(Notice::CheckpointFailed { .. }) => self.tally.aborted += 1,
            Command::Notify(_) | Command::Answer { .. } => {}
            Command::Terminate(outcome) => self.job_is_over(manager, job, outcome),
            work => {
                let slowness = if self.managers[manager].is_slow { 40 } else { 1 };
                let delay = self.random.within(1..300) * slowness;
                self.after(delay, Happening::Store(manager, job, work));
            }
        }
    }

    fn job_is_over(&mut self, manager: usize, job: usize, outcome: Outcome) {
        if let Some(driver) = self.managers[manager].drivers[job].as_mut() {
            driver.is_over = true;
        }
        match outcome {
            Outcome::Finished { .. } | Outcome::AlreadyFinished { .. } => {
                self.jobs[job].finished = true;
                let ended = ClusterEvent::JobEnded {
                    job: self.jobs[job].id.clone(),
                };
                self.tell_cluster(manager, ended);
            }
            // A job manager that finds another in its place ends.
            Outcome::Fenced { .. } => {
                self.tally.fenced += 1;
                self.manager_dies(manager);
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    /// A request reaches the store: it takes effect now, even if whoever sent it is gone.
    pub(super) fn store_work(&mut self, manager: usize, job: usize, command: Command) {
        let faulty = self.is_faulty();
        let store = &mut self.jobs[job].store;
        let worked = work(store, command, &mut self.random, faulty, &mut self.tally);
        if let Some((delay, record)) = worked.repeated {
            self.after(delay, Happening::Repeated(job, record));
        }
        if let Some(answer) = worked.answer {
            let slowness = if self.managers[manager].is_slow { 40 } else { 1 };
            let delay = self.random.within(1..300) * slowness;
            self.after(delay, Happening::ToJob(manager, job, answer));
        }
    }

    pub(super) fn manager_misses_node(&mut self, manager: usize, node: usize, connection: u64) {
        if self.managers[manager].nodes.get(&node) != Some(&connection) {
            return;
        }
        self.managers[manager].nodes.remove(&node);
        let lost = ClusterEvent::TaskManagerLost {
            task_manager: self.nodes[node].id.clone(),
            incarnation: self.nodes[node].attached_as,
            reason: "silence".into(),
        };
        self.tell_cluster(manager, lost);
    }

    /// The worker whose session this is, if it still is.
    fn session(&self, manager: usize, process: usize, connection: u64) -> Option<WorkerId> {
        let driver = self.managers[manager].drivers[self.processes[process].job].as_ref()?;
        let mut sessions = driver.sessions.iter();
        let found = sessions.find(|(_, session)| **session == (process, connection));
        found.map(|(worker, _)| *worker)
    }

    pub(super) fn manager_hears_worker(
        &mut self,
        manager: usize,
        process: usize,
        connection: u64,
        report: WorkerReport,
    ) {
        if let Some(worker) = self.session(manager, process, connection) {
            let job = self.processes[process].job;
            self.tell_job(manager, job, Event::Reported { worker, report });
        }
    }

    pub(super) fn manager_misses_worker(&mut self, manager: usize, process: usize, connection: u64) {
        let Some(worker) = self.session(manager, process, connection) else {
            return;
        };
        let job = self.processes[process].job;
        if let Some(driver) = self.managers[manager].drivers[job].as_mut() {
            driver.sessions.remove(&worker);
        }
        let reason = "its connection broke".into();
        self.tell_job(manager, job, Event::WorkerLost { worker, reason });
    }
}

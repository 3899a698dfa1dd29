//! Worker processes: they outlive their job managers, and attach again with what they run.

use tidegate_coordinator::{Event, Newcomer, RequestId, cluster::ClusterEvent};
use tidegate_core::{
    Generation, WorkerId, WorkerName,
    control::{WorkerOrder, WorkerReport},
};

use super::{ClusterWorld, Happening};
use crate::{
    obedience::{Effect, Surroundings, obey},
    worker::Worker,
};

/// For how long a worker looks for a job manager.
const PATIENCE: i64 = 60_000;

pub(super) struct Process {
    pub(super) name: WorkerName,
    pub(super) node: usize,
    pub(super) job: usize,
    pub(super) slots: u32,
    pub(super) is_alive: bool,
    pub(super) worker: Worker,
    pub(super) connection: Option<(usize, u64)>,
    lost_at: i64,
    /// What it had to say while nobody heard it.
    unsaid: Vec<WorkerReport>,
}

impl ClusterWorld {
    pub(super) fn process_starts(
        &mut self,
        node: usize,
        incarnation: u64,
        job: usize,
        name: WorkerName,
        slots: u32,
    ) {
        if !self.may_start(node, incarnation, &name) {
            return;
        }
        let twice = self.processes.iter().any(|process| process.name == name);
        assert!(!twice, "two processes were called {name}");
        let started = ClusterEvent::WorkerStarted {
            task_manager: self.nodes[node].id.clone(),
            job: self.jobs[job].id.clone(),
            worker: name.clone(),
        };
        self.report(node, started);
        self.processes.push(Process {
            name,
            node,
            job,
            slots,
            is_alive: true,
            worker: Worker::new(WorkerId(0)),
            connection: None,
            lost_at: self.now,
            unsaid: vec![],
        });
        let process = self.processes.len() - 1;
        let delay = self.random.within(0..200);
        self.after(delay, Happening::WorkerConnects(process));
    }

    pub(super) fn process_ends(&mut self, process: usize, reason: &str) {
        if !self.processes[process].is_alive {
            return;
        }
        self.worker_is_cut_off(process);
        let ended = &mut self.processes[process];
        ended.is_alive = false;
        let (node, job, name) = (ended.node, ended.job, ended.name.clone());
        if self.nodes[node].is_alive {
            self.report_end(node, job, name, reason);
        }
    }

    /// Its connection breaks: it looks for a job manager again, and the former notices.
    pub(super) fn worker_is_cut_off(&mut self, process: usize) {
        let Some((manager, connection)) = self.processes[process].connection.take() else {
            return;
        };
        self.processes[process].lost_at = self.now;
        let delay = self.random.within(0..1500);
        self.after(
            delay,
            Happening::ManagerMissesWorker(manager, process, connection),
        );
        let delay = self.random.within(50..1500);
        self.after(delay, Happening::WorkerConnects(process));
    }

    pub(super) fn worker_connects(&mut self, process: usize) {
        let looking = &self.processes[process];
        if !looking.is_alive || looking.connection.is_some() {
            return;
        }
        let (job, name) = (looking.job, looking.name.clone());
        if self.now - looking.lost_at > PATIENCE {
            return self.process_ends(process, "no job manager has taken it back");
        }
        let Some(manager) = self.find_manager() else {
            let delay = self.random.within(100..1000);
            return self.after(delay, Happening::WorkerConnects(process));
        };
        let driver = self.managers[manager].drivers[job].as_ref();
        if driver.is_none_or(|driver| driver.is_over || driver.gone.contains(&name)) {
            self.tally.refused += 1;
            return self.process_ends(process, "it was refused");
        }
        // Whoever had its place leaves first.
        let before = driver.and_then(|driver| driver.sessions.values().find(|(of, _)| *of == process));
        if let Some((_, connection)) = before.copied() {
            self.manager_misses_worker(manager, process, connection);
        }
        if !self.managers[manager].is_alive {
            // Its last news has ended it.
            let delay = self.random.within(100..1000);
            return self.after(delay, Happening::WorkerConnects(process));
        }
        let connection = self.connection();
        self.processes[process].connection = Some((manager, connection));
        let newcomer = Box::new(Newcomer {
            name,
            slots: self.processes[process].slots,
            data: None,
            running: self.processes[process].worker.running_attempt(),
        });
        let request = RequestId(process as u64);
        self.tell_job(manager, job, Event::WorkerAttached { request, newcomer });
        for report in std::mem::take(&mut self.processes[process].unsaid) {
            self.worker_says(process, report);
        }
    }

    pub(super) fn worker_hears(
        &mut self,
        process: usize,
        connection: u64,
        generation: Generation,
        order: WorkerOrder,
    ) {
        let current = self.processes[process]
            .connection
            .map(|(_, connection)| connection);
        let knows = self.processes[process].worker.generation;
        if !self.processes[process].is_alive || current != Some(connection) {
            return;
        }
        if generation < knows {
            return self.process_ends(
                process,
                "it was given orders by a generation that has been replaced",
            );
        }
        let (faulty, job) = (self.is_faulty(), self.processes[process].job);
        let worker = &mut self.processes[process].worker;
        worker.led_by(generation);
        let mut around = Surroundings {
            store: &mut self.jobs[job].store,
            random: &mut self.random,
            faulty,
            tally: &mut self.tally,
        };
        for (delay, effect) in obey(worker, order, generation, &mut around) {
            match effect {
                Effect::Publish {
                    lineage,
                    epoch,
                    staged,
                } => self.after(delay, Happening::Publish(job, lineage, epoch, staged)),
                Effect::Report(report) => self.after(delay, Happening::WorkerSays(process, report)),
            }
        }
    }

    pub(super) fn worker_says(&mut self, process: usize, report: WorkerReport) {
        match self.processes[process].connection {
            Some((manager, connection)) => {
                let at = self.arrival(connection, true);
                let heard = Happening::ManagerHearsWorker(manager, process, connection, report);
                self.at(at, heard);
            }
            None => self.processes[process].unsaid.push(report),
        }
    }
}

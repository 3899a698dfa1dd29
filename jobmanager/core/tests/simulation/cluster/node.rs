//! Task managers: they start and end processes, and say which they have.

use std::collections::BTreeSet;

use tidegate_coordinator::cluster::{ClusterCommand, ClusterEvent, HostedWorker};
use tidegate_core::{Severity, TaskManagerId, WorkerName};

use super::{ClusterWorld, Happening};

pub(super) struct Node {
    pub(super) id: TaskManagerId,
    pub(super) incarnation: u64,
    /// The incarnation of its last registration.
    pub(super) attached_as: u64,
    pub(super) slots: u32,
    pub(super) is_alive: bool,
    pub(super) is_gone_for_good: bool,
    /// The job manager that it speaks to, and the number of the connection.
    pub(super) connection: Option<(usize, u64)>,
    /// The latest job manager that it has obeyed.
    generation: usize,
    /// Workers that were to be stopped before they had been started.
    stopped: BTreeSet<WorkerName>,
}

impl Node {
    pub(super) fn new(number: usize, slots: u32) -> Self {
        Self {
            id: TaskManagerId::parse(&format!("node-{number}")).expect("a valid id"),
            incarnation: 0,
            attached_as: 0,
            slots,
            is_alive: false,
            is_gone_for_good: false,
            connection: None,
            generation: 0,
            stopped: BTreeSet::new(),
        }
    }
}

impl ClusterWorld {
    pub(super) fn node_starts(&mut self, node: usize) {
        if self.nodes[node].is_alive || self.nodes[node].is_gone_for_good {
            return;
        }
        self.nodes[node].is_alive = true;
        self.nodes[node].incarnation += 1;
        self.node_connects(node);
    }

    /// It dies; its processes notice soon.
    pub(super) fn node_dies(&mut self, node: usize) {
        self.node_is_cut_off(node);
        self.nodes[node].is_alive = false;
        for process in self.processes_of(node) {
            let delay = self.random.within(0..800);
            self.after(delay, Happening::ProcessEnds(process, "its supervisor is gone"));
        }
        let delay = self.random.within(1000..8000);
        self.after(delay, Happening::NodeStarts(node));
    }

    /// Its connection breaks: it looks for a job manager again, and the former notices.
    pub(super) fn node_is_cut_off(&mut self, node: usize) {
        let Some((manager, connection)) = self.nodes[node].connection.take() else {
            return;
        };
        let delay = self.random.within(0..1500);
        self.after(delay, Happening::ManagerMissesNode(manager, node, connection));
        let delay = self.random.within(50..1500);
        self.after(delay, Happening::NodeConnects(node));
    }

    pub(super) fn node_connects(&mut self, node: usize) {
        if !self.nodes[node].is_alive || self.nodes[node].connection.is_some() {
            return;
        }
        let Some(manager) = self.find_manager() else {
            let delay = self.random.within(100..1000);
            return self.after(delay, Happening::NodeConnects(node));
        };
        if manager < self.nodes[node].generation {
            // It hears of the generation that has replaced it, and ends.
            self.manager_dies(manager);
            let delay = self.random.within(100..1000);
            return self.after(delay, Happening::NodeConnects(node));
        }
        let connection = self.connection();
        let workers = self.processes_of(node).into_iter().map(|process| {
            let process = &self.processes[process];
            HostedWorker {
                worker: process.name.clone(),
                job: self.jobs[process.job].id.clone(),
                slots: process.slots,
            }
        });
        let attached = ClusterEvent::TaskManagerAttached {
            task_manager: self.nodes[node].id.clone(),
            incarnation: self.nodes[node].incarnation,
            slots: self.nodes[node].slots,
            target: "simulated".into(),
            workers: workers.collect(),
        };
        self.nodes[node].connection = Some((manager, connection));
        self.nodes[node].attached_as = self.nodes[node].incarnation;
        self.nodes[node].generation = manager;
        self.managers[manager].nodes.insert(node, connection);
        self.tell_cluster(manager, attached);
    }

    /// The living processes of a task manager.
    fn processes_of(&self, node: usize) -> Vec<usize> {
        let processes = 0..self.processes.len();
        processes
            .filter(|process| self.processes[*process].is_alive && self.processes[*process].node == node)
            .collect()
    }

    pub(super) fn node_hears(&mut self, node: usize, connection: u64, command: ClusterCommand) {
        let current = self.nodes[node].connection.map(|(_, connection)| connection);
        if current != Some(connection) {
            return;
        }
        match command {
            ClusterCommand::StartWorker {
                job, worker, slots, ..
            } => {
                let number = self.jobs.iter().position(|known| known.id == job);
                let job = number.expect("only jobs that exist are started");
                if self.is_faulty() && self.random.per_mille(30) {
                    return self.report_end(node, job, worker, "it could not be started");
                }
                let starts = Happening::ProcessStarts {
                    node,
                    incarnation: self.nodes[node].incarnation,
                    job,
                    name: worker,
                    slots,
                };
                let delay = self.random.within(50..500);
                self.after(delay, starts);
            }
            ClusterCommand::StopWorker { job, worker, .. } => {
                let mut processes = self.processes_of(node).into_iter();
                match processes.find(|process| self.processes[*process].name == worker) {
                    Some(process) => {
                        let delay = self.random.within(0..500);
                        self.after(delay, Happening::ProcessEnds(process, "it was told to"));
                    }
                    None => {
                        let number = self.jobs.iter().position(|known| known.id == job);
                        self.nodes[node].stopped.insert(worker.clone());
                        self.report_end(
                            node,
                            number.expect("only jobs that exist are stopped"),
                            worker,
                            "it does not run",
                        );
                    }
                }
            }
            other => panic!("{other:?} is not for a task manager"),
        }
    }

    pub(super) fn may_start(&mut self, node: usize, incarnation: u64, name: &WorkerName) -> bool {
        let node = &mut self.nodes[node];
        node.is_alive && node.incarnation == incarnation && !node.stopped.remove(name)
    }

    /// Says that a worker has ended, if there is anybody to hear it; otherwise the next registration shows it.
    pub(super) fn report_end(&mut self, node: usize, job: usize, worker: WorkerName, reason: &str) {
        let ended = ClusterEvent::WorkerEnded {
            task_manager: self.nodes[node].id.clone(),
            job: self.jobs[job].id.clone(),
            worker,
            reason: reason.into(),
            severity: Severity::Restart,
        };
        self.report(node, ended);
    }

    pub(super) fn report(&mut self, node: usize, event: ClusterEvent) {
        if let Some((manager, connection)) = self.nodes[node].connection {
            let at = self.arrival(connection, true);
            self.at(at, Happening::ManagerHearsNode(manager, node, connection, event));
        }
    }
}

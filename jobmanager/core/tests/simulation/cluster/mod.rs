//! A whole cluster: job managers that die, are replaced, or never knew that they were; task managers and workers that outlive
//! them, are cut off, die, and come back.

mod manager;
mod node;
mod process;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use tidegate_coordinator::{
    Command, Event,
    cluster::{ClusterCommand, ClusterEvent},
};
use tidegate_core::{
    Epoch, Generation, JobId, Lineage, WorkerName,
    control::{WorkerOrder, WorkerReport},
    epoch::EpochRecord,
};

use self::{manager::Manager, node::Node, process::Process};
use crate::{
    ledger::Ledger,
    random::Random,
    store::Store,
    tally::Tally,
    worker::{LIMIT, Staged},
};

/// Until when faults happen.
const HEALED_AT: i64 = 40_000;
/// By when all jobs must have finished and all processes of theirs be gone.
const DEADLINE: i64 = 400_000;

/// Something that happens at its time.
pub(super) enum Happening {
    Chaos,
    WakeCluster(usize),
    WakeJob(usize, usize),
    ToJob(usize, usize, Event),
    Store(usize, usize, Command),
    /// A request that the network delivers a second time.
    Repeated(usize, Box<EpochRecord>),
    Publish(usize, Lineage, Epoch, Staged),
    NodeStarts(usize),
    NodeConnects(usize),
    NodeHears(usize, u64, ClusterCommand),
    ManagerHearsNode(usize, usize, u64, ClusterEvent),
    ManagerMissesNode(usize, usize, u64),
    ProcessStarts {
        node: usize,
        incarnation: u64,
        job: usize,
        name: WorkerName,
        slots: u32,
    },
    ProcessEnds(usize, &'static str),
    WorkerConnects(usize),
    WorkerHears(usize, u64, Generation, WorkerOrder),
    WorkerSays(usize, WorkerReport),
    ManagerHearsWorker(usize, usize, u64, WorkerReport),
    ManagerMissesWorker(usize, usize, u64),
}

/// A job as it outlives everybody.
pub(super) struct Job {
    id: JobId,
    store: Store,
    ledger: Ledger,
    slots: u32,
    tasks: u32,
    finished: bool,
}

/// How large a world is.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    Small,
    /// Hundreds of task managers, thousands of tasks.
    Large,
}

pub(crate) struct ClusterWorld {
    random: Random,
    now: i64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    jobs: Vec<Job>,
    managers: Vec<Manager>,
    nodes: Vec<Node>,
    processes: Vec<Process>,
    /// Those of the nodes that are there in the end; the others may die for good.
    core: usize,
    next_connection: u64,
    /// When the last message on each way of each connection arrives: they keep their order.
    ways: BTreeMap<(u64, bool), i64>,
    tally: Tally,
}

impl ClusterWorld {
    pub(crate) fn new(seed: u64, size: Size) -> Self {
        let mut random = Random(seed ^ 0x00c1_0572);
        let (core, slots, jobs) = match size {
            Size::Small => (random.within(1..5), random.within(1..4), random.within(1..4)),
            Size::Large => (random.within(100..300), 4, random.within(1..4)),
        };
        let room = core * slots;
        let jobs: Vec<Job> = (0..jobs)
            .map(|number| {
                let slots = random.within(1..(room / jobs).max(1) + 1) as u32;
                Job {
                    id: JobId::new(format!("job-{number}")),
                    store: Store::default(),
                    ledger: Ledger::default(),
                    slots,
                    tasks: slots * random.within(1..4) as u32,
                    finished: false,
                }
            })
            .take(room as usize)
            .collect();
        let spare = random.within(0..3);
        let nodes = (0..core + spare).map(|number| Node::new(number as usize, slots as u32));
        Self {
            nodes: nodes.collect(),
            random,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            jobs,
            managers: vec![],
            processes: vec![],
            core: core as usize,
            next_connection: 1,
            ways: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Runs until all jobs have finished and nothing is left of them, and checks the ledgers.
    pub(crate) fn run(mut self) -> Tally {
        self.start_manager();
        for node in 0..self.nodes.len() {
            let delay = self.random.within(0..500);
            self.after(delay, Happening::NodeStarts(node));
        }
        self.after(500, Happening::Chaos);
        while let Some(Reverse((at, id))) = self.queue.pop() {
            self.now = at;
            let happening = self.happenings.remove(&id).expect("what is queued is there");
            self.happen(happening);
            assert!(
                self.now < DEADLINE,
                "not over long after everything healed: {}",
                self.picture()
            );
            if self.now > HEALED_AT && self.is_over() {
                break;
            }
        }
        assert!(self.is_over(), "nothing happens any more: {}", self.picture());
        for job in &self.jobs {
            let tail = job.store.tail().expect("a finished job has a chain");
            job.ledger.assert_complete(&tail.lineage, job.tasks, LIMIT);
            self.tally.epochs += tail.epoch.0;
            self.tally.strays += job.store.strays;
        }
        self.tally
    }

    fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| job.finished) && self.processes.iter().all(|process| !process.is_alive)
    }

    /// How things stand, for whoever looks for a mistake.
    fn picture(&self) -> String {
        let managers = self
            .managers
            .iter()
            .enumerate()
            .filter(|(_, manager)| manager.is_alive);
        let managers: Vec<String> = managers
            .map(|(number, manager)| {
                let jobs = self.jobs.iter().zip(&manager.drivers).map(|(job, driver)| {
                    let state = driver.as_ref().map(|driver| driver.coordinator.status());
                    let state = state.map(|status| (status.state, status.last_cause));
                    let shortage = manager.cluster.shortage(&job.id).map(ToString::to_string);
                    format!("{} of {}: {state:?}, {shortage:?}", job.id, job.slots)
                });
                format!("manager {number}: {:?}", jobs.collect::<Vec<_>>())
            })
            .collect();
        let alive = self.processes.iter().filter(|process| process.is_alive);
        let alive: Vec<String> = alive.map(|process| process.name.to_string()).collect();
        format!("{managers:#?}, processes {alive:?}")
    }

    pub(super) fn after(&mut self, delay: i64, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, at: i64, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.now < HEALED_AT
    }

    pub(super) fn connection(&mut self) -> u64 {
        self.next_connection += 1;
        self.next_connection
    }

    /// When what is sent now arrives: after what was sent before.
    pub(super) fn arrival(&mut self, connection: u64, up: bool) -> i64 {
        let at = self.now + self.random.within(0..50);
        let last = self.ways.entry((connection, up)).or_insert(0);
        *last = at.max(*last);
        *last
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Chaos => self.chaos(),
            Happening::WakeCluster(manager) => self.wake_cluster(manager),
            Happening::WakeJob(manager, job) => self.wake_job(manager, job),
            Happening::ToJob(manager, job, event) => self.tell_job(manager, job, event),
            Happening::Store(manager, job, command) => self.store_work(manager, job, command),
            Happening::Repeated(job, record) => {
                self.jobs[job].store.put_epoch(&record);
            }
            Happening::Publish(job, lineage, epoch, staged) => {
                for (task, range) in staged {
                    self.jobs[job].ledger.publish(&lineage, epoch, task, range);
                }
            }
            Happening::NodeStarts(node) => self.node_starts(node),
            Happening::NodeConnects(node) => self.node_connects(node),
            Happening::NodeHears(node, connection, command) => self.node_hears(node, connection, command),
            Happening::ManagerHearsNode(manager, node, connection, event) => {
                if self.managers[manager].nodes.get(&node) == Some(&connection) {
                    self.tell_cluster(manager, event);
                }
            }
            Happening::ManagerMissesNode(manager, node, connection) => {
                self.manager_misses_node(manager, node, connection);
            }
            Happening::ProcessStarts {
                node,
                incarnation,
                job,
                name,
                slots,
            } => self.process_starts(node, incarnation, job, name, slots),
            Happening::ProcessEnds(process, reason) => self.process_ends(process, reason),
            Happening::WorkerConnects(process) => self.worker_connects(process),
            Happening::WorkerHears(process, connection, generation, order) => {
                self.worker_hears(process, connection, generation, order);
            }
            Happening::WorkerSays(process, report) => self.worker_says(process, report),
            Happening::ManagerHearsWorker(manager, process, connection, report) => {
                self.manager_hears_worker(manager, process, connection, report);
            }
            Happening::ManagerMissesWorker(manager, process, connection) => {
                self.manager_misses_worker(manager, process, connection);
            }
        }
    }

    /// Something goes wrong, again and again; in the end what is needed is made well.
    fn chaos(&mut self) {
        let alive: Vec<usize> = (0..self.managers.len())
            .filter(|i| self.managers[*i].is_alive)
            .collect();
        if self.is_faulty() {
            self.spoil(&alive);
            let pause = self.random.within(100..3000);
            self.after(pause, Happening::Chaos);
        } else {
            for manager in alive.iter().rev().skip(1) {
                self.manager_dies(*manager);
            }
            for manager in &mut self.managers {
                manager.is_slow = false;
            }
            let lasting = self.random.per_mille(500);
            for node in self.core..self.nodes.len() {
                if lasting && self.nodes[node].is_alive {
                    self.node_dies(node);
                }
                self.nodes[node].is_gone_for_good |= lasting;
            }
            self.after(5000, Happening::Chaos);
        }
        if self.managers.iter().all(|manager| !manager.is_alive) {
            self.start_manager();
        }
    }

    fn spoil(&mut self, managers: &[usize]) {
        let manager = self.random.next() as usize;
        let manager = (!managers.is_empty()).then(|| managers[manager % managers.len()]);
        match self.random.within(0..12) {
            0 => {
                if let Some(manager) = manager {
                    self.manager_dies(manager);
                    self.tally.crashes += 1;
                }
            }
            1 if managers.len() < 3 => self.start_manager(),
            2 => {
                if let Some(manager) = manager {
                    self.managers[manager].is_slow ^= true;
                }
            }
            3 | 4 => {
                let node = self.random.next() as usize % self.nodes.len();
                if self.nodes[node].is_alive {
                    self.node_dies(node);
                    self.tally.lost_nodes += 1;
                }
            }
            5 | 6 => {
                let node = self.random.next() as usize % self.nodes.len();
                self.node_is_cut_off(node);
            }
            7..=9 => {
                if let Some(process) = self.any_process() {
                    self.worker_is_cut_off(process);
                    self.tally.lost_workers += 1;
                }
            }
            10 => {
                if let Some(process) = self.any_process() {
                    self.process_ends(process, "killed by signal 9");
                    self.tally.lost_workers += 1;
                }
            }
            _ => {}
        }
    }

    fn any_process(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..self.processes.len())
            .filter(|process| self.processes[*process].is_alive)
            .collect();
        let index = self.random.next() as usize;
        (!alive.is_empty()).then(|| alive[index % alive.len()])
    }
}

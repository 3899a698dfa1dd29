//! The world: a queue of what happens when, and everybody it happens to.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use tidegate_coordinator::{Command, Coordinator, Event, Newcomer, Outcome, RequestId};
use tidegate_core::{
    Epoch, Lineage, ProcessingTime, WorkerId, WorkerName, control::WorkerOrder, epoch::EpochRecord,
};

use crate::{
    job::options,
    ledger::Ledger,
    obedience::{Effect, Surroundings, obey},
    random::Random,
    store::Store,
    store_work::work,
    tally::Tally,
    worker::{LIMIT, Staged, Worker},
};

/// Until when faults happen.
const HEALED_AT: i64 = 60_000;
/// By when the job must have finished.
const DEADLINE: i64 = 360_000;

/// Something that happens at its time.
enum Happening {
    Chaos,
    ToLeader(usize, Event),
    Wakeup(usize),
    ToWorker(usize, WorkerId, WorkerOrder),
    Store(usize, Command),
    /// A request that the network delivers a second time.
    Repeated(Box<EpochRecord>),
    Publish {
        lineage: Lineage,
        epoch: Epoch,
        staged: Staged,
    },
}

/// A process: a coordinator and its workers.
struct Leader {
    coordinator: Coordinator,
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u32,
    alive: bool,
    /// Its way to the store takes many times as long.
    slow: bool,
    /// When the last message on each link arrives: links keep their order.
    links: BTreeMap<(WorkerId, bool), i64>,
}

pub(crate) struct World {
    random: Random,
    now: i64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    store: Store,
    ledger: Ledger,
    leaders: Vec<Leader>,
    tasks: u32,
    finished: Option<Epoch>,
    tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let tasks = random.within(1..300) as u32;
        Self {
            random,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            store: Store::default(),
            ledger: Ledger::default(),
            leaders: vec![],
            tasks,
            finished: None,
            tally: Tally::default(),
        }
    }

    /// Runs until the job has finished and checks the ledger.
    pub(crate) fn run(mut self) -> Tally {
        self.start_leader();
        self.after(500, Happening::Chaos);
        while let Some(Reverse((at, id))) = self.queue.pop() {
            self.now = at;
            let happening = self.happenings.remove(&id).expect("what is queued is there");
            self.happen(happening);
            assert!(
                self.now < DEADLINE,
                "the job has not finished long after everything healed"
            );
            if self.finished.is_some() && self.now > HEALED_AT {
                break;
            }
        }
        let finished = self.finished.expect("the job has finished");
        let tail = self.store.tail().expect("a finished job has a chain");
        assert!(tail.epoch >= finished);
        self.ledger
            .assert_complete(&tail.lineage.clone(), self.tasks, LIMIT);
        self.tally.epochs = tail.epoch.0;
        self.tally.strays = self.store.strays;
        self.tally
    }

    fn after(&mut self, delay: i64, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    fn at(&mut self, at: i64, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn faulty(&self) -> bool {
        self.now < HEALED_AT
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Chaos => self.chaos(),
            Happening::ToLeader(leader, event) => self.tell(leader, event),
            Happening::Wakeup(leader) => {
                let due = self.leaders[leader].coordinator.next_wakeup();
                if due.is_some_and(|at| at.0 <= self.now) {
                    self.tell(leader, Event::Wakeup);
                }
            }
            Happening::ToWorker(leader, worker, order) => self.obey(leader, worker, order),
            Happening::Store(leader, command) => self.store_work(leader, command),
            Happening::Repeated(record) => {
                self.store.put_epoch(&record);
            }
            Happening::Publish {
                lineage,
                epoch,
                staged,
            } => {
                for (task, range) in staged {
                    self.ledger.publish(&lineage, epoch, task, range);
                }
            }
        }
    }

    /// Something goes wrong, again and again; in the end everything is made well.
    fn chaos(&mut self) {
        let alive: Vec<usize> = (0..self.leaders.len())
            .filter(|i| self.leaders[*i].alive)
            .collect();
        if self.faulty() {
            match self.random.within(0..10) {
                0 | 1 => {
                    if let Some(leader) = self.pick(&alive) {
                        self.leaders[leader].alive = false;
                        self.tally.crashes += 1;
                    }
                }
                2 | 3 if alive.len() < 3 => self.start_leader(),
                4 | 5 => {
                    if let Some(leader) = self.pick(&alive) {
                        self.leaders[leader].slow ^= true;
                    }
                }
                6 | 7 => {
                    if let Some(leader) = self.pick(&alive) {
                        self.lose_worker(leader);
                    }
                }
                _ => {}
            }
            let pause = self.random.within(100..4000);
            self.after(pause, Happening::Chaos);
        } else {
            self.leaders.iter_mut().for_each(|leader| leader.slow = false);
            self.after(1000, Happening::Chaos);
        }
        if self.leaders.iter().all(|leader| !leader.alive) && self.finished.is_none() {
            self.start_leader();
        }
    }

    fn pick(&mut self, from: &[usize]) -> Option<usize> {
        let index = self.random.next() as usize;
        (!from.is_empty()).then(|| from[index % from.len()])
    }

    fn start_leader(&mut self) {
        let leader = self.leaders.len();
        let workers = self.random.within(1..5) as u32;
        let options = options(leader, workers, self.tasks, self.random.next());
        self.leaders.push(Leader {
            coordinator: Coordinator::new(options),
            workers: BTreeMap::new(),
            next_worker: 0,
            alive: true,
            slow: self.random.per_mille(300) && self.now < HEALED_AT,
            links: BTreeMap::new(),
        });
        self.tally.leaders += 1;
        self.after(0, Happening::ToLeader(leader, Event::Started));
        for _ in 0..workers {
            self.add_worker(leader);
        }
    }

    fn add_worker(&mut self, leader: usize) {
        let delay = self.random.within(0..200);
        let process = &mut self.leaders[leader];
        let worker = WorkerId(process.next_worker);
        process.next_worker += 1;
        let newcomer = Box::new(Newcomer {
            name: WorkerName::parse(&format!("here-{worker}")).expect("a valid name"),
            slots: 2,
            data: None,
            running: None,
        });
        let request = RequestId(worker.0.into());
        self.after(
            delay,
            Happening::ToLeader(leader, Event::WorkerAttached { request, newcomer }),
        );
    }

    fn lose_worker(&mut self, leader: usize) {
        let workers: Vec<WorkerId> = self.leaders[leader].workers.keys().copied().collect();
        if workers.is_empty() {
            return;
        }
        let worker = workers[self.random.next() as usize % workers.len()];
        self.leaders[leader].workers.remove(&worker);
        self.tally.lost_workers += 1;
        let delay = self.random.within(0..1000);
        let reason = "simulated".into();
        self.after(
            delay,
            Happening::ToLeader(leader, Event::WorkerLost { worker, reason }),
        );
        self.add_worker(leader);
    }

    /// Hands a fact to a coordinator and starts what it commands.
    fn tell(&mut self, leader: usize, event: Event) {
        if !self.leaders[leader].alive {
            return;
        }
        let commands = self.leaders[leader]
            .coordinator
            .handle(ProcessingTime(self.now), event);
        for command in commands {
            self.start(leader, command);
        }
        if let Some(at) = self.leaders[leader].coordinator.next_wakeup() {
            self.at(at.0.max(self.now), Happening::Wakeup(leader));
        }
    }

    fn start(&mut self, leader: usize, command: Command) {
        match command {
            Command::Send { worker, order } => {
                let at = self.on_link(leader, worker, true, 50);
                self.at(at, Happening::ToWorker(leader, worker, order));
            }
            Command::Notify(tidegate_coordinator::Notice::Overtaken { .. }) => self.tally.overtaken += 1,
            Command::Notify(tidegate_coordinator::Notice::CheckpointFailed { .. }) => self.tally.aborted += 1,
            Command::Seat { worker, .. } => {
                self.leaders[leader].workers.insert(worker, Worker::new(worker));
            }
            Command::Notify(_) | Command::Answer { .. } => {}
            Command::Terminate(outcome) => {
                self.leaders[leader].alive = false;
                match outcome {
                    Outcome::Finished { epoch } | Outcome::AlreadyFinished { epoch } => {
                        self.finished = Some(epoch)
                    }
                    Outcome::Fenced { .. } => self.tally.fenced += 1,
                    other => panic!("nobody asked for {other:?}"),
                }
            }
            work => {
                let delay = self.store_delay(leader);
                self.after(delay, Happening::Store(leader, work));
            }
        }
    }

    fn store_delay(&mut self, leader: usize) -> i64 {
        let slowness = if self.leaders[leader].slow { 40 } else { 1 };
        self.random.within(1..300) * slowness
    }

    /// When a message on a link arrives: after the ones before it.
    fn on_link(&mut self, leader: usize, worker: WorkerId, down: bool, most: i64) -> i64 {
        let at = self.now + self.random.within(0..most);
        let last = self.leaders[leader].links.entry((worker, down)).or_insert(0);
        *last = at.max(*last);
        *last
    }

    fn store_work(&mut self, leader: usize, command: Command) {
        let faulty = self.faulty();
        let worked = work(
            &mut self.store,
            command,
            &mut self.random,
            faulty,
            &mut self.tally,
        );
        if let Some((delay, record)) = worked.repeated {
            self.after(delay, Happening::Repeated(record));
        }
        if let Some(answer) = worked.answer {
            let delay = self.store_delay(leader);
            self.after(delay, Happening::ToLeader(leader, answer));
        }
    }

    fn obey(&mut self, leader: usize, worker: WorkerId, order: WorkerOrder) {
        let faulty = self.faulty();
        let at = self.on_link(leader, worker, false, 50);
        if !self.leaders[leader].alive {
            return;
        }
        let Some(obedient) = self.leaders[leader].workers.get_mut(&worker) else {
            return;
        };
        let generation = obedient.generation;
        let mut around = Surroundings {
            store: &mut self.store,
            random: &mut self.random,
            faulty,
            tally: &mut self.tally,
        };
        for (delay, effect) in obey(obedient, order, generation, &mut around) {
            match effect {
                Effect::Publish {
                    lineage,
                    epoch,
                    staged,
                } => self.at(
                    at + delay,
                    Happening::Publish {
                        lineage,
                        epoch,
                        staged,
                    },
                ),
                Effect::Report(report) => {
                    let last = self.leaders[leader].links.entry((worker, false)).or_insert(0);
                    *last = (at + delay).max(*last);
                    let at = *last;
                    self.at(
                        at,
                        Happening::ToLeader(leader, Event::Reported { worker, report }),
                    );
                }
            }
        }
    }
}

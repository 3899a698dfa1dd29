//! Random lives of a cluster: slots are given once, and nobody waits for what is there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate_coordinator::cluster::{
    Admission, Cluster, ClusterCommand, ClusterEvent, ClusterOptions, HostedWorker, Shortage,
};
use tidegate_core::{Generation, JobId, ProcessingTime, Severity, TaskManagerId, WorkerName};

use crate::harness::{TARGET, task_manager};

const NODES: [&str; 4] = ["a", "b", "c", "d"];
const JOBS: [&str; 4] = ["w", "x", "y", "z"];

/// What really runs, as task managers would have it.
#[derive(Default)]
struct Reality {
    /// By task manager: its incarnation and its processes, if it runs.
    nodes: BTreeMap<TaskManagerId, (u64, BTreeMap<WorkerName, HostedWorker>)>,
    names: BTreeSet<WorkerName>,
    incarnations: u64,
}

struct World {
    cluster: Cluster,
    reality: Reality,
    now: i64,
    slots: BTreeMap<JobId, u32>,
}

impl World {
    fn give(&mut self, event: ClusterEvent) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for command in self.cluster.handle(ProcessingTime(self.now), event) {
                self.obey(command, &mut events);
            }
        }
    }

    /// Starts happen at once; ends are answered at once.
    fn obey(&mut self, command: ClusterCommand, events: &mut Vec<ClusterEvent>) {
        match command {
            ClusterCommand::StartWorker {
                task_manager,
                job,
                worker,
                slots,
            } => {
                assert!(
                    self.reality.names.insert(worker.clone()),
                    "{worker} was started before"
                );
                let (_, running) = self.reality.nodes.get_mut(&task_manager).expect("it is attached");
                running.insert(worker.clone(), HostedWorker { worker, job, slots });
            }
            ClusterCommand::StopWorker {
                task_manager,
                job,
                worker,
            } => {
                if let Some((_, running)) = self.reality.nodes.get_mut(&task_manager) {
                    running.remove(&worker);
                    events.push(ended(task_manager, job, worker));
                }
            }
            _ => {}
        }
    }

    fn attach(&mut self, id: &TaskManagerId, slots: u32) {
        let (incarnation, running) = self.reality.nodes[id].clone();
        self.give(ClusterEvent::TaskManagerAttached {
            task_manager: id.clone(),
            incarnation,
            slots,
            target: TARGET.into(),
            workers: running.into_values().collect(),
        });
    }

    fn check(&self) {
        for (id, slots) in self.cluster.task_managers() {
            assert!(slots.used <= slots.total, "{id}: {slots:?}");
        }
        let mut waits: BTreeMap<&JobId, &Shortage> = BTreeMap::new();
        for (job, wanted) in &self.slots {
            let workers: Vec<_> = self.cluster.workers(job).collect();
            let held: u32 = workers
                .iter()
                .filter_map(|(worker, on)| self.reality.nodes.get(*on)?.1.get(*worker))
                .map(|hosted| hosted.slots)
                .sum();
            assert!(held <= *wanted, "{job} has {held} of {wanted}");
            match self.cluster.shortage(job) {
                Some(shortage) => {
                    waits.insert(job, shortage);
                }
                None => assert_eq!(held, *wanted, "{job} is told to have all of its slots"),
            }
        }
        for (job, shortage) in &waits {
            match shortage {
                Shortage::Slots { missing, free, .. } => {
                    assert!(missing > free, "{job} waits for what is there: {shortage}");
                }
                Shortage::Turn { ahead, .. } => {
                    let ahead = waits
                        .get(ahead)
                        .unwrap_or_else(|| panic!("{job} waits behind nobody"));
                    assert!(!matches!(ahead, Shortage::Turn { .. }), "one job is the first");
                }
                _ => {}
            }
        }
    }
}

fn ended(task_manager: TaskManagerId, job: JobId, worker: WorkerName) -> ClusterEvent {
    ClusterEvent::WorkerEnded {
        task_manager,
        job,
        worker,
        reason: "it ended".into(),
        severity: Severity::Restart,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn slots_are_given_once_and_nobody_waits_for_what_is_there(
        steps in proptest::collection::vec((0..9u8, 0..4usize, 1..6u32, 0..1500i64), 1..80)
    ) {
        let mut world = World {
            cluster: Cluster::new(ClusterOptions::new(Generation(3))),
            reality: Reality::default(),
            now: 0,
            slots: BTreeMap::new(),
        };
        for (kind, which, number, pause) in steps {
            world.now += pause;
            let node = task_manager(NODES[which]);
            let job = JobId::new(JOBS[which]);
            // The first task manager has one slot, the last four.
            let slots = which as u32 + 1;
            match kind {
                // A task manager starts, or starts again.
                0 | 1 => {
                    world.reality.incarnations += 1;
                    let incarnation = world.reality.incarnations;
                    world.reality.nodes.insert(node.clone(), (incarnation, BTreeMap::new()));
                    world.attach(&node, slots);
                }
                // It is taken for dead, and comes back with what it runs.
                2 if world.reality.nodes.contains_key(&node) => {
                    let incarnation = world.reality.nodes[&node].0;
                    let reason = "silence".into();
                    world.give(ClusterEvent::TaskManagerLost { task_manager: node.clone(), incarnation, reason });
                    world.check();
                    world.attach(&node, slots);
                }
                // It dies.
                3 => {
                    if let Some((incarnation, _)) = world.reality.nodes.remove(&node) {
                        let reason = "silence".into();
                        world.give(ClusterEvent::TaskManagerLost { task_manager: node, incarnation, reason });
                    }
                }
                // Its connection is made anew.
                4 if world.reality.nodes.contains_key(&node) => world.attach(&node, slots),
                5 | 6 if !world.slots.contains_key(&job) => {
                    world.slots.insert(job.clone(), number);
                    let admission = if kind == 5 { Admission::Submitted } else { Admission::Recovered };
                    world.give(ClusterEvent::JobAdmitted { job, slots: number, target: None, admission });
                }
                7 => {
                    world.slots.remove(&job);
                    world.give(ClusterEvent::JobEnded { job });
                }
                // A worker ends.
                8 => {
                    let running = world.reality.nodes.get_mut(&node).and_then(|(_, running)| running.pop_first());
                    if let Some((worker, hosted)) = running {
                        world.give(ended(node, hosted.job, worker));
                    }
                }
                _ => {}
            }
            if world.cluster.next_wakeup().is_some_and(|at| at.0 <= world.now) {
                world.give(ClusterEvent::Wakeup);
            }
            world.check();
        }
        // Once there is room for all, all have it.
        world.reality.incarnations += 1;
        let large = task_manager("e");
        world.reality.nodes.insert(large.clone(), (world.reality.incarnations, BTreeMap::new()));
        world.attach(&large, 100);
        while let Some(at) = world.cluster.next_wakeup() {
            world.now = world.now.max(at.0);
            world.give(ClusterEvent::Wakeup);
        }
        for job in world.slots.keys() {
            prop_assert_eq!(world.cluster.shortage(job), None);
        }
        world.check();
    }
}

//! A cluster in the hands of a test, with commands written as short lines.

use tidegate_coordinator::cluster::{
    Admission, Cluster, ClusterCommand, ClusterEvent, ClusterOptions, HostedWorker, Shortage,
};
use tidegate_core::{Generation, JobId, ProcessingTime, Severity, TaskManagerId, WorkerName};

pub(crate) const TARGET: &str = "x86_64-linux";

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) now: i64,
}

pub(crate) fn task_manager(id: &str) -> TaskManagerId {
    TaskManagerId::parse(id).expect("a valid id")
}

pub(crate) fn worker(name: &str) -> WorkerName {
    WorkerName::parse(name).expect("a valid name")
}

pub(crate) fn hosted(name: &str, job: &str, slots: u32) -> HostedWorker {
    HostedWorker {
        worker: worker(name),
        job: JobId::new(job),
        slots,
    }
}

impl World {
    /// Without a past: numbers of workers begin at 0.
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::new(ClusterOptions::new(Generation(0))),
            now: 0,
        }
    }

    /// A cluster of task managers `a`, `b`, … with so many slots each.
    pub(crate) fn of(slots: &[u32]) -> Self {
        let mut world = Self::new();
        for (name, slots) in ["a", "b", "c", "d", "e"].iter().zip(slots) {
            world.attach(name, 1, *slots, vec![]);
        }
        world
    }

    pub(crate) fn give(&mut self, event: ClusterEvent) -> Vec<String> {
        let commands = self.cluster.handle(ProcessingTime(self.now), event);
        commands.iter().map(line).collect()
    }

    pub(crate) fn pass(&mut self, ms: i64) -> Vec<String> {
        self.now += ms;
        match self.cluster.next_wakeup() {
            Some(at) if at.0 <= self.now => self.give(ClusterEvent::Wakeup),
            _ => vec![],
        }
    }

    pub(crate) fn attach(
        &mut self,
        id: &str,
        incarnation: u64,
        slots: u32,
        workers: Vec<HostedWorker>,
    ) -> Vec<String> {
        self.give(ClusterEvent::TaskManagerAttached {
            task_manager: task_manager(id),
            incarnation,
            slots,
            target: TARGET.into(),
            workers,
        })
    }

    pub(crate) fn lose(&mut self, id: &str, incarnation: u64) -> Vec<String> {
        self.give(ClusterEvent::TaskManagerLost {
            task_manager: task_manager(id),
            incarnation,
            reason: "silence".into(),
        })
    }

    pub(crate) fn admit(&mut self, job: &str, slots: u32) -> Vec<String> {
        self.admit_as(job, slots, None, Admission::Submitted)
    }

    pub(crate) fn admit_as(
        &mut self,
        job: &str,
        slots: u32,
        target: Option<&str>,
        admission: Admission,
    ) -> Vec<String> {
        self.give(ClusterEvent::JobAdmitted {
            job: JobId::new(job),
            slots,
            target: target.map(str::to_owned),
            admission,
        })
    }

    pub(crate) fn end(&mut self, job: &str) -> Vec<String> {
        self.give(ClusterEvent::JobEnded { job: JobId::new(job) })
    }

    pub(crate) fn ended(&mut self, name: &str) -> Vec<String> {
        let (on, _) = name.rsplit_once('-').expect("a name with a number");
        self.give(ClusterEvent::WorkerEnded {
            task_manager: task_manager(on),
            job: JobId::new("whose"),
            worker: worker(name),
            reason: "exit code 1".into(),
            severity: Severity::Restart,
        })
    }
}

fn line(command: &ClusterCommand) -> String {
    match command {
        ClusterCommand::StartWorker {
            job, worker, slots, ..
        } => format!("start {worker} of {job} with {slots}"),
        ClusterCommand::StopWorker { worker, .. } => format!("stop {worker}"),
        ClusterCommand::WorkerGone {
            job, worker, reason, ..
        } => format!("{job} lost {worker}: {reason}"),
        ClusterCommand::JobWaits { job, shortage } => format!("{job} waits: {}", short(shortage)),
        ClusterCommand::JobPlaced { job } => format!("{job} placed"),
    }
}

fn short(shortage: &Shortage) -> String {
    match shortage {
        Shortage::Slots {
            missing, free, total, ..
        } => format!("{missing} of {free}/{total}"),
        Shortage::Turn { ahead, .. } => format!("behind {ahead}"),
        Shortage::Vacating { missing } => format!("{missing} vacating"),
        Shortage::Reattaching { missing, .. } => format!("{missing} may come back"),
        Shortage::Failing { failures, pause, .. } => format!("{failures} failures, {pause:?}"),
    }
}

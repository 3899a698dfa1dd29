//! What an executor's thread is doing, for those who look at it from outside: it cannot be asked while it runs a task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidegate_core::{NamedTask, OperatorUid, TaskProbe};

/// A task of a thread.
#[derive(Debug)]
pub(crate) struct WatchedTask {
    pub(crate) task: NamedTask,
    pub(crate) probe: Arc<TaskProbe>,
}

/// What holds an executor's thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    pub(crate) holder: NamedTask,
    /// The operator that the task entered last, if it has entered one.
    pub(crate) operator: Option<OperatorUid>,
    pub(crate) held_for: Duration,
    /// When the thread was taken, in nanoseconds of the worker's clock: two looks that find the same see one hold.
    pub(crate) since_ns: u64,
}

/// What one executor's thread is doing. Written by the thread, read by any.
#[derive(Debug)]
pub(crate) struct ThreadWatch {
    tasks: Vec<WatchedTask>,
    may_block: bool,
    /// The place of the task that has the thread, plus one; 0 if none has.
    holder: AtomicUsize,
    since_ns: AtomicU64,
}

impl ThreadWatch {
    /// The watch of a thread that nothing should hold for long.
    pub(crate) fn new(tasks: Vec<WatchedTask>) -> Arc<Self> {
        Self::with(tasks, false)
    }

    /// The watch of a thread that is there to be held.
    pub(crate) fn of_blocking_chain(tasks: Vec<WatchedTask>) -> Arc<Self> {
        Self::with(tasks, true)
    }

    fn with(tasks: Vec<WatchedTask>, may_block: bool) -> Arc<Self> {
        Arc::new(Self {
            tasks,
            may_block,
            holder: AtomicUsize::new(0),
            since_ns: AtomicU64::new(0),
        })
    }

    /// Whether the thread may be held for as long as it takes.
    pub(crate) fn may_block(&self) -> bool {
        self.may_block
    }

    /// The tasks of the thread.
    pub(crate) fn tasks(&self) -> &[WatchedTask] {
        &self.tasks
    }

    /// A task gets the thread.
    pub(crate) fn enter(&self, place: usize, now_ns: u64) {
        self.since_ns.store(now_ns, Ordering::Relaxed);
        self.holder.store(place + 1, Ordering::Release);
    }

    /// The task has given the thread back.
    pub(crate) fn leave(&self) {
        self.holder.store(0, Ordering::Release);
    }

    /// What holds the thread now. A task that takes turns quickly may be seen with the operator of its turn before.
    pub(crate) fn hold(&self, now_ns: u64) -> Option<Hold> {
        let place = self.holder.load(Ordering::Acquire).checked_sub(1)?;
        let since_ns = self.since_ns.load(Ordering::Relaxed);
        let watched = self.tasks.get(place)?;
        Some(Hold {
            holder: watched.task.clone(),
            operator: watched.probe.entered(),
            held_for: Duration::from_nanos(now_ns.saturating_sub(since_ns)),
            since_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{ProcessingTime, TaskId, VertexId};

    use super::*;

    #[test]
    fn a_thread_is_held_from_entering_to_leaving() {
        let probe = TaskProbe::new(ProcessingTime(0));
        let (slow, fast) = (probe.register(&"slow".into()), probe.register(&"fast".into()));
        let task = NamedTask {
            task: TaskId {
                vertex: VertexId(1),
                index: 0,
            },
            name: "slow → fast".into(),
        };
        let watch = ThreadWatch::new(vec![WatchedTask {
            task: task.clone(),
            probe: Arc::clone(&probe),
        }]);
        assert_eq!(watch.hold(5), None);
        watch.enter(0, 1_000);
        assert_eq!(watch.hold(1_000).and_then(|hold| hold.operator), None);
        for (place, name) in [(slow, "slow"), (fast, "fast")] {
            probe.enter(place);
            let hold = watch.hold(4_000).unwrap();
            assert_eq!(hold.holder, task);
            assert_eq!(hold.operator, Some(name.into()));
            assert_eq!(hold.held_for, Duration::from_nanos(3_000));
        }
        watch.leave();
        assert_eq!(watch.hold(9_000), None);
    }
}

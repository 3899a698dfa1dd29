//! One slot: a thread that runs its tasks in turn, a bounded time each, and parks when none is ready.
//!
//! The executor never waits for anything but its parking place: what its tasks emit goes to bounded rings or waits in
//! their own overflow, and I/O happens elsewhere. A panic of user code ends the task, not the thread.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tidegate_core::{
    Barrier, CheckpointId, Faults, OperatorUid, ProcessingTime, Straggler, TaskError, TaskId,
    chain::ChainError, source::Split,
};
use tidegate_exchange::{ReadySet, ReadySlots};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    clock::Clock,
    task::{Ran, Stop, Task, TaskEvent},
    watch::ThreadWatch,
};

/// Makes one task, on the executor's thread: building, opening and restoring may take long.
pub(crate) type Assembly = Box<dyn FnOnce() -> Result<Task, TaskError> + Send>;

/// What the worker tells an executor.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// All workers have deployed.
    Start,
    /// The splits of a source task.
    Assign(TaskId, Vec<Split>),
    Trigger(Barrier),
    Abort(CheckpointId),
    Claimed(CheckpointId),
    /// Say what a checkpoint waits for.
    Explain(CheckpointId),
    Stop,
}

/// What an executor tells its worker. The channel is unbounded because an executor must not wait; what goes through it
/// is bounded by the number of tasks and the one checkpoint in flight.
pub(crate) enum ExecutorEvent {
    /// All tasks of the slot are in place.
    Deployed,
    Task(TaskEvent),
    Failed(TaskError),
    /// What a checkpoint waits for here.
    Explained {
        slot: usize,
        checkpoint: CheckpointId,
        stragglers: Vec<Straggler>,
    },
    /// All tasks of the slot are gone and the thread is about to end.
    Stopped,
}

/// The worker's end of an executor.
pub(crate) struct ExecutorHandle {
    commands: mpsc::Sender<Command>,
    ready: Arc<ReadySet>,
    thread: Option<JoinHandle<()>>,
}

impl ExecutorHandle {
    pub(crate) fn send(&self, command: Command) {
        // A thread that has ended has said so; what it is told after that does not matter.
        let _ = self.commands.send(command);
        self.ready.nudge();
    }

    /// Waits for the thread to end. May block as long as a task's step lasts.
    pub(crate) fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What an executor is made of.
pub(crate) struct ExecutorParts {
    pub(crate) name: String,
    pub(crate) slot: usize,
    pub(crate) ready: Arc<ReadySet>,
    pub(crate) watch: Arc<ThreadWatch>,
    pub(crate) tasks: Vec<Assembly>,
    pub(crate) events: UnboundedSender<ExecutorEvent>,
    pub(crate) clock: Clock,
    pub(crate) spin: Duration,
    pub(crate) faults: Faults,
}

/// Starts an executor thread. Task *i* of `tasks` is woken through slot *i* of `ready`.
pub(crate) fn spawn(parts: ExecutorParts) -> std::io::Result<ExecutorHandle> {
    let (commands, inbox) = mpsc::channel();
    let ready = Arc::clone(&parts.ready);
    let thread = std::thread::Builder::new()
        .name(parts.name.clone())
        .spawn(move || run(parts, &inbox))?;
    Ok(ExecutorHandle {
        commands,
        ready,
        thread: Some(thread),
    })
}

struct Executor {
    slot: usize,
    tasks: Vec<Option<Task>>,
    /// When each task wants to run again by itself.
    wake_at: Vec<Option<ProcessingTime>>,
    ready: Arc<ReadySet>,
    watch: Arc<ThreadWatch>,
    events: UnboundedSender<ExecutorEvent>,
    clock: Clock,
    faults: Faults,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

fn run(parts: ExecutorParts, inbox: &mpsc::Receiver<Command>) {
    let ExecutorParts {
        name: _,
        slot,
        ready,
        watch,
        tasks,
        events,
        clock,
        spin,
        faults,
    } = parts;
    ready.attach();
    let mut executor = Executor {
        slot,
        tasks: Vec::new(),
        wake_at: Vec::new(),
        ready,
        watch,
        events,
        clock,
        faults,
    };
    executor.assemble(tasks);
    let mut slots = ReadySlots::default();
    loop {
        if executor.faults.is_dead() {
            return;
        }
        while let Ok(command) = inbox.try_recv() {
            if executor.obey(command) == Next::End {
                return;
            }
        }
        executor.ready.take_ready(&mut slots);
        slots.take_nudge();
        let now = executor.clock.time_at(executor.clock.nanos());
        for (slot, wake_at) in executor.wake_at.iter_mut().enumerate() {
            if wake_at.is_some_and(|time| time <= now) {
                *wake_at = None;
                slots.insert(slot);
            }
        }
        if slots.is_empty() {
            let timeout = executor.next_wake();
            executor.ready.park(spin, timeout);
            continue;
        }
        for slot in slots.by_ref() {
            if executor.run_task(slot) == Next::End {
                return;
            }
        }
    }
}

impl Executor {
    fn assemble(&mut self, tasks: Vec<Assembly>) {
        for (slot, assemble) in tasks.into_iter().enumerate() {
            self.watch.enter(slot, self.clock.nanos());
            let assembled = catch_unwind(AssertUnwindSafe(assemble));
            self.watch.leave();
            let task = match assembled {
                Ok(Ok(task)) => Some(task),
                Ok(Err(error)) => {
                    let _ = self.events.send(ExecutorEvent::Failed(error));
                    None
                }
                Err(panic) => {
                    let error = TaskError {
                        task: TaskId {
                            vertex: tidegate_core::VertexId(0),
                            index: 0,
                        },
                        task_name: std::thread::current().name().unwrap_or("executor").to_owned(),
                        operator: None,
                        message: format!(
                            "panicked while it was put in place: {}",
                            panic_text(panic.as_ref())
                        ),
                        severity: tidegate_core::Severity::Restart,
                    };
                    let _ = self.events.send(ExecutorEvent::Failed(error));
                    None
                }
            };
            self.tasks.push(task);
            self.wake_at.push(None);
            self.wake(slot);
        }
        if self.tasks.iter().all(Option::is_some) {
            let _ = self.events.send(ExecutorEvent::Deployed);
        }
    }

    fn wake(&self, slot: usize) {
        self.ready.waker(slot).wake();
    }

    fn next_wake(&self) -> Option<Duration> {
        let now_ns = self.clock.nanos();
        let next = self.wake_at.iter().flatten().min()?;
        // A millisecond clock: round up, so that the time has come when we wake.
        Some(self.clock.until(now_ns, *next).max(Duration::from_micros(50)))
    }

    fn obey(&mut self, command: Command) -> Next {
        match command {
            Command::Start => self.each(Task::start),
            Command::Assign(id, splits) => self.each(|task| {
                if task.id() == id {
                    task.assign(splits.clone())
                } else {
                    Ok(())
                }
            }),
            Command::Trigger(barrier) => self.each(|task| {
                task.trigger(barrier);
                Ok(())
            }),
            Command::Abort(checkpoint) => self.each(|task| task.abort(checkpoint)),
            Command::Claimed(checkpoint) => self.each(|task| task.claimed(checkpoint)),
            Command::Explain(checkpoint) => {
                let tasks = self.tasks.iter().flatten();
                let _ = self.events.send(ExecutorEvent::Explained {
                    slot: self.slot,
                    checkpoint,
                    stragglers: tasks.filter_map(|task| task.straggles(checkpoint)).collect(),
                });
            }
            Command::Stop => {
                for (place, task) in self.tasks.iter_mut().enumerate() {
                    let Some(task) = task else { continue };
                    self.watch.enter(place, self.clock.nanos());
                    let closed = catch_unwind(AssertUnwindSafe(|| task.close()));
                    self.watch.leave();
                    if let Ok(Err(error)) = closed {
                        tracing::warn!(task = %task.id(), %error, "a task did not close cleanly");
                    }
                }
                self.tasks.clear();
                let _ = self.events.send(ExecutorEvent::Stopped);
                return Next::End;
            }
        }
        Next::Continue
    }

    /// Does something to every task and lets it run.
    fn each(&mut self, mut act: impl FnMut(&mut Task) -> Result<(), ChainError>) {
        for slot in 0..self.tasks.len() {
            let Some(task) = &mut self.tasks[slot] else {
                continue;
            };
            self.watch.enter(slot, self.clock.nanos());
            let acted = catch_unwind(AssertUnwindSafe(|| act(task)));
            self.watch.leave();
            match acted {
                Ok(Ok(())) => self.wake(slot),
                Ok(Err(error)) => self.fail(slot, Some(error.operator), error.error.to_string()),
                Err(panic) => self.fail_panicked(slot, panic.as_ref()),
            }
        }
    }

    fn run_task(&mut self, slot: usize) -> Next {
        let Some(task) = &mut self.tasks[slot] else {
            return Next::Continue;
        };
        self.watch.enter(slot, self.clock.nanos());
        let ran = catch_unwind(AssertUnwindSafe(|| task.run()));
        self.watch.leave();
        for event in task.take_events() {
            let _ = self.events.send(ExecutorEvent::Task(event));
        }
        match ran {
            Ok(Ok(Ran::Again)) => self.wake(slot),
            Ok(Ok(Ran::Waiting(until))) => self.wake_at[slot] = until,
            Ok(Err(Stop::Died)) => return Next::End,
            Ok(Err(Stop::Failed(error))) => self.fail(slot, Some(error.operator), error.error.to_string()),
            Err(panic) => self.fail_panicked(slot, panic.as_ref()),
        }
        Next::Continue
    }

    fn fail_panicked(&mut self, slot: usize, panic: &(dyn Any + Send)) {
        let text = panic_text(panic);
        let struck = self.tasks[slot]
            .as_ref()
            .and_then(|task| task.probe().take_panicked());
        match struck {
            Some((operator, position)) => {
                self.fail(
                    slot,
                    Some(operator),
                    format!("panicked at record {position}: {text}"),
                );
            }
            None => self.fail(slot, None, format!("panicked: {text}")),
        }
    }

    fn fail(&mut self, slot: usize, operator: Option<OperatorUid>, message: String) {
        if let Some(task) = self.tasks[slot].take() {
            let _ = self
                .events
                .send(ExecutorEvent::Failed(task.error(operator, message)));
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

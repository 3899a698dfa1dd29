//! One task: a chain, what feeds it, and its part in checkpoints. Runs in steps on an executor thread.

mod feed;
mod midway;
mod snapshot;

use std::{sync::Arc, task::Waker};

use tidegate_core::{
    Barrier, CheckpointId, Control, EventTime, Faults, Flow, OperatorError, OperatorUid, ProcessingTime,
    Severity, TARGET_RECORDS, TaskError, TaskId, TaskProbe, VertexId,
    chain::ChainError,
    metrics::{Activity, TaskMetrics, WatermarkHolder},
    sink::PrepareResult,
    source::{SourceStatus, Split},
};
use tidegate_exchange::{ChannelError, Polled, WriterStatus};

pub(crate) use self::feed::{EdgeFeed, Feed, SourceState, TaskInput, Upstream};
use crate::{
    alignment::Verdict,
    clock::Clock,
    head::ChainHead,
    scan::{Scan, TaskPart},
    spare_buffers::SpareBuffers,
    watermarks::Change,
};

/// A task runs at most this long before the next one has its turn.
const RUN_NS: u64 = 200_000;
/// Buffered records wait at most this long while more input keeps coming.
const FLUSH_NS: u64 = 1_000_000;

/// What a task tells its worker.
pub(crate) enum TaskEvent {
    /// A sink closed its staged output at a barrier; the future makes it durable.
    Prepared {
        task: TaskId,
        sink: OperatorUid,
        checkpoint: CheckpointId,
        future: PrepareResult,
    },
    /// The task's part of a checkpoint is serialised.
    Part(TaskPart),
    /// All input has ended and everything that follows from it is emitted.
    Ended,
}

/// What a run of a task came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// There may be more to do at once.
    Again,
    /// Nothing to do until the task is woken, or until a time of day.
    Waiting(Option<ProcessingTime>),
}

/// Why a run stopped for good.
pub(crate) enum Stop {
    /// The task has failed.
    Failed(ChainError),
    /// A fault has struck: the process is dead.
    Died,
}

impl From<ChainError> for Stop {
    fn from(error: ChainError) -> Self {
        Self::Failed(error)
    }
}

/// How far the end of the input has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    /// The end has been sent into the chain; it may still be working on it.
    Ending,
    Ended,
}

/// Whether the chain, and through it whatever comes next, has heard how far event time had come when the task was
/// restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Announcement {
    Due,
    Made,
}

/// What came of looking for input.
enum Step {
    /// Something was taken; this many records.
    Took(usize),
    /// There is none now, and none before this time.
    Empty(Option<ProcessingTime>),
}

pub(crate) struct Task {
    id: TaskId,
    name: String,
    feed: Feed,
    phase: Phase,
    flow: Flow,
    announcement: Announcement,
    /// A checkpoint that this task starts by itself: at a source, or when all inputs have ended.
    trigger: Option<Barrier>,
    snapshot_taken: CheckpointId,
    scan: Option<Scan>,
    spares: SpareBuffers,
    events: Vec<TaskEvent>,
    waker: Waker,
    clock: Clock,
    probe: Arc<TaskProbe>,
    metrics: Arc<TaskMetrics>,
    outputs: Vec<TaskOutput>,
    faults: Faults,
    flushed_at_ns: u64,
}

/// What a task is made of.
pub(crate) struct TaskParts {
    pub(crate) id: TaskId,
    pub(crate) name: String,
    pub(crate) feed: Feed,
    pub(crate) restored: CheckpointId,
    pub(crate) waker: Waker,
    pub(crate) clock: Clock,
    pub(crate) probe: Arc<TaskProbe>,
    pub(crate) metrics: Arc<TaskMetrics>,
    pub(crate) outputs: Vec<TaskOutput>,
    pub(crate) faults: Faults,
}

/// One edge out of a task, as far as the task can see it.
pub(crate) struct TaskOutput {
    status: Arc<WriterStatus>,
    consumer: VertexId,
    consumer_name: String,
    /// How many of the records sent there are in the task's metrics.
    counted: u64,
}

impl TaskOutput {
    pub(crate) fn new(status: Arc<WriterStatus>, consumer: VertexId, consumer_name: String) -> Self {
        Self {
            status,
            consumer,
            consumer_name,
            counted: 0,
        }
    }

    /// How many records were sent since this was asked last.
    fn newly_sent(&mut self) -> u64 {
        let sent = self.status.records();
        sent - std::mem::replace(&mut self.counted, sent)
    }
}

impl Task {
    pub(crate) fn new(parts: TaskParts) -> Self {
        parts
            .metrics
            .activity
            .turn_to(Activity::Idle, parts.clock.nanos());
        Self {
            id: parts.id,
            name: parts.name,
            feed: parts.feed,
            phase: Phase::Running,
            flow: Flow::Ready,
            announcement: Announcement::Due,
            trigger: None,
            snapshot_taken: parts.restored,
            scan: None,
            spares: SpareBuffers::default(),
            events: Vec::new(),
            waker: parts.waker,
            clock: parts.clock,
            probe: parts.probe,
            metrics: parts.metrics,
            outputs: parts.outputs,
            faults: parts.faults,
            flushed_at_ns: 0,
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    /// The failure of this task as the coordinator hears of it.
    pub(crate) fn error(&self, operator: Option<OperatorUid>, message: String) -> TaskError {
        TaskError {
            task: self.id,
            task_name: self.name.clone(),
            operator,
            message,
            severity: Severity::Restart,
        }
    }

    pub(crate) fn probe(&self) -> &TaskProbe {
        &self.probe
    }

    pub(crate) fn take_events(&mut self) -> Vec<TaskEvent> {
        std::mem::take(&mut self.events)
    }

    fn chain(&mut self) -> &mut dyn ChainHead {
        match &mut self.feed {
            Feed::Source { head, .. } => head.as_mut(),
            Feed::Edges(edges) => edges.head.as_mut(),
        }
    }

    /// The splits of a source have come: this task's own.
    pub(crate) fn assign(&mut self, splits: Vec<Split>) -> Result<(), ChainError> {
        if let Feed::Source { head, state } = &mut self.feed {
            head.assign(splits)?;
            if let SourceState::Preparing { assigned, .. } = state {
                *assigned = true;
            }
        }
        self.begin_reading();
        Ok(())
    }

    /// All workers have deployed.
    pub(crate) fn start(&mut self) -> Result<(), ChainError> {
        self.announce()?;
        if let Feed::Source {
            state: SourceState::Preparing { started, .. },
            ..
        } = &mut self.feed
        {
            *started = true;
        }
        self.begin_reading();
        Ok(())
    }

    /// Tells the chain, before any record, how far event time has come.
    fn announce(&mut self) -> Result<(), ChainError> {
        if self.announcement == Announcement::Due {
            self.announcement = Announcement::Made;
            let watermark = self.probe.watermark();
            self.metrics.watermark.set(watermark);
            self.flow = self
                .flow
                .and(self.chain().control(Control::Watermark(watermark))?);
        }
        Ok(())
    }

    fn begin_reading(&mut self) {
        if let Feed::Source { state, .. } = &mut self.feed
            && *state
                == (SourceState::Preparing {
                    assigned: true,
                    started: true,
                })
        {
            *state = SourceState::Reading;
        }
    }

    /// Ends the task.
    pub(crate) fn close(&mut self) -> Result<(), ChainError> {
        self.chain().visit(&mut |operator| {
            let uid = operator.context().uid.clone();
            operator
                .close()
                .map_err(|error| ChainError { operator: uid, error })
        })
    }

    /// Runs for a bounded time.
    pub(crate) fn run(&mut self) -> Result<Ran, Stop> {
        let started_ns = self.clock.nanos();
        self.probe.set_now(self.clock.time_at(started_ns));
        self.metrics.activity.turn_to(Activity::Busy, started_ns);
        let ran = self.run_from(started_ns);
        let ended_ns = self.clock.nanos();
        let next = match (&ran, self.flow) {
            (_, Flow::Blocked) => Activity::Backpressured,
            (Ok(Ran::Again), _) => Activity::Queued,
            _ => Activity::Idle,
        };
        self.metrics.activity.turn_to(next, ended_ns);
        let took_ns = ended_ns.saturating_sub(started_ns);
        self.metrics.run_times.record(took_ns);
        if took_ns > self.metrics.longest_run_ns.get() {
            self.metrics.longest_run_ns.set(took_ns);
        }
        if self.flow == Flow::Blocked
            && let Some(output) = self.outputs.iter().find(|output| output.status.is_blocked())
        {
            self.metrics.held_back_by.set(u64::from(output.consumer.0) + 1);
        }
        for output in &mut self.outputs {
            self.metrics.records_out.add(output.newly_sent());
        }
        ran
    }

    fn run_from(&mut self, started_ns: u64) -> Result<Ran, Stop> {
        if !self.flow.is_ready() && !self.drain()? {
            self.take_controls()?;
            self.act_midway()?;
            let until = self.coming_timer()?;
            return self.rest(until);
        }
        let mut next_timer = self.fire_timers()?;
        let mut empty = None;
        let mut records = 0;
        while self.flow.is_ready() && self.phase != Phase::Ended && records < 4 * TARGET_RECORDS {
            match self.step()? {
                Step::Took(count) => records += count,
                Step::Empty(until) => {
                    empty = Some(until);
                    break;
                }
            }
            if self.clock.nanos().saturating_sub(started_ns) > RUN_NS {
                break;
            }
        }
        self.metrics.records_in.add(records as u64);
        self.finish_ending();
        self.act_on_trigger()?;
        self.slice()?;
        let now_ns = self.clock.nanos();
        if empty.is_some() || now_ns.saturating_sub(self.flushed_at_ns) > FLUSH_NS {
            self.flushed_at_ns = now_ns;
            self.flow = self.chain().flush()?;
        }
        match empty {
            // Records may have set timers since they were last looked at.
            Some(until) => {
                next_timer = if records > 0 {
                    self.next_timer()?
                } else {
                    next_timer
                };
                self.rest(earliest(until, next_timer))
            }
            None if self.phase == Phase::Ended => {
                let timer = None;
                self.rest(timer)
            }
            None if self.flow.is_ready() => Ok(Ran::Again),
            None => {
                let until = self.coming_timer()?;
                self.rest(until)
            }
        }
    }

    /// Whether the task waits, given that there is no input before `until` or that its outputs are not ready.
    fn rest(&mut self, until: Option<ProcessingTime>) -> Result<Ran, Stop> {
        if self.scan.is_some() && !self.flow.is_ready() {
            // A blocked output is no reason to hold up a snapshot.
            self.slice()?;
        }
        if self.flow == Flow::Pending
            || self.scan.is_some()
            || (self.phase == Phase::Ending && self.flow.is_ready())
        {
            return Ok(Ran::Again);
        }
        Ok(Ran::Waiting(until))
    }

    /// Goes on with what is pending in the chain. True if nothing is any more.
    fn drain(&mut self) -> Result<bool, Stop> {
        let waker = self.waker.clone();
        self.chain().visit(&mut |operator| {
            let uid = operator.context().uid.clone();
            operator
                .poll(&waker)
                .map_err(|error| ChainError { operator: uid, error })
        })?;
        self.flow = self.chain().drain()?;
        Ok(self.flow.is_ready())
    }

    /// The next timer that is not due yet. Those that are due wait until the chain is ready, and whoever keeps it from that
    /// wakes the task.
    fn coming_timer(&mut self) -> Result<Option<ProcessingTime>, Stop> {
        let mut coming = None;
        let now = self.probe.now();
        self.chain().visit(&mut |operator| {
            coming = earliest(coming, operator.next_timer().filter(|time| *time > now));
            Ok(())
        })?;
        Ok(coming)
    }

    fn next_timer(&mut self) -> Result<Option<ProcessingTime>, Stop> {
        let mut next: Option<ProcessingTime> = None;
        self.chain().visit(&mut |operator| {
            next = earliest(next, operator.next_timer());
            Ok(())
        })?;
        Ok(next)
    }

    fn fire_timers(&mut self) -> Result<Option<ProcessingTime>, Stop> {
        let next = self.next_timer()?;
        let now = self.probe.now();
        if next.is_none_or(|time| time > now) || self.phase == Phase::Ended {
            return Ok(next);
        }
        self.chain().visit(&mut |operator| {
            if operator.next_timer().is_some_and(|time| time <= now) {
                let _ = operator.on_timer()?;
            }
            Ok(())
        })?;
        // What timers emitted in the middle of the chain may be pending further down.
        self.flow = self.chain().drain()?;
        self.next_timer()
    }

    /// Takes one piece of input, if there is one. The chain is drained.
    fn step(&mut self) -> Result<Step, Stop> {
        if self.phase == Phase::Ending {
            return Ok(Step::Empty(None));
        }
        match &mut self.feed {
            Feed::Source { state, .. } => match state {
                SourceState::Preparing { .. } | SourceState::Suspended => Ok(Step::Empty(None)),
                SourceState::Reading => self.read(),
            },
            Feed::Edges(_) => self.receive(),
        }
    }

    fn read(&mut self) -> Result<Step, Stop> {
        if self.trigger.is_some() {
            // The barrier goes between two batches.
            self.act_on_trigger()?;
            return Ok(Step::Took(0));
        }
        let Feed::Source { head, .. } = &mut self.feed else {
            return Ok(Step::Empty(None));
        };
        let polled = head.poll(&self.waker)?;
        self.flow = polled.flow;
        match polled.status {
            SourceStatus::More => Ok(Step::Took(polled.records)),
            SourceStatus::Waiting | SourceStatus::Until(_) if polled.records > 0 => {
                Ok(Step::Took(polled.records))
            }
            SourceStatus::Waiting => Ok(Step::Empty(None)),
            SourceStatus::Until(time) => Ok(Step::Empty(Some(time))),
            SourceStatus::Finished => {
                self.end()?;
                Ok(Step::Took(polled.records))
            }
        }
    }

    fn receive(&mut self) -> Result<Step, Stop> {
        let Feed::Edges(edges) = &mut self.feed else {
            return Ok(Step::Empty(None));
        };
        let count = edges.channels.len();
        if count == 0 {
            // A task that nobody sends to, such as all but the first behind a global edge.
            self.end()?;
            return Ok(Step::Took(0));
        }
        for offset in 0..count {
            let channel = (edges.next + offset) % count;
            if edges.alignment.is_blocked(channel) {
                continue;
            }
            let (input, place) = edges.channels[channel];
            let polled = edges.inputs[input]
                .reader
                .poll(place)
                .map_err(|error| unreadable(&self.name, error))?;
            match polled {
                Polled::Empty => {}
                Polled::Batch { records } => {
                    edges.next = (channel + 1) % count;
                    // Another worker's sources may have started before this one has heard of it.
                    let announcement = std::mem::replace(&mut self.announcement, Announcement::Made);
                    let said = match (edges.watermarks.on_records(channel), announcement) {
                        (Change::Watermark(_), _) | (_, Announcement::Due) => Some(edges.watermarks.merged()),
                        (Change::None | Change::Idle, Announcement::Made) => None,
                    };
                    if let Some(watermark) = said {
                        let _ = edges.head.control(Control::Watermark(watermark))?;
                        self.metrics.watermark_held_by.set(edges.watermark_held_by());
                    }
                    let TaskInput { slot, reader, .. } = &mut edges.inputs[input];
                    self.flow = edges.head.records(*slot, reader.batch())?;
                    return Ok(Step::Took(records));
                }
                Polled::Control(control) => {
                    self.on_control(channel, control)?;
                    return Ok(Step::Took(0));
                }
            }
        }
        Ok(Step::Empty(None))
    }

    fn on_control(&mut self, channel: usize, control: Control) -> Result<(), Stop> {
        self.announce()?;
        let now_us = self.clock.nanos() / 1000;
        let Feed::Edges(edges) = &mut self.feed else {
            return Ok(());
        };
        let (change, verdict) = match control {
            Control::Watermark(time) => (edges.watermarks.on_watermark(channel, time), Verdict::Continue),
            Control::Idle => (edges.watermarks.on_idle(channel), Verdict::Continue),
            Control::Barrier(barrier) => (Change::None, edges.alignment.on_barrier(channel, barrier, now_us)),
            Control::End => {
                let verdict = edges.alignment.on_end(channel, now_us);
                (edges.watermarks.on_end(channel), verdict)
            }
        };
        let ended = edges.alignment.has_ended();
        let held_by = edges.watermark_held_by();
        // A snapshot is of everything before; the watermark that an end sets free comes after it.
        if let Verdict::Snapshot {
            barrier,
            alignment_us,
        } = verdict
        {
            self.snapshot(barrier, alignment_us)?;
        }
        self.metrics.watermark_held_by.set(held_by);
        match change {
            Change::None => {}
            Change::Watermark(time) => {
                self.probe.set_watermark(time);
                self.metrics.watermark.set(time);
                self.flow = self.flow.and(self.chain().control(Control::Watermark(time))?);
            }
            Change::Idle => self.flow = self.flow.and(self.chain().control(Control::Idle)?),
        }
        if ended && self.phase == Phase::Running {
            self.end()?;
        }
        Ok(())
    }

    /// All input has ended for good.
    fn end(&mut self) -> Result<(), Stop> {
        self.phase = Phase::Ending;
        self.probe.set_watermark(EventTime::MAX);
        self.metrics.watermark.set(EventTime::MAX);
        self.metrics.watermark_held_by.set(WatermarkHolder::Nobody);
        let flow = self.chain().control(Control::Watermark(EventTime::MAX))?;
        self.flow = flow.and(self.chain().control(Control::End)?);
        Ok(())
    }

    fn finish_ending(&mut self) {
        if self.phase == Phase::Ending && self.flow.is_ready() {
            self.phase = Phase::Ended;
            self.events.push(TaskEvent::Ended);
        }
    }
}

/// The failure of an input of a task.
fn unreadable(task_name: &str, error: ChannelError) -> ChainError {
    ChainError {
        operator: OperatorUid::new(task_name),
        error: OperatorError::other(error),
    }
}

fn earliest(a: Option<ProcessingTime>, b: Option<ProcessingTime>) -> Option<ProcessingTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

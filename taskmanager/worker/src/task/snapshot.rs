//! A task's part in checkpoints: when it acts, what it freezes, and how that is serialised in the background.

use tidegate_core::{
    Barrier, CheckpointId, Control, FaultPoint, Flow, NamedTask, Progress, Straggler, WaitsFor,
    chain::ChainError, control::OperatorSnapshot, snapshot::Freeze,
};

use super::{Feed, Phase, SourceState, Stop, Task, TaskEvent};
use crate::scan::{Frozen, Scan};

impl Task {
    /// A checkpoint has been triggered. Sources, and tasks whose input has ended, act on it; for others its barriers
    /// come through the channels.
    pub(crate) fn trigger(&mut self, barrier: Barrier) {
        self.trigger = Some(barrier);
    }

    /// A checkpoint has been given up.
    pub(crate) fn abort(&mut self, checkpoint: CheckpointId) -> Result<(), ChainError> {
        self.trigger = self.trigger.filter(|barrier| barrier.checkpoint > checkpoint);
        if let Feed::Edges(edges) = &mut self.feed {
            edges.alignment.on_abort(checkpoint);
        }
        if self
            .scan
            .as_ref()
            .is_some_and(|scan| scan.checkpoint() <= checkpoint)
        {
            self.scan = None;
            self.chain().visit(&mut |operator| {
                operator
                    .keyed_states()
                    .into_iter()
                    .for_each(|table| table.discard());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A checkpoint has been claimed.
    pub(crate) fn claimed(&mut self, checkpoint: CheckpointId) -> Result<(), ChainError> {
        self.chain().visit(&mut |operator| {
            operator
                .keyed_states()
                .into_iter()
                .for_each(|table| table.claimed(checkpoint));
            Ok(())
        })
    }

    /// What this task's part of a checkpoint waits for; `None` if the task has done it.
    pub(crate) fn straggles(&self, checkpoint: CheckpointId) -> Option<Straggler> {
        let waits_for = if self
            .scan
            .as_ref()
            .is_some_and(|scan| scan.checkpoint() >= checkpoint)
        {
            WaitsFor::Serialisation
        } else if self.snapshot_taken >= checkpoint {
            return None;
        } else if self.flow == Flow::Blocked {
            let blocked = self.outputs.iter().find(|output| output.status.is_blocked());
            WaitsFor::Room {
                consumer: blocked
                    .map(|output| output.consumer_name.clone())
                    .unwrap_or_default(),
            }
        } else {
            match &self.feed {
                Feed::Edges(edges) if self.phase == Phase::Running => {
                    let (missing, channels) = (edges.missing_barriers(), edges.channels.len());
                    WaitsFor::Barriers {
                        missing,
                        channels: u32::try_from(channels).unwrap_or(u32::MAX),
                    }
                }
                _ => WaitsFor::Turn,
            }
        };
        Some(Straggler {
            task: NamedTask {
                task: self.id,
                name: self.name.clone(),
            },
            waits_for,
        })
    }

    pub(super) fn act_on_trigger(&mut self) -> Result<(), Stop> {
        let acts = self.flow.is_ready()
            && match (&self.feed, self.phase) {
                (_, Phase::Ending) => false,
                // Splits that are not assigned yet would be missing from the snapshot, while other tasks of the source
                // may have theirs: whoever restores it would take those for all.
                (
                    Feed::Source {
                        state: SourceState::Preparing { .. },
                        ..
                    },
                    _,
                ) => false,
                (Feed::Source { .. }, _) | (Feed::Edges(_), Phase::Ended) => true,
                (Feed::Edges(_), Phase::Running) => false,
            };
        if acts { self.take_trigger() } else { Ok(()) }
    }

    /// Acts on a trigger at a source while operators of its chain wait for something outside the executor: a checkpoint that
    /// starts here does not wait for slow calls whose records are in the snapshot. Room further down is waited for as ever.
    pub(super) fn act_midway(&mut self) -> Result<(), Stop> {
        let reads = self.phase == Phase::Running
            && matches!(
                self.feed,
                Feed::Source {
                    state: SourceState::Reading,
                    ..
                }
            );
        let has_room = self.outputs.iter().all(|output| !output.status.is_blocked());
        if self.trigger.is_none() || !reads || !has_room {
            return Ok(());
        }
        let mut may_pass = true;
        self.chain().visit(&mut |operator| {
            may_pass &= operator.barrier_may_pass();
            Ok(())
        })?;
        if may_pass { self.take_trigger() } else { Ok(()) }
    }

    /// Takes the snapshot that has been triggered, if one has and it has not been taken.
    pub(super) fn take_trigger(&mut self) -> Result<(), Stop> {
        let Some(barrier) = self.trigger.take() else {
            return Ok(());
        };
        if barrier.checkpoint > self.snapshot_taken {
            if let Feed::Edges(edges) = &mut self.feed {
                if !edges.alignment.is_new(barrier.checkpoint) {
                    return Ok(());
                }
                edges.alignment.snapshot_taken(barrier.checkpoint);
            }
            self.snapshot(barrier, 0)?;
        }
        Ok(())
    }

    /// Freezes the task's state, passes the barrier on and starts to serialise in the background.
    pub(super) fn snapshot(&mut self, barrier: Barrier, alignment_us: u64) -> Result<(), Stop> {
        if self.faults.strikes(FaultPoint::BeforeFreeze) {
            return Err(Stop::Died);
        }
        let started_ns = self.clock.nanos();
        let now = self.clock.time_at(started_ns);
        self.snapshot_taken = barrier.checkpoint;
        self.metrics.alignment_us.set(alignment_us);
        let freeze = Freeze {
            checkpoint: barrier.checkpoint,
            since: barrier.since.filter(|_| !barrier.kind.is_full()),
        };
        let mut operators = Vec::new();
        let mut events = Vec::new();
        let task = self.id;
        self.chain().visit(&mut |operator| {
            let uid = operator.context().uid.clone();
            let mut snapshot = OperatorSnapshot::default();
            for table in operator.keyed_states() {
                table.set_now(now);
                table.freeze(freeze);
                snapshot.keyed_schemas.push(table.schema());
            }
            snapshot.states = operator.snapshot(&barrier).map_err(|error| ChainError {
                operator: uid.clone(),
                error,
            })?;
            if let Some(future) = operator.prepare(&barrier) {
                events.push(TaskEvent::Prepared {
                    task,
                    sink: uid.clone(),
                    checkpoint: barrier.checkpoint,
                    future,
                });
            }
            operators.push((uid, snapshot));
            Ok(())
        })?;
        self.events.append(&mut events);
        let ended = self.phase == Phase::Ended;
        if let Feed::Source { head, state } = &mut self.feed {
            // The source is the head: the first operator visited.
            operators[0].1.splits = head.splits()?;
            if barrier.kind.suspends() && *state == SourceState::Reading {
                *state = SourceState::Suspended;
            }
        }
        let watermark = match &self.feed {
            Feed::Source { .. } => self.probe.watermark(),
            Feed::Edges(edges) => edges.watermarks.merged(),
        };
        if !ended {
            self.flow = self.flow.and(self.chain().control(Control::Barrier(barrier))?);
        }
        let now_ns = self.clock.nanos();
        let sync_us = now_ns.saturating_sub(started_ns) / 1000;
        let frozen = Frozen {
            barrier,
            task,
            watermark,
            ended,
            operators,
            alignment_us,
            sync_us,
        };
        self.scan = Some(Scan::new(frozen, self.spares.clone(), now_ns));
        Ok(())
    }

    /// Serialises a slice of what is frozen.
    pub(super) fn slice(&mut self) -> Result<(), Stop> {
        let Some(mut scan) = self.scan.take() else {
            return Ok(());
        };
        let clock = self.clock;
        if scan.slice(self.chain(), &clock)? == Progress::More {
            if self.faults.strikes(FaultPoint::MidScan) {
                return Err(Stop::Died);
            }
            self.scan = Some(scan);
            return Ok(());
        }
        let mut bytes = 0;
        self.chain().visit(&mut |operator| {
            bytes += operator
                .keyed_states()
                .iter()
                .map(|table| table.memory_bytes())
                .sum::<u64>();
            Ok(())
        })?;
        self.metrics.state_bytes.set(bytes);
        self.events.push(TaskEvent::Part(scan.finish(self.clock.nanos())));
        Ok(())
    }
}

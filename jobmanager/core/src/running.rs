//! Deployment's answers and what workers say while they run.

use std::collections::BTreeSet;

use tidegate_core::{NodeId, ProcessingTime, WorkerId, control::WorkerOrder, source::Split};

use crate::{
    checkpoint::Checkpointing,
    command::{Command, SavepointError},
    coordinator::{AfterStop, Coordinator, Phase, Running, Wanted},
    event::RequestId,
};

/// How many savepoints may wait for their turn.
pub(crate) const WAITING_SAVEPOINTS: usize = 16;

impl Coordinator {
    /// A worker's tasks are in place, and what the restored checkpoint had staged is published by it.
    pub(crate) fn deployed(&mut self, now: ProcessingTime, worker: WorkerId) {
        let Phase::Deploying { members, waiting } = &mut self.phase else {
            return;
        };
        if !waiting.remove(&worker) || !waiting.is_empty() {
            return;
        }
        let members = std::mem::take(members);
        self.tail_committed();
        let finished = self.restored_manifest().is_some_and(|manifest| manifest.finished);
        let suspended = matches!(
            self.wanted,
            Wanted::Suspend { savepoint: None, .. } | Wanted::Suspend { claimed: true, .. }
        );
        if finished {
            self.stop(now, members, AfterStop::Finish);
        } else if suspended {
            self.stop(now, members, AfterStop::Suspend);
        } else {
            let attempt = self.attempt;
            self.send_all(&members, &WorkerOrder::Start { attempt });
            self.phase = Phase::Running(Running {
                members,
                ended: BTreeSet::new(),
                checkpointing: Checkpointing::Idle {
                    regular_at: now.after(self.options.checkpoints.interval),
                    urgent_at: now,
                },
            });
        }
    }

    /// Everything staged up to the tail is published.
    pub(crate) fn tail_committed(&mut self) {
        let Some(epoch) = self.tail_epoch() else { return };
        self.committed = Some(epoch);
        self.commands.push(Command::WriteCommitted { epoch });
        self.begin_exports();
        self.collect();
    }

    pub(crate) fn splits_discovered(&mut self, node: NodeId, splits: &[Split]) {
        let members = match &self.phase {
            Phase::Deploying { members, .. } | Phase::Running(Running { members, .. }) => members.clone(),
            _ => return,
        };
        let order = WorkerOrder::AssignSplits {
            attempt: self.attempt,
            node,
            splits: splits.to_vec(),
        };
        self.send_all(&members, &order);
    }

    pub(crate) fn ended(&mut self, worker: WorkerId) {
        if let Phase::Running(running) = &mut self.phase
            && running.members.contains(&worker)
        {
            running.ended.insert(worker);
        }
    }

    pub(crate) fn request_savepoint(&mut self, request: RequestId, name: String) {
        let waiting = self.savepoints.len();
        if waiting >= WAITING_SAVEPOINTS {
            self.commands.push(Command::Answer {
                request,
                result: Err(SavepointError::Busy { name, waiting }),
            });
        } else if self.wanted != Wanted::Run {
            let state = match self.wanted {
                Wanted::Cancel { .. } => "being cancelled",
                _ => "being suspended",
            };
            self.commands.push(Command::Answer {
                request,
                result: Err(SavepointError::NotRunning {
                    name,
                    state: state.into(),
                }),
            });
        } else {
            self.savepoints.push_back((request, name));
        }
    }

    pub(crate) fn request_suspend(&mut self, request: RequestId, savepoint: Option<String>) {
        match (&self.wanted, savepoint) {
            (Wanted::Run, savepoint) => {
                self.wanted = Wanted::Suspend {
                    savepoint: savepoint.map(|name| (request, name)),
                    claimed: false,
                };
            }
            (_, Some(name)) => {
                let state = "being suspended or cancelled".into();
                self.commands.push(Command::Answer {
                    request,
                    result: Err(SavepointError::NotRunning { name, state }),
                });
            }
            (_, None) => {}
        }
    }
}

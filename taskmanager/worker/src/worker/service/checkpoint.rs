//! A worker's part in checkpoints: segments up, acknowledgements out, and what was staged published.

use std::{sync::Arc, time::Duration};

use tidegate_core::{Attempt, Barrier, CheckpointId, Epoch, FaultPoint, sink::CommitRequest};

use super::{CommitOf, Event, Service};
use crate::{
    executor::Command,
    upload::{Upload, UploadError},
    worker::WorkerError,
};

/// How long a failed commit rests before it is tried again; doubles up to [`COMMIT_RETRY_MOST`].
const COMMIT_RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest rest between two tries to commit.
const COMMIT_RETRY_MOST: Duration = Duration::from_secs(5);

impl Service {
    pub(super) async fn trigger(&mut self, attempt: Attempt, barrier: Barrier) -> Result<(), WorkerError> {
        let Some(running) = self.current(attempt) else {
            return Ok(());
        };
        running.participant.begin(barrier.checkpoint);
        self.tell_all(attempt, &Command::Trigger(barrier));
        // A worker without tasks has nothing to wait for.
        self.upload_if_complete(attempt, barrier.checkpoint);
        Ok(())
    }

    pub(super) fn upload_if_complete(&mut self, attempt: Attempt, checkpoint: CheckpointId) {
        let job_root = self.worker.options.job_root.clone();
        let (store, faults) = (Arc::clone(&self.worker.store), self.worker.options.faults.clone());
        let (local, events) = (self.worker.local.clone(), self.events.clone());
        let Some(running) = self.current(attempt) else {
            return;
        };
        if !running.ledger.is_durable(checkpoint) {
            return;
        }
        let Some(mut parts) = running.participant.take_complete(checkpoint) else {
            return;
        };
        for (sink, task, committables) in running.ledger.up_to(checkpoint) {
            let operators = parts
                .iter_mut()
                .filter(|part| part.snapshot.task == task)
                .flat_map(|part| part.snapshot.operators.iter_mut());
            for (_, operator) in operators.filter(|(uid, _)| uid == sink) {
                operator.committables = committables.clone();
            }
        }
        let upload = Upload {
            store,
            job_root,
            attempt,
            worker: running.me,
            checkpoint,
            local,
            faults,
        };
        tokio::spawn(async move {
            let uploaded = upload.run(parts).await;
            let event = match uploaded {
                Err(UploadError::Died) => Event::Died,
                other => Event::Uploaded(attempt, checkpoint, other.map_err(|error| error.to_string())),
            };
            let _ = events.send(event);
        });
    }

    pub(super) fn upload_waiting(&mut self, attempt: Attempt) {
        let waiting = self
            .current(attempt)
            .map(|running| running.participant.pending())
            .unwrap_or_default();
        for checkpoint in waiting {
            self.upload_if_complete(attempt, checkpoint);
        }
    }

    pub(super) fn commit(&mut self, attempt: Attempt, checkpoint: CheckpointId, epoch: Epoch) {
        let Some(running) = self.current(attempt) else {
            return;
        };
        let lineage = running.deployment.lineage.clone();
        let requests = running
            .ledger
            .up_to(checkpoint)
            .map(|(sink, task, committables)| CommitRequest {
                lineage: lineage.clone(),
                sink: sink.clone(),
                epoch,
                task: task.index,
                committables,
            })
            .collect();
        self.spawn_commits(attempt, CommitOf::Checkpoint(checkpoint), requests);
    }

    /// Publishes in the background, again and again until it succeeds.
    pub(super) fn spawn_commits(&self, attempt: Attempt, of: CommitOf, requests: Vec<CommitRequest>) {
        let (program, events) = (Arc::clone(&self.worker.program), self.events.clone());
        let faults = self.worker.options.faults.clone();
        tokio::spawn(async move {
            for request in requests {
                let Some(committer) = program.committer(&request.sink, &faults) else {
                    continue;
                };
                let mut rest = COMMIT_RETRY_FIRST;
                while let Err(error) = committer.commit(request.clone()).await {
                    if faults.is_dead() {
                        let _ = events.send(Event::Died);
                        return;
                    }
                    let checkpoint = match of {
                        CommitOf::Restored => CheckpointId::default(),
                        CommitOf::Checkpoint(checkpoint) => checkpoint,
                    };
                    let reason = format!("sink {:?}: {error}", request.sink.as_str());
                    if events
                        .send(Event::CommitRetrying(attempt, checkpoint, reason))
                        .is_err()
                    {
                        return;
                    }
                    tokio::time::sleep(rest).await;
                    rest = (rest * 2).min(COMMIT_RETRY_MOST);
                }
            }
            let event = if faults.strikes(FaultPoint::AfterCommit) {
                Event::Died
            } else {
                Event::Committed(attempt, of)
            };
            let _ = events.send(event);
        });
    }
}

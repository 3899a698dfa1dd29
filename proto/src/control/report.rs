//! Reports to and from their messages.

use tidegate_core::{
    Attempt, CheckpointId, KeySpace, OperatorUid, Severity, TaskError, TaskId, VertexId,
    control::{WorkerReport, WorkerSnapshot},
};

use super::{
    holdup::{holdup_from_wire, holdup_to_wire},
    order::{checkpoint_only, splits_from_wire, splits_to_wire},
};
use crate::{
    convert::{bad, required, segment_from_wire, segment_to_wire, task_from_wire, task_to_wire},
    generated as wire,
    object::DecodeReason,
};

impl From<&WorkerReport> for wire::WorkerReport {
    fn from(report: &WorkerReport) -> Self {
        use wire::worker_report::Report;
        let content = match report {
            WorkerReport::Deployed { .. } => Report::Deployed(wire::Deployed {}),
            WorkerReport::SplitsDiscovered { node, splits, .. } => {
                Report::SplitsDiscovered(splits_to_wire(*node, splits))
            }
            WorkerReport::Ended { .. } => Report::Ended(wire::Ended {}),
            WorkerReport::Acknowledged {
                checkpoint, snapshot, ..
            } => Report::Acknowledged(wire::Acknowledged {
                checkpoint: checkpoint.0,
                segments: snapshot.segments.iter().map(segment_to_wire).collect(),
                tasks: snapshot.tasks.iter().map(task_to_wire).collect(),
            }),
            WorkerReport::Declined {
                checkpoint, reason, ..
            } => Report::Declined(wire::Declined {
                checkpoint: checkpoint.0,
                reason: reason.clone(),
            }),
            WorkerReport::Explained {
                checkpoint, holdup, ..
            } => Report::Explained(wire::Explained {
                checkpoint: checkpoint.0,
                holdup: Some(holdup_to_wire(holdup)),
            }),
            WorkerReport::Committed { checkpoint, .. } => Report::Committed(checkpoint_only(*checkpoint)),
            WorkerReport::CommitRetrying {
                checkpoint, reason, ..
            } => Report::CommitRetrying(wire::CommitRetrying {
                checkpoint: checkpoint.0,
                reason: reason.clone(),
            }),
            WorkerReport::Failed { error, .. } => Report::Failed(error_to_wire(error)),
            WorkerReport::Stopped { .. } => Report::Stopped(wire::Stopped {}),
        };
        Self {
            attempt: report.attempt().0,
            report: Some(content),
        }
    }
}

impl TryFrom<wire::WorkerReport> for WorkerReport {
    type Error = DecodeReason;

    fn try_from(report: wire::WorkerReport) -> Result<Self, DecodeReason> {
        use wire::worker_report::Report;
        let attempt = Attempt(report.attempt);
        Ok(match required("report", report.report)? {
            Report::Deployed(wire::Deployed {}) => Self::Deployed { attempt },
            Report::SplitsDiscovered(found) => {
                let (node, splits) = splits_from_wire(found);
                Self::SplitsDiscovered {
                    attempt,
                    node,
                    splits,
                }
            }
            Report::Ended(wire::Ended {}) => Self::Ended { attempt },
            Report::Acknowledged(acknowledged) => Self::Acknowledged {
                attempt,
                checkpoint: CheckpointId(acknowledged.checkpoint),
                snapshot: Box::new(snapshot_from_wire(acknowledged)?),
            },
            Report::Declined(declined) => Self::Declined {
                attempt,
                checkpoint: CheckpointId(declined.checkpoint),
                reason: declined.reason,
            },
            Report::Explained(explained) => Self::Explained {
                attempt,
                checkpoint: CheckpointId(explained.checkpoint),
                holdup: holdup_from_wire(required("explained.holdup", explained.holdup)?)?,
            },
            Report::Committed(of) => Self::Committed {
                attempt,
                checkpoint: CheckpointId(of.checkpoint),
            },
            Report::CommitRetrying(retrying) => Self::CommitRetrying {
                attempt,
                checkpoint: CheckpointId(retrying.checkpoint),
                reason: retrying.reason,
            },
            Report::Failed(error) => Self::Failed {
                attempt,
                error: error_from_wire(error)?,
            },
            Report::Stopped(wire::Stopped {}) => Self::Stopped { attempt },
        })
    }
}

fn snapshot_from_wire(acknowledged: wire::Acknowledged) -> Result<WorkerSnapshot, DecodeReason> {
    // The message does not say how many key groups the job has, so they are held to the most that any may have.
    let space = KeySpace::new(KeySpace::LIMIT).ok_or_else(|| bad("max_parallelism", KeySpace::LIMIT))?;
    let segments = acknowledged
        .segments
        .into_iter()
        .map(|segment| segment_from_wire(segment, space));
    Ok(WorkerSnapshot {
        segments: segments.collect::<Result<_, _>>()?,
        tasks: acknowledged.tasks.into_iter().map(task_from_wire).collect(),
    })
}

fn error_to_wire(error: &TaskError) -> wire::TaskError {
    let severity = match error.severity {
        Severity::Restart => wire::Severity::Restart,
        Severity::FailJob => wire::Severity::FailJob,
    };
    wire::TaskError {
        vertex: error.task.vertex.0,
        index: error.task.index,
        task_name: error.task_name.clone(),
        operator: error.operator.as_ref().map(|uid| uid.as_str().to_owned()),
        message: error.message.clone(),
        severity: severity.into(),
    }
}

fn error_from_wire(error: wire::TaskError) -> Result<TaskError, DecodeReason> {
    let severity = match wire::Severity::try_from(error.severity) {
        Ok(wire::Severity::Restart) => Severity::Restart,
        Ok(wire::Severity::FailJob) => Severity::FailJob,
        Ok(wire::Severity::Unspecified) | Err(_) => return Err(bad("failed.severity", error.severity)),
    };
    Ok(TaskError {
        task: TaskId {
            vertex: VertexId(error.vertex),
            index: error.index,
        },
        task_name: error.task_name,
        operator: error.operator.map(OperatorUid::new),
        message: error.message,
        severity,
    })
}

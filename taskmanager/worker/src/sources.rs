//! Which sources of a job a worker has to do with before their tasks can read.

use std::collections::BTreeSet;

use tidegate_core::{NodeId, TaskId, control::Manifest, plan::ExecutionPlan};

use crate::{
    program::{Discovery, JobProgram},
    restore,
};

/// The sources whose tasks on this worker must be told their splits.
pub(crate) fn with_tasks(program: &JobProgram, plan: &ExecutionPlan, tasks: &[TaskId]) -> BTreeSet<NodeId> {
    plan.vertices
        .iter()
        .filter(|vertex| tasks.iter().any(|task| task.vertex == vertex.id))
        .filter_map(|vertex| vertex.nodes.first().copied())
        .filter(|head| program.node(*head).factory.discovery().is_some())
        .collect()
}

/// The sources of which this worker runs task 0 and whose splits nobody knows yet, with their parallelism.
pub(crate) fn undiscovered(
    program: &JobProgram,
    plan: &ExecutionPlan,
    tasks: &[TaskId],
    restored: Option<&Manifest>,
) -> Vec<(NodeId, u32, Discovery)> {
    let known: Vec<NodeId> = restored
        .map(|manifest| {
            restore::splits(manifest, program)
                .into_iter()
                .map(|(node, _)| node)
                .collect()
        })
        .unwrap_or_default();
    plan.vertices
        .iter()
        .filter(|vertex| {
            tasks.contains(&TaskId {
                vertex: vertex.id,
                index: 0,
            })
        })
        .filter_map(|vertex| {
            let head = *vertex.nodes.first()?;
            let discovery = program
                .node(head)
                .factory
                .discovery()
                .filter(|_| !known.contains(&head))?;
            Some((head, vertex.parallelism, discovery))
        })
        .collect()
}

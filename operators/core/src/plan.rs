//! The execution plan: the job graph cut into chains, with a parallelism each, and the edges between them.
//!
//! Expansion is pure and deterministic, so that the coordinator and every worker make the same plan from the same graph.

use serde::{Deserialize, Serialize};

use crate::{
    graph::{JobGraph, NodeKind, Partitioning},
    id::{Attempt, ChannelId, NodeId, TaskId, VertexId},
};

/// A chain of fused operators.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vertex {
    /// Its place in the plan.
    pub id: VertexId,
    /// Its operators, head first; a chain may branch, so this is a tree in topological order.
    pub nodes: Vec<NodeId>,
    /// How many tasks run it.
    pub parallelism: u32,
    /// The names of its operators, joined.
    pub name: String,
    /// Whether it may block: each of its tasks has a thread of its own instead of its slot's.
    pub blocking: bool,
}

/// An edge between two chains.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanEdge {
    /// Its place in the plan.
    pub index: u32,
    /// The producing operator and which of its outputs.
    pub from: (NodeId, u16),
    /// The chain of the producing operator.
    pub from_vertex: VertexId,
    /// The consuming operator, the head of its chain, and which of its input slots.
    pub to: (NodeId, u8),
    /// The chain of the consuming operator.
    pub to_vertex: VertexId,
    /// How records are dealt. Never forward between chains of different parallelism.
    pub partitioning: Partitioning,
    /// The number of producer tasks.
    pub producers: u32,
    /// The number of consumer tasks.
    pub consumers: u32,
    first_channel: u64,
}

/// A job graph made parallel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExecutionPlan {
    /// The chains, producers before consumers.
    pub vertices: Vec<Vertex>,
    /// The edges between them.
    pub edges: Vec<PlanEdge>,
}

impl PlanEdge {
    /// The consumer tasks that producer task `producer` sends to.
    pub fn consumers_of(&self, producer: u32) -> std::ops::Range<u32> {
        match self.partitioning {
            Partitioning::Forward => producer..producer + 1,
            // Barriers and the end go to every task, though records of a global edge go to task 0 only.
            Partitioning::Hash | Partitioning::Rebalance | Partitioning::Broadcast | Partitioning::Global => {
                0..self.consumers
            }
        }
    }

    /// The producer tasks that consumer task `consumer` receives from.
    pub fn producers_of(&self, consumer: u32) -> std::ops::Range<u32> {
        match self.partitioning {
            Partitioning::Forward => consumer..consumer + 1,
            _ => 0..self.producers,
        }
    }

    /// The channel between two tasks in an attempt. No two attempts share one.
    pub fn channel(&self, attempt: Attempt, producer: u32, consumer: u32) -> ChannelId {
        let place =
            self.first_channel + u64::from(producer) * u64::from(self.consumers) + u64::from(consumer);
        ChannelId((u64::from(attempt.0) << 40) | place)
    }
}

impl ExecutionPlan {
    /// Expands a valid graph. Operators that do not say otherwise get `default_parallelism`, but never more than there
    /// are key groups.
    pub fn expand(graph: &JobGraph, default_parallelism: u32) -> Self {
        let default = default_parallelism.clamp(1, u32::from(graph.space.max_parallelism()));
        let parallelism = |id: NodeId| graph.node(id).parallelism.unwrap_or(default);
        let mut plan = Self {
            vertices: Vec::new(),
            edges: Vec::new(),
        };
        let mut vertex_of: Vec<VertexId> = Vec::with_capacity(graph.nodes.len());
        let mut next_channel = 0;
        for node in &graph.nodes {
            let fused = match node.inputs.as_slice() {
                [input]
                    if node.kind != NodeKind::TwoInput
                        && input.partitioning == Partitioning::Forward
                        && !input.blocking
                        && parallelism(input.from) == parallelism(node.id) =>
                {
                    Some(vertex_of[input.from.0 as usize])
                }
                _ => None,
            };
            if let Some(id) = fused {
                let vertex = &mut plan.vertices[id.0 as usize];
                vertex.nodes.push(node.id);
                vertex.name.push_str(" → ");
                vertex.name.push_str(&node.name);
                vertex_of.push(id);
                continue;
            }
            let id = VertexId(u32::try_from(plan.vertices.len()).unwrap_or(u32::MAX));
            plan.vertices.push(Vertex {
                id,
                nodes: vec![node.id],
                parallelism: parallelism(node.id),
                name: node.name.clone(),
                blocking: node.inputs.iter().any(|input| input.blocking),
            });
            vertex_of.push(id);
            for input in &node.inputs {
                let from_vertex = vertex_of[input.from.0 as usize];
                let (producers, consumers) = (parallelism(input.from), parallelism(node.id));
                let partitioning = match input.partitioning {
                    Partitioning::Forward if producers != consumers => Partitioning::Rebalance,
                    other => other,
                };
                plan.edges.push(PlanEdge {
                    index: u32::try_from(plan.edges.len()).unwrap_or(u32::MAX),
                    from: (input.from, input.port),
                    from_vertex,
                    to: (node.id, input.slot),
                    to_vertex: id,
                    partitioning,
                    producers,
                    consumers,
                    first_channel: next_channel,
                });
                next_channel += u64::from(producers) * u64::from(consumers);
            }
        }
        plan
    }

    /// A vertex by id.
    ///
    /// # Panics
    /// If the id is not of this plan.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0 as usize]
    }

    /// All tasks, in the order of their vertices.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.vertices.iter().flat_map(|vertex| {
            (0..vertex.parallelism).map(|index| TaskId {
                vertex: vertex.id,
                index,
            })
        })
    }

    /// The edges into a vertex, in the order of its head's inputs.
    pub fn inputs(&self, vertex: VertexId) -> impl Iterator<Item = &PlanEdge> {
        self.edges.iter().filter(move |edge| edge.to_vertex == vertex)
    }

    /// The edges out of a vertex.
    pub fn outputs(&self, vertex: VertexId) -> impl Iterator<Item = &PlanEdge> {
        self.edges.iter().filter(move |edge| edge.from_vertex == vertex)
    }

    /// Whether a vertex starts with a source.
    pub fn is_source(&self, vertex: VertexId) -> bool {
        self.inputs(vertex).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{GraphInput, GraphNode},
        key::KeySpace,
    };

    fn node(id: u32, kind: NodeKind, inputs: &[(u32, Partitioning)]) -> GraphNode {
        GraphNode {
            id: NodeId(id),
            name: format!("n{id}"),
            uid: format!("n{id}").as_str().into(),
            named: true,
            kind,
            parallelism: None,
            inputs: inputs
                .iter()
                .map(|(from, partitioning)| GraphInput {
                    from: NodeId(*from),
                    port: 0,
                    partitioning: *partitioning,
                    slot: 0,
                    blocking: false,
                })
                .collect(),
        }
    }

    fn graph(nodes: Vec<GraphNode>) -> JobGraph {
        JobGraph {
            name: "test".into(),
            space: KeySpace::DEFAULT,
            nodes,
        }
    }

    #[test]
    fn forward_edges_fuse_and_keyed_edges_cut() {
        use {NodeKind::*, Partitioning::*};
        let plan = ExecutionPlan::expand(
            &graph(vec![
                node(0, Source, &[]),
                node(1, Operator, &[(0, Forward)]),
                node(2, Operator, &[(1, Hash)]),
                node(3, Sink, &[(2, Forward)]),
            ]),
            3,
        );
        assert_eq!(
            plan.vertices.iter().map(|v| v.nodes.len()).collect::<Vec<_>>(),
            [2, 2]
        );
        assert_eq!(plan.edges.len(), 1);
        assert_eq!(plan.edges[0].consumers_of(2), 0..3);
        assert_eq!(plan.tasks().count(), 6);
    }

    #[test]
    fn a_union_is_the_head_of_its_own_chain() {
        use {NodeKind::*, Partitioning::*};
        let plan = ExecutionPlan::expand(
            &graph(vec![
                node(0, Source, &[]),
                node(1, Operator, &[(0, Forward)]),
                node(2, Operator, &[(0, Forward)]),
                node(3, Operator, &[(1, Forward), (2, Forward)]),
                node(4, Sink, &[(3, Forward)]),
            ]),
            2,
        );
        assert_eq!(plan.vertices.len(), 2);
        assert_eq!(plan.inputs(VertexId(1)).count(), 2);
        assert!(plan.edges.iter().all(|edge| edge.consumers_of(1) == (1..2)));
    }

    #[test]
    fn forward_between_different_parallelisms_rebalances() {
        use {NodeKind::*, Partitioning::*};
        let mut sink = node(1, Sink, &[(0, Forward)]);
        sink.parallelism = Some(1);
        let plan = ExecutionPlan::expand(&graph(vec![node(0, Source, &[]), sink]), 2);
        assert_eq!(plan.edges[0].partitioning, Rebalance);
    }

    #[test]
    fn a_blocking_chain_begins_where_it_is_said_and_goes_on_to_the_next_cut() {
        use {NodeKind::*, Partitioning::*};
        let mut slow = node(1, Operator, &[(0, Forward)]);
        slow.inputs[0].blocking = true;
        let plan = ExecutionPlan::expand(
            &graph(vec![
                node(0, Source, &[]),
                slow,
                node(2, Operator, &[(1, Forward)]),
                node(3, Sink, &[(2, Hash)]),
            ]),
            2,
        );
        let chains = plan.vertices.iter().map(|v| (v.nodes.len(), v.blocking));
        assert_eq!(chains.collect::<Vec<_>>(), [(1, false), (2, true), (1, false)]);
        assert_eq!(plan.edges[0].partitioning, Forward);
    }

    #[test]
    fn every_task_behind_a_global_edge_hears_of_barriers_and_the_end() {
        use {NodeKind::*, Partitioning::*};
        let plan = ExecutionPlan::expand(
            &graph(vec![node(0, Source, &[]), node(1, Sink, &[(0, Global)])]),
            3,
        );
        assert!((0..3).all(|consumer| plan.edges[0].producers_of(consumer) == (0..3)));
        assert!((0..3).all(|producer| plan.edges[0].consumers_of(producer) == (0..3)));
    }

    #[test]
    fn no_two_channels_share_an_id() {
        use {NodeKind::*, Partitioning::*};
        let plan = ExecutionPlan::expand(
            &graph(vec![
                node(0, Source, &[]),
                node(1, Operator, &[(0, Hash)]),
                node(2, Operator, &[(0, Broadcast)]),
                node(3, Operator, &[(1, Rebalance), (2, Hash)]),
                node(4, Sink, &[(3, Global)]),
            ]),
            4,
        );
        let mut ids: Vec<_> = [Attempt(1), Attempt(2)]
            .into_iter()
            .flat_map(|attempt| {
                plan.edges.iter().flat_map(move |edge| {
                    (0..edge.producers)
                        .flat_map(move |p| edge.consumers_of(p).map(move |c| edge.channel(attempt, p, c)))
                })
            })
            .collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}

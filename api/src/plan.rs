//! What a job will look like when it runs, for people and for programs.

mod mermaid;

use std::fmt;

use serde::Serialize;
use tidegate_core::{
    NodeId,
    graph::{JobGraph, NodeKind, Partitioning},
    plan::ExecutionPlan,
};

/// A job's graph, cut into chains with a parallelism each. Its [`Display`](fmt::Display) is for people; as JSON, which
/// [`to_json`](Self::to_json) gives, it is for programs, and [`to_mermaid`](Self::to_mermaid) draws it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The job's name.
    pub job: String,
    /// The number of key groups.
    pub max_parallelism: u16,
    /// Equal for equal graphs only, in hexadecimal.
    pub fingerprint: String,
    /// The chains, producers before consumers.
    pub chains: Vec<PlannedChain>,
    /// The edges between chains.
    pub edges: Vec<PlannedEdge>,
}

/// Operators fused on one thread.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedChain {
    /// Its place in the plan.
    pub id: u32,
    /// How many tasks run it.
    pub parallelism: u32,
    /// Its operators, head first.
    pub operators: Vec<PlannedOperator>,
}

/// One operator.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedOperator {
    /// Its name.
    pub name: String,
    /// What its state is found by.
    pub uid: String,
    /// Whether the uid was given rather than made up.
    pub named: bool,
    /// What it is.
    pub kind: NodeKind,
    /// The place in the chain of the operator whose output it takes; the head of a chain takes edges.
    pub fused_behind: Option<usize>,
}

/// An edge between two chains.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedEdge {
    /// The producing chain.
    pub from: u32,
    /// The place in it of the operator whose output it is.
    pub from_operator: usize,
    /// The output of its operator: 0 is the main one.
    pub port: u16,
    /// The consuming chain.
    pub to: u32,
    /// How records are dealt.
    pub partitioning: Partitioning,
    /// How many channels it has.
    pub channels: u64,
}

impl Plan {
    pub(crate) fn of(graph: &JobGraph, parallelism: u32) -> Self {
        let plan = ExecutionPlan::expand(graph, parallelism);
        let chains = plan.vertices.iter().map(|vertex| PlannedChain {
            id: vertex.id.0,
            parallelism: vertex.parallelism,
            operators: vertex
                .nodes
                .iter()
                .map(|id| {
                    let node = graph.node(*id);
                    PlannedOperator {
                        name: node.name.clone(),
                        uid: node.uid.to_string(),
                        named: node.named,
                        kind: node.kind,
                        fused_behind: node
                            .inputs
                            .first()
                            .and_then(|input| place(&vertex.nodes, input.from)),
                    }
                })
                .collect(),
        });
        let edges = plan.edges.iter().map(|edge| PlannedEdge {
            from: edge.from_vertex.0,
            from_operator: place(&plan.vertex(edge.from_vertex).nodes, edge.from.0).unwrap_or_default(),
            port: edge.from.1,
            to: edge.to_vertex.0,
            partitioning: edge.partitioning,
            channels: (0..edge.producers)
                .map(|producer| edge.consumers_of(producer).count() as u64)
                .sum(),
        });
        Self {
            job: graph.name.clone(),
            max_parallelism: graph.space.max_parallelism(),
            fingerprint: format!("{:016x}", graph.fingerprint()),
            chains: chains.collect(),
            edges: edges.collect(),
        }
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a plan is made of strings, numbers and lists")
    }
}

fn place(nodes: &[NodeId], node: NodeId) -> Option<usize> {
    nodes.iter().position(|other| *other == node)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "job {:?}, max parallelism {}, graph {}",
            self.job, self.max_parallelism, self.fingerprint
        )?;
        for chain in &self.chains {
            writeln!(f, "\nchain {} × {}", chain.id, chain.parallelism)?;
            for edge in self.edges.iter().filter(|edge| edge.to == chain.id) {
                write!(f, "  ← {} from chain {}", edge.partitioning, edge.from)?;
                if edge.port > 0 {
                    write!(f, ", side output {}", edge.port)?;
                }
                writeln!(
                    f,
                    " ({} channel{})",
                    edge.channels,
                    if edge.channels == 1 { "" } else { "s" }
                )?;
            }
            for operator in &chain.operators {
                let kind = match operator.kind {
                    NodeKind::Source => "source",
                    NodeKind::Operator => "operator",
                    NodeKind::TwoInput => "operator with two inputs",
                    NodeKind::Sink => "sink",
                };
                write!(f, "  {} ({kind}", operator.name)?;
                if operator.named && operator.uid != operator.name {
                    write!(f, ", uid {}", operator.uid)?;
                }
                writeln!(f, ")")?;
            }
        }
        Ok(())
    }
}

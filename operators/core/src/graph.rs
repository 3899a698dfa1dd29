//! The job graph: what a user wrote, before it is expanded into parallel tasks.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    id::{NodeId, OperatorUid},
    key::{KeySpace, hash_bytes},
};

/// How records find the task of the next operator that takes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// To the task with the same index. Fused into one chain where possible.
    Forward,
    /// By the key group of the record's key.
    Hash,
    /// Round robin.
    Rebalance,
    /// To every task.
    Broadcast,
    /// To task 0.
    Global,
}

impl fmt::Display for Partitioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Hash => "hash",
            Self::Rebalance => "rebalance",
            Self::Broadcast => "broadcast",
            Self::Global => "global",
        })
    }
}

/// What a node does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// Has no input.
    Source,
    /// Has one input, possibly a union of several streams of one type.
    Operator,
    /// Has two inputs of different types.
    TwoInput,
    /// Has no output.
    Sink,
}

/// One input of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GraphInput {
    /// Where it comes from.
    pub from: NodeId,
    /// Which of that node's outputs: 0 is the main one, others are side outputs.
    pub port: u16,
    /// How records are dealt.
    pub partitioning: Partitioning,
    /// Which input slot of this node: 0, or 1 for the right side of a two-input node. Several inputs on one slot are a
    /// union.
    pub slot: u8,
    /// Whether the chain that takes it may block: it starts here, and each of its tasks has a thread of its own.
    #[serde(default)]
    pub blocking: bool,
}

/// A logical operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its place in the graph.
    pub id: NodeId,
    /// The name people see.
    pub name: String,
    /// The name its state is found by; every source, sink and stateful operator has one from the user, others have
    /// one made from their place.
    pub uid: OperatorUid,
    /// Whether the user gave the uid.
    pub named: bool,
    /// What it does.
    pub kind: NodeKind,
    /// How many tasks it wants; `None` is the job's default.
    pub parallelism: Option<u32>,
    /// Its inputs.
    pub inputs: Vec<GraphInput>,
}

/// A job as a graph of logical operators, in an order in which every node comes after its inputs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobGraph {
    /// The job's name.
    pub name: String,
    /// Its key groups.
    pub space: KeySpace,
    /// Its nodes; a node's id is its index.
    pub nodes: Vec<GraphNode>,
}

/// What is wrong with a graph.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GraphError {
    /// Two nodes have the same uid.
    #[error(
        "two operators are both named {uid:?}: {first} and {second}; give each its own name, state is found by it"
    )]
    DuplicateUid {
        /// The name.
        uid: String,
        /// The first node that has it.
        first: String,
        /// The second.
        second: String,
    },
    /// There is nothing to run.
    #[error("the job has no source; start a stream with `env.source(name, …)`")]
    NoSource,
    /// A parallelism of zero, or above the number of key groups.
    #[error(
        "operator {node:?} asks for a parallelism of {parallelism}; it must be between 1 and max_parallelism, {max}"
    )]
    Parallelism {
        /// The node.
        node: String,
        /// What it asks for.
        parallelism: u32,
        /// What is possible.
        max: u16,
    },
    /// An output of a node that nothing reads and that is not a sink.
    #[error(
        "the output of {node:?} goes nowhere; end the stream in a sink, `.discard()` if it is not wanted"
    )]
    Dangling {
        /// The node.
        node: String,
    },
}

impl JobGraph {
    /// A node by id.
    ///
    /// # Panics
    /// If the id is not of this graph.
    pub fn node(&self, id: NodeId) -> &GraphNode {
        &self.nodes[id.0 as usize]
    }

    /// A number that two graphs share only if they are the same in every respect.
    pub fn fingerprint(&self) -> u64 {
        hash_bytes(format!("{self:?}").as_bytes())
    }

    /// Checks what can be checked before the job runs.
    pub fn validate(&self) -> Result<(), GraphError> {
        if !self.nodes.iter().any(|node| node.kind == NodeKind::Source) {
            return Err(GraphError::NoSource);
        }
        let mut seen: HashMap<&OperatorUid, &GraphNode> = HashMap::new();
        for node in &self.nodes {
            if let Some(first) = seen.insert(&node.uid, node) {
                return Err(GraphError::DuplicateUid {
                    uid: node.uid.to_string(),
                    first: first.name.clone(),
                    second: node.name.clone(),
                });
            }
            let max = self.space.max_parallelism();
            if let Some(parallelism) = node.parallelism.filter(|p| !(1..=u32::from(max)).contains(p)) {
                return Err(GraphError::Parallelism {
                    node: node.name.clone(),
                    parallelism,
                    max,
                });
            }
        }
        let dangling = self.nodes.iter().find(|node| {
            node.kind != NodeKind::Sink
                && !self
                    .nodes
                    .iter()
                    .any(|other| other.inputs.iter().any(|input| input.from == node.id))
        });
        match dangling {
            Some(node) => Err(GraphError::Dangling {
                node: node.name.clone(),
            }),
            None => Ok(()),
        }
    }
}

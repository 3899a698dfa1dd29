//! A job's plan.

use serde::Serialize;
use utoipa::ToSchema;

/// A job's plan: its operators, fused to chains.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// The job.
    pub jid: String,
    /// Its name.
    pub name: String,
    /// Always `STREAMING`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The fingerprint of its graph, in hexadecimal.
    pub fingerprint: String,
    /// Its chains, producers before consumers.
    pub nodes: Vec<PlanNode>,
}

/// A chain of operators.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct PlanNode {
    /// Its number.
    pub id: String,
    /// How many tasks run it.
    pub parallelism: u32,
    /// The uids of its operators, head first.
    pub operators: Vec<String>,
    /// The names of its operators, head first.
    pub description: String,
    /// Where its records come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PlanInput>,
}

/// An edge into a chain.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct PlanInput {
    /// Which of the inputs.
    pub num: usize,
    /// The chain that it comes from.
    pub id: String,
    /// How records are dealt.
    pub ship_strategy: String,
    /// Always `pipelined_bounded`.
    pub exchange: &'static str,
}

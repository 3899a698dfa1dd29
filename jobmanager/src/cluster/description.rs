//! What an executable says of its job, and what follows for a cluster.

use serde::Deserialize;
use tidegate_core::{
    graph::{JobGraph, NodeKind},
    plan::ExecutionPlan,
};
use tidegate_proto::control::ProtocolRange;

/// What an executable says of its job. It comes from a process of somebody else's: nothing in it is believed.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct JobFacts {
    pub(crate) name: String,
    pub(crate) graph: JobGraph,
    pub(crate) target: String,
}

#[derive(Deserialize)]
struct Described {
    job: String,
    graph: JobGraph,
    target: String,
    protocol: DescribedProtocol,
}

#[derive(Deserialize)]
struct DescribedProtocol {
    name: String,
    oldest: u32,
    newest: u32,
}

/// Reads what an executable printed.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(crate) fn read(text: &str) -> Result<JobFacts, String> {
    let described: Described = serde_json::from_str(text).map_err(|error| {
        format!(
            "the executable does not describe a job ({error}); build it with a release of tidegate that can"
        )
    })?;
    let protocol = ProtocolRange {
        name: described.protocol.name,
        oldest: described.protocol.oldest,
        newest: described.protocol.newest,
    };
    ProtocolRange::worker_control()
        .agree_with(&protocol)
        .map_err(|error| error.to_string())?;
    check(&described.graph)?;
    Ok(JobFacts {
        name: described.job,
        graph: described.graph,
        target: described.target,
    })
}

/// Reads a graph that was described before.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_graph(text: &str) -> Result<JobGraph, String> {
    let graph: JobGraph = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check(&graph)?;
    Ok(graph)
}

/// What expanding a graph relies on.
fn check(graph: &JobGraph) -> Result<(), String> {
    let wrong = |what: &str| {
        Err(format!(
            "the executable describes a graph in which {what}; build the job again"
        ))
    };
    if graph.nodes.is_empty() {
        return wrong("there is nothing");
    }
    for (place, node) in graph.nodes.iter().enumerate() {
        if node.id.0 as usize != place {
            return wrong("a node is not where its id says");
        }
        if node.inputs.iter().any(|input| input.from.0 as usize >= place) {
            return wrong("a node comes before one of its inputs");
        }
        if node.inputs.is_empty() != (node.kind == NodeKind::Source) {
            return wrong("a source has an input, or something else has none");
        }
    }
    graph.validate().map_err(|error| error.to_string())
}

/// How many slots a job takes: one for each place that its tasks share, so as many as its widest vertex has tasks.
pub(crate) fn slots(plan: &ExecutionPlan) -> u32 {
    plan.vertices
        .iter()
        .map(|vertex| vertex.parallelism)
        .max()
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_core::graph::Partitioning;

    use super::*;

    fn graph() -> Value {
        let input = json!({
            "from": 0, "port": 0, "partitioning": serde_json::to_value(Partitioning::Rebalance).unwrap(), "slot": 0,
        });
        let node = |id: u32, kind: NodeKind, inputs: Value| {
            json!({
                "id": id, "name": format!("node-{id}"), "uid": format!("node-{id}"), "named": true,
                "kind": serde_json::to_value(kind).unwrap(), "parallelism": (id == 1).then_some(3), "inputs": inputs,
            })
        };
        json!({
            "name": "job", "space": serde_json::to_value(tidegate_core::KeySpace::DEFAULT).unwrap(),
            "nodes": [node(0, NodeKind::Source, json!([])), node(1, NodeKind::Sink, json!([input]))],
        })
    }

    fn described(change: impl FnOnce(&mut Value)) -> Result<JobFacts, String> {
        let mut value = json!({
            "job": "counts", "graph": graph(), "target": "x86_64-linux",
            "protocol": {"name": "tidegate.worker", "oldest": 1, "newest": 1},
        });
        change(&mut value);
        read(&value.to_string())
    }

    #[test]
    fn a_job_takes_as_many_slots_as_its_widest_vertex_has_tasks() {
        let facts = described(|_| {}).unwrap();
        assert_eq!(facts.name, "counts");
        for (parallelism, expected) in [(1, 3), (3, 3), (8, 8)] {
            assert_eq!(slots(&ExecutionPlan::expand(&facts.graph, parallelism)), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 6] = [
            (|it| it["graph"] = json!("none"), "does not describe a job"),
            (
                |it| it["protocol"]["newest"] = json!(0),
                "tidegate.worker version",
            ),
            (|it| it["graph"]["nodes"] = json!([]), "there is nothing"),
            (
                |it| it["graph"]["nodes"][1]["id"] = json!(7),
                "not where its id says",
            ),
            (
                |it| it["graph"]["nodes"][1]["inputs"][0]["from"] = json!(1),
                "before one of its inputs",
            ),
            (
                |it| it["graph"]["nodes"][1]["inputs"] = json!([]),
                "something else has none",
            ),
        ];
        for (change, says) in cases {
            let refused = described(change).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
        assert!(read("not even JSON").is_err());
    }
}

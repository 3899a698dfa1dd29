//! The job that is simulated: one source, as many tasks as the seed says.

use std::{sync::Arc, time::Duration};

use tidegate_coordinator::{
    CheckpointOptions, CoordinatorOptions, JobDescription, Requirement, RestartStrategy, StartMode,
};
use tidegate_core::{
    KeySpace, Lineage, NodeId,
    graph::{GraphNode, JobGraph, NodeKind},
};

pub(crate) fn options(leader: usize, workers: u32, tasks: u32, seed: u64) -> CoordinatorOptions {
    let node = GraphNode {
        id: NodeId(0),
        name: "n0".into(),
        uid: "n0".into(),
        named: true,
        kind: NodeKind::Source,
        parallelism: None,
        inputs: vec![],
    };
    CoordinatorOptions {
        description: JobDescription {
            job: "simulated".into(),
            graph: Arc::new(JobGraph {
                name: "simulated".into(),
                space: KeySpace::new(4096).expect("a power of two within limits"),
                nodes: vec![node],
            }),
            default_parallelism: Some(tasks),
            arguments: vec![],
        },
        leader: format!("leader {leader}"),
        fresh_lineage: Lineage::new(format!("lineage {leader}")),
        start: StartMode::Resume,
        requirement: Requirement::Workers(workers),
        adoption: None,
        checkpoints: CheckpointOptions {
            interval: Duration::from_millis(700),
            timeout: Duration::from_millis(2500),
            minimum_pause: Duration::from_millis(50),
            tolerable_failures: 2,
            retained: 2,
        },
        restart: RestartStrategy::ExponentialDelay {
            initial: Duration::from_millis(50),
            max: Duration::from_millis(2000),
            multiplier: 2.0,
            jitter: 0.3,
            reset_after: Duration::from_secs(10),
            attempts: None,
        },
        stop_timeout: Duration::from_secs(30),
        allow_non_restored_state: false,
        seed,
    }
}

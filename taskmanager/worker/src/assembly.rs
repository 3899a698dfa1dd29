//! From a deployment to this worker's tasks: channels are made first, then each task is built on its own executor.

use std::{collections::HashMap, sync::Arc};

use object_store::{ObjectStore, path::Path};
use tidegate_core::{
    CheckpointId, EventTime, Faults, Io, NamedTask, NodeId, OperatorContext, OperatorUid, Severity,
    TaskError, TaskId, TaskProbe, WorkerId,
    chain::ChainError,
    control::{Deployment, Manifest, Placement},
    graph::{NodeKind, Partitioning},
    metrics::{MetricNames, TaskMetrics},
    plan::{ExecutionPlan, PlanEdge},
};
use tidegate_exchange::{
    AnyEdge, AttemptOptions, Identity, Network, ReadySet, ReceiverEnd, SenderEnd, TaskWaker, WriterOptions,
};
use tokio::runtime::Handle;

use crate::{
    clock::Clock,
    executor::Assembly,
    head::ChainHead,
    local_segments::LocalSegments,
    metrics::{TaskMetricsEntry, Traffic},
    program::{AnyPush, BuiltNode, JobProgram, NodeParts},
    restore::{self, Hearing},
    segments::{ReadBytes, Segments},
    task::{EdgeFeed, Feed, SourceState, Task, TaskInput, TaskOutput, TaskParts, Upstream},
    watch::{ThreadWatch, WatchedTask},
};

/// What a worker's share is made from.
pub(crate) struct AssemblyParts {
    pub(crate) me: WorkerId,
    pub(crate) program: Arc<JobProgram>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) slots: u32,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) job_root: Path,
    /// Copies of what this worker wrote.
    pub(crate) local: Option<Arc<LocalSegments>>,
    /// Counts what is restored.
    pub(crate) read: Arc<ReadBytes>,
    pub(crate) network: Option<Arc<Network>>,
    pub(crate) io: Arc<dyn Io>,
    pub(crate) handle: Handle,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
}

/// A worker's share of a deployment.
pub(crate) struct Share {
    pub(crate) plan: Arc<ExecutionPlan>,
    pub(crate) tasks: Vec<TaskId>,
    /// The slots', then one for each task of a blocking chain.
    pub(crate) threads: Vec<ThreadShare>,
    pub(crate) metrics: Vec<TaskMetricsEntry>,
}

/// What one executor thread gets of a deployment: a slot's tasks, or a task of a blocking chain.
pub(crate) struct ThreadShare {
    /// The thread's name.
    pub(crate) name: String,
    pub(crate) ready: Arc<ReadySet>,
    pub(crate) watch: Arc<ThreadWatch>,
    /// What builds its tasks.
    pub(crate) assemblies: Vec<Assembly>,
}

/// Why a deployment cannot be put in place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssemblyError {
    #[error("the deployment places tasks on slot {slot} of this worker, which has {slots}")]
    Slot { slot: u32, slots: u32 },
    #[error("the deployment has {workers} workers, but this one has no data port; start it with one")]
    NoNetwork { workers: usize },
    #[error(transparent)]
    Network(#[from] tidegate_exchange::NetworkError),
}

/// The ends of the channels that meet in this worker's tasks.
#[derive(Default)]
struct Ends {
    /// By edge and producer task, in the order of the consumers.
    writers: HashMap<(u32, u32), Vec<SenderEnd>>,
    /// By edge and consumer task, in the order of the producers.
    readers: HashMap<(u32, u32), Vec<ReceiverEnd>>,
}

/// Makes the share of worker `me`.
pub(crate) fn assemble(parts: AssemblyParts) -> Result<Share, AssemblyError> {
    let deployment = &parts.deployment;
    let plan = Arc::new(ExecutionPlan::expand(
        parts.program.graph(),
        deployment.default_parallelism,
    ));
    let placement = Placement::of_seats(&deployment.seats);
    let mut by_thread: Vec<Vec<TaskId>> = vec![Vec::new(); parts.slots as usize];
    let mut alone = Vec::new();
    for task in plan.tasks() {
        let (worker, slot) = placement.of(task);
        if worker == parts.me {
            let tasks = by_thread.get_mut(slot as usize);
            let tasks = tasks.ok_or(AssemblyError::Slot {
                slot,
                slots: parts.slots,
            })?;
            if plan.vertex(task.vertex).blocking {
                alone.push(vec![task]);
            } else {
                tasks.push(task);
            }
        }
    }
    by_thread.append(&mut alone);
    let sets: Vec<Arc<ReadySet>> = by_thread
        .iter()
        .map(|tasks| ReadySet::new(tasks.len().max(1)))
        .collect();
    let mut wakers = HashMap::new();
    for (set, tasks) in sets.iter().zip(&by_thread) {
        wakers.extend(
            tasks
                .iter()
                .enumerate()
                .map(|(place, task)| (*task, set.waker(place))),
        );
    }
    let mut ends = Ends::default();
    for edge in &plan.edges {
        ends.connect(edge, &parts, &plan, &placement, &wakers)?;
    }
    let segments = deployment.restore.as_ref().map(|manifest| {
        let segments = manifest.segments.clone();
        let segments = Segments::new(
            Arc::clone(&parts.store),
            parts.job_root.clone(),
            segments,
            parts.handle.clone(),
        );
        Arc::new(segments.with_copies(parts.local.clone(), Arc::clone(&parts.read)))
    });
    let shared = Arc::new(parts);
    let metric_names = Arc::<MetricNames>::default();
    let mut share = Share {
        plan: Arc::clone(&plan),
        tasks: Vec::new(),
        threads: Vec::new(),
        metrics: Vec::new(),
    };
    for (thread, (set, tasks)) in sets.into_iter().zip(by_thread).enumerate() {
        let may_block = thread >= shared.slots as usize;
        let mut assemblies: Vec<Assembly> = Vec::with_capacity(tasks.len());
        let mut watched = Vec::with_capacity(tasks.len());
        for task in tasks {
            let metrics = Arc::new(TaskMetrics::sharing(Arc::clone(&metric_names)));
            let writers = take(&mut ends.writers, plan.outputs(task.vertex), task.index);
            let readers = take(&mut ends.readers, plan.inputs(task.vertex), task.index);
            let vertex = plan.vertex(task.vertex);
            let mut kinds = vertex
                .nodes
                .iter()
                .map(|node| shared.program.graph().node(*node).kind);
            share.metrics.push(TaskMetricsEntry {
                task,
                name: vertex.name.clone(),
                is_source: plan.is_source(task.vertex),
                is_sink: kinds.any(|kind| kind == NodeKind::Sink),
                metrics: Arc::clone(&metrics),
                traffic: Traffic::of(writers.values().flatten(), readers.values().flatten()),
                clock: shared.clock,
            });
            share.tasks.push(task);
            let probe = TaskProbe::new(shared.clock.time_at(shared.clock.nanos()));
            probe.set_waker(wakers[&task].clone().into());
            watched.push(WatchedTask {
                task: NamedTask {
                    task,
                    name: plan.vertex(task.vertex).name.clone(),
                },
                probe: Arc::clone(&probe),
            });
            let builder = TaskBuilder {
                parts: Arc::clone(&shared),
                plan: Arc::clone(&plan),
                task,
                waker: wakers[&task].clone(),
                metrics,
                probe,
                segments: segments.clone(),
                writers,
                readers,
                outputs: Vec::new(),
            };
            assemblies.push(Box::new(move || builder.build()));
        }
        let name = match watched.first() {
            Some(watched) if may_block => format!("blocking-{}", watched.task.task),
            _ => format!("slot-{thread}"),
        };
        let watch = if may_block {
            ThreadWatch::of_blocking_chain(watched)
        } else {
            ThreadWatch::new(watched)
        };
        share.threads.push(ThreadShare {
            name,
            ready: set,
            watch,
            assemblies,
        });
    }
    Ok(share)
}

fn take<'a, E>(
    ends: &mut HashMap<(u32, u32), Vec<E>>,
    edges: impl Iterator<Item = &'a PlanEdge>,
    task: u32,
) -> HashMap<u32, Vec<E>> {
    edges
        .map(|edge| (edge.index, ends.remove(&(edge.index, task)).unwrap_or_default()))
        .collect()
}

/// The code of a plan edge: that of the graph input it was made from.
fn code<'a>(program: &'a JobProgram, plan: &ExecutionPlan, edge: &PlanEdge) -> &'a Arc<dyn AnyEdge> {
    // A cut node has one plan edge per graph input, in order.
    let place = plan.edges[..edge.index as usize]
        .iter()
        .filter(|earlier| earlier.to.0 == edge.to.0)
        .count();
    &program.node(edge.to.0).inputs[place]
}

impl Ends {
    fn connect(
        &mut self,
        edge: &PlanEdge,
        parts: &AssemblyParts,
        plan: &ExecutionPlan,
        placement: &Placement,
        wakers: &HashMap<TaskId, TaskWaker>,
    ) -> Result<(), AssemblyError> {
        let code = code(&parts.program, plan, edge);
        let workers = parts.deployment.workers.len();
        let network = || parts.network.as_ref().ok_or(AssemblyError::NoNetwork { workers });
        let attempt = parts.deployment.attempt;
        for producer in 0..edge.producers {
            let from = TaskId {
                vertex: edge.from_vertex,
                index: producer,
            };
            let (from_worker, _) = placement.of(from);
            // In the order of the consumers; those on one other worker share a channel where all get the same.
            let mut links: Vec<(WorkerId, Vec<u32>)> = Vec::new();
            for consumer in edge.consumers_of(producer) {
                let vertex = edge.to_vertex;
                let (to_worker, _) = placement.of(TaskId {
                    vertex,
                    index: consumer,
                });
                let is_shared = edge.partitioning == Partitioning::Broadcast && to_worker != from_worker;
                match links
                    .iter_mut()
                    .find(|(worker, _)| is_shared && *worker == to_worker)
                {
                    Some((_, consumers)) => consumers.push(consumer),
                    None => links.push((to_worker, vec![consumer])),
                }
            }
            for (to_worker, consumers) in links {
                if from_worker == to_worker {
                    if from_worker == parts.me {
                        let to = TaskId {
                            vertex: edge.to_vertex,
                            index: consumers[0],
                        };
                        let (sender, receiver) = code.local(wakers[&from].clone(), wakers[&to].clone());
                        self.writers
                            .entry((edge.index, producer))
                            .or_default()
                            .push(sender);
                        self.readers
                            .entry((edge.index, consumers[0]))
                            .or_default()
                            .push(receiver);
                    }
                    continue;
                }
                let channel = edge.channel(attempt, producer, consumers[0]);
                if from_worker == parts.me {
                    let sender = network()?.open_sender(to_worker, channel, wakers[&from].clone())?;
                    self.writers
                        .entry((edge.index, producer))
                        .or_default()
                        .push(SenderEnd::Remote(sender));
                } else if to_worker == parts.me {
                    let wakers: Vec<TaskWaker> = consumers
                        .iter()
                        .map(|index| {
                            wakers[&TaskId {
                                vertex: edge.to_vertex,
                                index: *index,
                            }]
                                .clone()
                        })
                        .collect();
                    let receivers = network()?.open_broadcast_receivers(from_worker, channel, &wakers)?;
                    for (consumer, receiver) in consumers.into_iter().zip(receivers) {
                        let ends = self.readers.entry((edge.index, consumer)).or_default();
                        ends.push(ReceiverEnd::Remote(receiver));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tells the network of a new attempt and its peers.
pub(crate) fn begin_attempt(network: &Network, me: WorkerId, deployment: &Deployment) {
    network.begin_attempt(AttemptOptions {
        identity: Identity {
            job: deployment.job.clone(),
            generation: deployment.generation,
            attempt: deployment.attempt,
            worker: me,
            graph_fingerprint: deployment.graph_fingerprint,
        },
        workers: deployment
            .workers
            .iter()
            .filter_map(|worker| Some((worker.worker, worker.data?)))
            .collect(),
    });
}

/// Builds one task on its executor.
struct TaskBuilder {
    parts: Arc<AssemblyParts>,
    plan: Arc<ExecutionPlan>,
    task: TaskId,
    waker: TaskWaker,
    metrics: Arc<TaskMetrics>,
    probe: Arc<TaskProbe>,
    segments: Option<Arc<Segments>>,
    writers: HashMap<u32, Vec<SenderEnd>>,
    readers: HashMap<u32, Vec<ReceiverEnd>>,
    outputs: Vec<TaskOutput>,
}

/// Why a task could not be built.
enum BuildError {
    Chain(ChainError),
    Restore(restore::RestoreError),
    Other(String),
}

impl From<ChainError> for BuildError {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl TaskBuilder {
    fn build(mut self) -> Result<Task, TaskError> {
        let (task, name) = (self.task, self.plan.vertex(self.task.vertex).name.clone());
        self.try_build().map_err(|error| {
            let (operator, message, severity) = match error {
                BuildError::Chain(error) => {
                    (Some(error.operator), error.error.to_string(), Severity::Restart)
                }
                // The same snapshot would be refused again.
                BuildError::Restore(error) => (None, error.to_string(), Severity::FailJob),
                BuildError::Other(message) => (None, message, Severity::Restart),
            };
            TaskError {
                task,
                task_name: name,
                operator,
                message,
                severity,
            }
        })
    }

    fn try_build(&mut self) -> Result<Task, BuildError> {
        let vertex = self.plan.vertex(self.task.vertex).clone();
        let clock = self.parts.clock;
        let probe = Arc::clone(&self.probe);
        let restore = self.parts.deployment.restore.clone();
        let head_uid = self.parts.program.graph().node(vertex.nodes[0]).uid.clone();
        let watermark = restore.as_deref().map_or(EventTime::MIN, |manifest| {
            let edges = || self.plan.inputs(vertex.id);
            let hearing = if self.plan.is_source(vertex.id)
                || edges().any(|edge| edge.partitioning == Partitioning::Forward)
            {
                Hearing::OneProducer
            } else {
                Hearing::AllProducers
            };
            let task = (self.task.index, vertex.parallelism);
            restore::watermark(manifest, &head_uid, task, hearing)
        });
        probe.set_watermark(watermark);
        let restored = restore
            .as_deref()
            .map_or(CheckpointId::default(), |manifest| manifest.checkpoint);
        let feed = match self.build_chain(&vertex.nodes, &probe)? {
            BuiltNode::Source(mut head) => {
                self.fill(head.as_mut(), restore.as_deref())?;
                Feed::Source {
                    head,
                    state: SourceState::Preparing {
                        assigned: false,
                        started: false,
                    },
                }
            }
            BuiltNode::Head(mut head) => {
                self.fill(head.as_mut(), restore.as_deref())?;
                Feed::Edges(EdgeFeed::new(head, self.inputs()?, restored, watermark))
            }
            BuiltNode::Push { push, into_head } => {
                let mut head = into_head(push);
                self.fill(head.as_mut(), restore.as_deref())?;
                Feed::Edges(EdgeFeed::new(head, self.inputs()?, restored, watermark))
            }
        };
        Ok(Task::new(TaskParts {
            id: self.task,
            name: vertex.name,
            feed,
            restored,
            waker: self.waker.clone().into(),
            clock,
            probe,
            metrics: Arc::clone(&self.metrics),
            outputs: std::mem::take(&mut self.outputs),
            faults: self.parts.faults.clone(),
        }))
    }

    fn inputs(&mut self) -> Result<Vec<TaskInput>, BuildError> {
        let plan = Arc::clone(&self.plan);
        plan.inputs(self.task.vertex)
            .map(|edge| {
                let ends = self.readers.remove(&edge.index).unwrap_or_default();
                let reader = code(&self.parts.program, &plan, edge)
                    .reader(ends)
                    .map_err(|error| BuildError::Other(error.to_string()))?;
                Ok(TaskInput {
                    slot: edge.to.1,
                    upstream: Upstream {
                        vertex: edge.from_vertex,
                        name: plan.vertex(edge.from_vertex).name.clone(),
                        first: edge.producers_of(self.task.index).start,
                    },
                    reader,
                })
            })
            .collect()
    }

    /// Builds the chain's operators, last first.
    fn build_chain(&mut self, nodes: &[NodeId], probe: &Arc<TaskProbe>) -> Result<BuiltNode, BuildError> {
        let parts = Arc::clone(&self.parts);
        let graph = parts.program.graph();
        let mut links: HashMap<(NodeId, u16), Vec<AnyPush>> = HashMap::new();
        for (place, id) in nodes.iter().enumerate().rev() {
            let node = graph.node(*id);
            let code = parts.program.node(*id);
            let outputs = code.ports.iter().enumerate().map(|(port, any)| {
                let port = u16::try_from(port).unwrap_or(u16::MAX);
                // Links were found consumer by consumer from the last: put them back in order.
                let mut behind = links.remove(&(*id, port)).unwrap_or_default();
                behind.reverse();
                behind.extend(self.writers_of(*id, port, &node.uid)?);
                Ok(Some(any.join(behind)))
            });
            let outputs = outputs.collect::<Result<Vec<_>, BuildError>>()?;
            let context = OperatorContext::new(
                node.uid.clone(),
                self.task,
                self.plan.vertex(self.task.vertex).parallelism,
                graph.space,
                Arc::clone(&parts.io),
                Arc::clone(&self.metrics),
                Arc::clone(probe),
            );
            let built = code.factory.build(NodeParts {
                context,
                lineage: parts.deployment.lineage.clone(),
                attempt: parts.deployment.attempt,
                outputs,
            });
            let built = built.map_err(|error| ChainError {
                operator: node.uid.clone(),
                error,
            })?;
            match (place, built, node.inputs.first()) {
                (0, built, _) => return Ok(built),
                (_, BuiltNode::Push { push, .. }, Some(input)) => {
                    links.entry((input.from, input.port)).or_default().push(push);
                }
                _ => {
                    return Err(BuildError::Other(format!(
                        "operator {:?} cannot be fused",
                        node.name
                    )));
                }
            }
        }
        Err(BuildError::Other("a chain has at least one operator".to_owned()))
    }

    fn writers_of(&mut self, node: NodeId, port: u16, uid: &OperatorUid) -> Result<Vec<AnyPush>, BuildError> {
        let plan = Arc::clone(&self.plan);
        plan.edges
            .iter()
            .filter(|edge| edge.from == (node, port))
            .map(|edge| {
                let ends = self.writers.remove(&edge.index).unwrap_or_default();
                let options = WriterOptions {
                    operator: uid.clone(),
                    space: self.parts.program.graph().space,
                    producer: self.task.index,
                };
                let writer = code(&self.parts.program, &plan, edge)
                    .writer(ends, options)
                    .map_err(|error| BuildError::Other(error.to_string()))?;
                let consumer = plan.vertex(edge.to_vertex);
                let output = TaskOutput::new(writer.status, consumer.id, consumer.name.clone());
                self.outputs.push(output);
                Ok(writer.push)
            })
            .collect()
    }

    /// Opens the operators, hands out key groups and restores state.
    fn fill<H: ChainHead + ?Sized>(
        &self,
        head: &mut H,
        manifest: Option<&Manifest>,
    ) -> Result<(), BuildError> {
        head.visit(&mut |operator| {
            let uid = operator.context().uid.clone();
            operator
                .open()
                .map_err(|error| ChainError { operator: uid, error })?;
            let groups = operator.context().key_groups;
            for table in operator.keyed_states() {
                table.assign(groups);
            }
            Ok(())
        })?;
        let Some((manifest, segments)) = manifest.zip(self.segments.as_deref()) else {
            return Ok(());
        };
        restore::load(
            head,
            manifest,
            segments,
            self.parts.deployment.allow_non_restored_state,
        )
        .map_err(BuildError::Restore)
    }
}

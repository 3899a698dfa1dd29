//! A job as code: the graph with, for every node, edge and output, what builds it.
//!
//! The DSL, which knows the element types, registers one factory per node, one [`AnyEdge`] per graph input and one port
//! per output. Everything here is free of types; factories downcast what they made themselves.

use std::{any::Any, sync::Arc};

use tidegate_core::{
    Attempt, Batch, Control, Faults, Flow, Lineage, NodeId, OperatorContext, OperatorError, OperatorUid,
    OperatorVisitor, Output, Push, SideOutputs, VisitOperators,
    chain::{ChainError, ChainedTwoInput, FanOut},
    graph::{GraphError, JobGraph},
    sink::{Committer, Sink},
    source::{Source, Split},
};
use tidegate_exchange::AnyEdge;

use crate::{
    head::{OneInputHead, TaskHead, TwoInputHead},
    sink_node::SinkNode,
    source_node::{SourceHead, SourceNode},
};

/// A `Box<dyn Push<T>>` whose `T` is known to whoever made it.
pub type AnyPush = Box<dyn Any + Send>;

/// A job graph with the code behind it.
pub struct JobProgram {
    graph: JobGraph,
    nodes: Vec<NodeProgram>,
}

/// The code behind one node.
pub struct NodeProgram {
    /// Builds the node.
    pub factory: Arc<dyn NodeFactory>,
    /// One edge per input, in the order of the graph node's inputs. Unused where the input is fused.
    pub inputs: Vec<Arc<dyn AnyEdge>>,
    /// One port per output, the main one first.
    pub ports: Vec<Arc<dyn AnyPort>>,
}

impl JobProgram {
    /// A program for a valid graph.
    ///
    /// # Errors
    /// What [`JobGraph::validate`] says.
    ///
    /// # Panics
    /// If there is not exactly one [`NodeProgram`] per node.
    pub fn new(graph: JobGraph, nodes: Vec<NodeProgram>) -> Result<Self, GraphError> {
        assert_eq!(
            graph.nodes.len(),
            nodes.len(),
            "every node of the graph has its code"
        );
        graph.validate()?;
        Ok(Self { graph, nodes })
    }

    /// The graph.
    pub fn graph(&self) -> &JobGraph {
        &self.graph
    }

    /// Who commits for a sink, and dies where the faults strike.
    pub(crate) fn committer(&self, sink: &OperatorUid, faults: &Faults) -> Option<Arc<dyn Committer>> {
        let node = self.graph.nodes.iter().find(|node| node.uid == *sink)?;
        self.node(node.id).factory.committer(faults)
    }

    /// The code behind a node.
    pub(crate) fn node(&self, id: NodeId) -> &NodeProgram {
        &self.nodes[id.0 as usize]
    }
}

/// Everything a node is built from.
pub struct NodeParts {
    /// What the operator may know.
    pub context: OperatorContext,
    /// The identity of the run's output.
    pub lineage: Lineage,
    /// The attempt.
    pub attempt: Attempt,
    pub(crate) outputs: Vec<Option<AnyPush>>,
}

impl NodeParts {
    /// The link behind output `port`; each can be taken once.
    ///
    /// # Panics
    /// If the port is not of type `T`, does not exist or has been taken: the DSL registers ports and factories together.
    pub fn link<T: 'static>(&mut self, port: u16) -> Box<dyn Push<T>> {
        let link = self.outputs.get_mut(usize::from(port)).and_then(Option::take);
        *link
            .and_then(|link| link.downcast::<Box<dyn Push<T>>>().ok())
            .expect("a node takes each of its registered ports once, with the port's type")
    }

    /// An output in front of port `port`; see [`link`](Self::link).
    pub fn output<T: 'static>(&mut self, port: u16) -> Output<T> {
        Output::new(self.link(port))
    }
}

/// A node, built.
pub enum BuiltNode {
    /// Takes records from the chain above or, at the head of a chain, from edges.
    Push {
        /// The `Box<dyn Push<I>>`.
        push: AnyPush,
        /// Makes it the head of a task.
        into_head: fn(AnyPush) -> Box<dyn TaskHead>,
    },
    /// Can only be the head of a task.
    Head(Box<dyn TaskHead>),
    /// Reads.
    Source(Box<dyn SourceHead>),
}

/// Builds the instances of a node.
pub trait NodeFactory: Send + Sync {
    /// Builds an instance for one task.
    fn build(&self, parts: NodeParts) -> Result<BuiltNode, OperatorError>;

    /// How to find the node's splits, if it is a source.
    fn discovery(&self) -> Option<Discovery> {
        None
    }

    /// Who commits for the node, if it is a sink that commits; it dies where `faults` strike.
    fn committer(&self, faults: &Faults) -> Option<Arc<dyn Committer>> {
        let _ = faults;
        None
    }
}

impl BuiltNode {
    /// A node that takes records of one type.
    pub fn push<I: Send + 'static>(push: Box<dyn Push<I>>) -> Self {
        Self::Push {
            push: Box::new(push),
            into_head: into_head::<I>,
        }
    }
}

fn into_head<I: Send + 'static>(push: AnyPush) -> Box<dyn TaskHead> {
    let push = push
        .downcast::<Box<dyn Push<I>>>()
        .expect("made by BuiltNode::push with the same type");
    Box::new(OneInputHead::new(*push))
}

/// Finds a source's splits for a parallelism. May block.
pub type Discovery = Box<dyn FnOnce(u32) -> Result<Vec<Split>, OperatorError> + Send>;

struct Operators<F>(F);

impl<F: Fn(NodeParts) -> Result<BuiltNode, OperatorError> + Send + Sync> NodeFactory for Operators<F> {
    fn build(&self, parts: NodeParts) -> Result<BuiltNode, OperatorError> {
        (self.0)(parts)
    }
}

/// A factory of operators with one input of type `I`.
pub fn operator<I: Send + 'static>(
    build: impl Fn(NodeParts) -> Result<Box<dyn Push<I>>, OperatorError> + Send + Sync + 'static,
) -> Arc<dyn NodeFactory> {
    Arc::new(Operators(move |parts| build(parts).map(BuiltNode::push)))
}

/// A factory of operators with two inputs.
pub fn two_input_operator<A: Send + 'static, B: Send + 'static, O: Send + 'static>(
    build: impl Fn(NodeParts) -> Result<ChainedTwoInput<A, B, O>, OperatorError> + Send + Sync + 'static,
) -> Arc<dyn NodeFactory> {
    Arc::new(Operators(move |parts| {
        Ok(BuiltNode::Head(Box::new(TwoInputHead::new(build(parts)?))))
    }))
}

/// Takes the links of a node's side outputs from its parts.
pub type AttachSides = Box<dyn Fn(&mut NodeParts) -> SideOutputs + Send + Sync>;

struct SourceFactory<T> {
    source: Arc<dyn Source<T>>,
    sides: AttachSides,
}

impl<T: Send + 'static> NodeFactory for SourceFactory<T> {
    fn build(&self, mut parts: NodeParts) -> Result<BuiltNode, OperatorError> {
        let sides = (self.sides)(&mut parts);
        let out = Output::with_sides(parts.link::<T>(0), sides);
        Ok(BuiltNode::Source(Box::new(SourceNode::new(
            Arc::clone(&self.source),
            parts.context,
            out,
        ))))
    }

    fn discovery(&self) -> Option<Discovery> {
        let source = Arc::clone(&self.source);
        Some(Box::new(move |parallelism| source.discover(parallelism)))
    }
}

/// A factory of source tasks without side outputs.
pub fn source<T: Send + 'static>(source: Arc<dyn Source<T>>) -> Arc<dyn NodeFactory> {
    source_with_sides(source, Box::new(|_| SideOutputs::none()))
}

/// A factory of source tasks with the side outputs that `sides` attaches.
pub fn source_with_sides<T: Send + 'static>(
    source: Arc<dyn Source<T>>,
    sides: AttachSides,
) -> Arc<dyn NodeFactory> {
    Arc::new(SourceFactory { source, sides })
}

struct SinkFactory<T>(Arc<dyn Sink<T>>);

impl<T: Send + 'static> NodeFactory for SinkFactory<T> {
    fn build(&self, parts: NodeParts) -> Result<BuiltNode, OperatorError> {
        let node = SinkNode::new(self.0.as_ref(), parts.context, &parts.lineage, parts.attempt)?;
        Ok(BuiltNode::push::<T>(Box::new(node)))
    }

    fn committer(&self, faults: &Faults) -> Option<Arc<dyn Committer>> {
        self.0.committer_with(faults)
    }
}

/// A factory of sink tasks.
pub fn sink<T: Send + 'static>(sink: Arc<dyn Sink<T>>) -> Arc<dyn NodeFactory> {
    Arc::new(SinkFactory(sink))
}

/// An output of a node: joins the links behind it into one.
pub trait AnyPort: Send + Sync {
    /// Joins `Box<dyn Push<T>>`es into one. With no link at all, records are dropped.
    fn join(&self, links: Vec<AnyPush>) -> AnyPush;
}

type Join<T> = fn(Vec<Box<dyn Push<T>>>) -> Box<dyn Push<T>>;

/// How the links behind an output of type `T` become one.
pub struct Port<T>(Join<T>);

impl<T: Send + 'static> Port<T> {
    /// A port with at most one link.
    pub fn single() -> Arc<dyn AnyPort> {
        Arc::new(Self(|mut links| {
            assert!(links.len() <= 1, "a stream that is used twice has a shared port");
            links.pop().unwrap_or_else(|| Box::new(Dropped))
        }))
    }

    /// A port whose records are copied to every link.
    pub fn shared() -> Arc<dyn AnyPort>
    where
        T: Clone,
    {
        Arc::new(Self(|mut links| match links.len() {
            1 => links.remove(0),
            _ => Box::new(FanOut::new(links)),
        }))
    }
}

impl<T: 'static> AnyPort for Port<T> {
    fn join(&self, links: Vec<AnyPush>) -> AnyPush {
        let typed = links
            .into_iter()
            .map(|link| {
                *link
                    .downcast::<Box<dyn Push<T>>>()
                    .expect("the links of a port have its type")
            })
            .collect();
        Box::new((self.0)(typed))
    }
}

/// Takes what nobody wants.
struct Dropped;

impl VisitOperators for Dropped {
    fn visit(&mut self, _visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        Ok(())
    }
}

impl<T> Push<T> for Dropped {
    fn push(&mut self, _batch: Batch<T>) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }

    fn control(&mut self, _control: Control) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }
}

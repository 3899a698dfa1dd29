//! The builder of a job: every stream holds it, and every operation adds a node to it.

use std::{any::TypeId, cell::RefCell, rc::Rc, sync::Arc};

use tidegate_core::{
    KeySpace, NodeId, OperatorUid, OutputTag, SideOutputs,
    graph::{GraphInput, GraphNode, JobGraph, NodeKind},
    source::Source,
};
use tidegate_exchange::AnyEdge;
use tidegate_worker::{AnyPort, JobProgram, NodeFactory, NodeParts, NodeProgram, Port};

use crate::{BuildError, Job, Record, Stream};

/// The longest name of an operator, in bytes: names become parts of file names.
const NAME_LIMIT: usize = 120;

/// Builds a job: streams start here, and [`build`](Self::build) makes a [`Job`] of everything they were put through.
///
/// A cheap handle that every stream holds too. It stays on one thread, so that a job is the same graph whenever and
/// wherever it is built: several processes that build it must agree.
///
/// ```
/// use tidegate::prelude::*;
///
/// let env = Env::new("squares");
/// let squares = env
///     .source("numbers", IteratorSource::new(|| 0..5u64))
///     .map(|number| number * number)
///     .collect("squares");
/// env.build()?.run(RunOptions::in_memory())?;
/// assert_eq!(squares.sorted(), [0, 1, 4, 9, 16]);
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone)]
pub struct Env {
    builder: Rc<RefCell<Builder>>,
}

struct Builder {
    name: String,
    space: KeySpace,
    nodes: Vec<Draft>,
    /// What was asked for and cannot be had. Building streams never fails half way; `build` tells.
    mistakes: Vec<BuildError>,
}

/// A node while the graph grows.
struct Draft {
    node: GraphNode,
    assemble: Assemble,
    inputs: Vec<Arc<dyn AnyEdge>>,
    ports: Vec<Option<Arc<dyn AnyPort>>>,
    sides: Vec<AttachSide>,
    /// Whether all that comes out of it has passed a watermark strategy.
    has_watermarks: bool,
    late_records: LateRecords,
}

/// What comes out of a node's side output of late records.
#[derive(Clone, Copy)]
pub(crate) enum LateRecords {
    /// It has none: it is no window.
    NoWindow,
    /// No record can be late there.
    Never,
    /// Records of this type.
    Of(RecordType),
}

/// A type of records.
#[derive(Clone, Copy)]
pub(crate) struct RecordType {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

/// Makes a node's factory once all its side outputs are known.
pub(crate) enum Assemble {
    /// It has a main output only.
    Plain(Arc<dyn NodeFactory>),
    /// It has whatever side outputs people ask for.
    WithSides(Box<dyn FnOnce(Sides) -> Arc<dyn NodeFactory>>),
}

/// Connects one side output.
type AttachSide = Box<dyn Fn(&mut NodeParts, &mut SideOutputs) + Send + Sync>;

/// The side outputs of a node that somebody reads.
pub(crate) struct Sides(Vec<AttachSide>);

impl Sides {
    /// Connects them all.
    pub(crate) fn attach(&self, parts: &mut NodeParts) -> SideOutputs {
        let mut sides = SideOutputs::none();
        self.0.iter().for_each(|attach| attach(parts, &mut sides));
        sides
    }
}

/// An output that a stream stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutputPort {
    pub(crate) node: NodeId,
    pub(crate) port: u16,
}

/// A node to be added.
pub(crate) struct NodeSpec<'a> {
    /// What it does, in a word: its name unless it gets another.
    pub(crate) operation: &'static str,
    /// The user's name, where there must be one.
    pub(crate) name: Option<&'a str>,
    pub(crate) kind: NodeKind,
    pub(crate) inputs: Vec<(GraphInput, Arc<dyn AnyEdge>)>,
    /// The main output; sinks have none.
    pub(crate) port: Option<Arc<dyn AnyPort>>,
    pub(crate) assemble: Assemble,
}

impl Env {
    /// An empty job.
    pub fn new(name: &str) -> Self {
        Self {
            builder: Rc::new(RefCell::new(Builder {
                name: name.to_owned(),
                space: KeySpace::DEFAULT,
                nodes: Vec::new(),
                mistakes: Vec::new(),
            })),
        }
    }

    /// Sets the number of key groups, 1024 unless set: the most parallel tasks that a keyed operator of this job can
    /// ever have. It is fixed for the life of the job's state; at most 32768.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// let env = Env::new("wide");
    /// env.max_parallelism(4096);
    /// ```
    pub fn max_parallelism(&self, key_groups: u32) -> &Self {
        let mut builder = self.builder.borrow_mut();
        match u16::try_from(key_groups).ok().and_then(KeySpace::new) {
            Some(space) => builder.space = space,
            None => builder.mistakes.push(BuildError::MaxParallelism { key_groups }),
        }
        self
    }

    /// Starts a stream at a source. The positions of its readers are kept in the job's state under `name`.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("example");
    /// let numbers: Stream<u64> = env.source("numbers", IteratorSource::new(|| 0..100u64));
    /// # numbers.discard("nowhere");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn source<T: Record>(&self, name: &str, source: impl Source<T> + 'static) -> Stream<T> {
        let node = self.add(NodeSpec {
            operation: "source",
            name: Some(name),
            kind: NodeKind::Source,
            inputs: Vec::new(),
            port: Some(Port::<T>::single()),
            assemble: Assemble::WithSides(Box::new(move |sides| {
                let attach = move |parts: &mut NodeParts| sides.attach(parts);
                tidegate_worker::source_with_sides(Arc::new(source), Box::new(attach))
            })),
        });
        Stream::at(self.clone(), OutputPort { node, port: 0 })
    }

    /// Makes a job of everything built so far.
    ///
    /// # Errors
    /// Whatever cannot be run: two operators of one name, a stream that ends nowhere, a parallelism that cannot be had.
    pub fn build(self) -> Result<Job, BuildError> {
        // Streams that are still held keep a handle too; they can add nothing to what is taken out here.
        let builder = self.builder.replace(Builder {
            name: String::new(),
            space: KeySpace::DEFAULT,
            nodes: Vec::new(),
            mistakes: Vec::new(),
        });
        if let Some(mistake) = builder.mistakes.into_iter().next() {
            return Err(mistake);
        }
        let (nodes, programs) = builder.nodes.into_iter().map(Draft::finish).unzip();
        let graph = JobGraph {
            name: builder.name,
            space: builder.space,
            nodes,
        };
        Ok(Job::new(JobProgram::new(graph, programs)?))
    }

    /// Adds a node and says where it is.
    pub(crate) fn add(&self, spec: NodeSpec<'_>) -> NodeId {
        let mut builder = self.builder.borrow_mut();
        let id = NodeId(u32::try_from(builder.nodes.len()).unwrap_or(u32::MAX));
        if let Some(mistake) = spec.name.and_then(|name| check_name(name).err()) {
            builder.mistakes.push(mistake);
        }
        // People's names have no `#`, so a made-up one cannot meet them.
        let uid = spec
            .name
            .map_or_else(|| format!("{}#{id}", spec.operation), str::to_owned);
        let has_watermarks = builder.have_watermarks(spec.inputs.iter().map(|(input, _)| input));
        let (inputs, edges) = spec.inputs.into_iter().unzip();
        builder.nodes.push(Draft {
            node: GraphNode {
                id,
                name: spec.name.unwrap_or(spec.operation).to_owned(),
                uid: OperatorUid::new(uid),
                named: spec.name.is_some(),
                kind: spec.kind,
                parallelism: None,
                inputs,
            },
            assemble: spec.assemble,
            inputs: edges,
            ports: spec.port.into_iter().map(Some).collect(),
            sides: Vec::new(),
            has_watermarks,
            late_records: LateRecords::NoWindow,
        });
        id
    }

    /// Copies the records of an output to everyone who reads it.
    pub(crate) fn share<T: Record + Clone>(&self, output: OutputPort) {
        let mut builder = self.builder.borrow_mut();
        let ports = &mut builder.nodes[output.node.0 as usize].ports;
        ports[usize::from(output.port)] = Some(Port::<T>::shared());
    }

    /// Adds a side output to a node.
    pub(crate) fn side<S: Record>(&self, node: NodeId, tag: OutputTag<S>) -> OutputPort {
        let mut builder = self.builder.borrow_mut();
        let draft = &mut builder.nodes[node.0 as usize];
        let port = usize::from(tag.port());
        let mistake = match draft.assemble {
            Assemble::Plain(_) => Some(BuildError::NoSideOutputs {
                operator: draft.node.name.clone(),
            }),
            Assemble::WithSides(_) => {
                draft
                    .ports
                    .get(port)
                    .is_some_and(Option::is_some)
                    .then(|| BuildError::SideOutputTwice {
                        operator: draft.node.name.clone(),
                        port: tag.port(),
                    })
            }
        };
        if draft.ports.len() <= port {
            draft.ports.resize_with(port + 1, || None);
        }
        draft.ports[port] = Some(Port::<S>::single());
        match mistake {
            Some(mistake) => builder.mistakes.push(mistake),
            None => draft.sides.push(Box::new(move |parts, sides| {
                sides.insert(tag, parts.output::<S>(tag.port()))
            })),
        }
        OutputPort {
            node,
            port: tag.port(),
        }
    }

    /// The name of a node.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.builder.borrow().nodes[node.0 as usize].node.name.clone()
    }

    /// Says that a node makes watermarks.
    pub(crate) fn set_watermarks(&self, node: NodeId) {
        self.builder.borrow_mut().nodes[node.0 as usize].has_watermarks = true;
    }

    /// Whether watermarks come to whatever has these inputs.
    pub(crate) fn have_watermarks(&self, inputs: &[(GraphInput, Arc<dyn AnyEdge>)]) -> bool {
        self.builder
            .borrow()
            .have_watermarks(inputs.iter().map(|(input, _)| input))
    }

    /// Says what comes out of a node's side output of late records.
    pub(crate) fn set_late_records(&self, node: NodeId, records: LateRecords) {
        self.builder.borrow_mut().nodes[node.0 as usize].late_records = records;
    }

    /// What comes out of a node's side output of late records.
    pub(crate) fn late_records(&self, node: NodeId) -> LateRecords {
        self.builder.borrow().nodes[node.0 as usize].late_records
    }

    /// A uid for something that keeps state and has no name: made of the nearest name above it, so that it stays when the
    /// job changes elsewhere. The second of its kind behind one name is counted.
    pub(crate) fn uid_behind(&self, mut node: NodeId, what: &str) -> OperatorUid {
        let nodes = &self.builder.borrow().nodes;
        let draft = |id: NodeId| &nodes[id.0 as usize].node;
        while !draft(node).named
            && let Some(input) = draft(node).inputs.first()
        {
            node = input.from;
        }
        let base = format!("{}#{what}", draft(node).uid);
        let taken = nodes
            .iter()
            .filter(|draft| draft.node.uid.as_str().starts_with(&base))
            .count();
        OperatorUid::new(match taken {
            0 => base,
            taken => format!("{base}-{}", taken + 1),
        })
    }

    /// Changes the graph's node.
    pub(crate) fn change(&self, id: NodeId, change: impl FnOnce(&mut GraphNode)) {
        change(&mut self.builder.borrow_mut().nodes[id.0 as usize].node);
    }

    /// Keeps a mistake for [`build`](Self::build) to tell.
    pub(crate) fn mistake(&self, mistake: BuildError) {
        self.builder.borrow_mut().mistakes.push(mistake);
    }

    /// Whether two handles are of one job.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.builder, &other.builder)
    }
}

impl Builder {
    /// Whether watermarks come out of all streams of one side. The other side of a node with two may do without: a table
    /// to look things up in ends.
    fn have_watermarks<'a>(&self, inputs: impl Iterator<Item = &'a GraphInput>) -> bool {
        let (mut any, mut without) = ([false; 2], [false; 2]);
        for input in inputs {
            let side = usize::from(input.slot != 0);
            any[side] = true;
            without[side] |= !self.nodes[input.from.0 as usize].has_watermarks;
        }
        (0..2).any(|side| any[side] && !without[side])
    }
}

impl RecordType {
    /// The type `T`.
    pub(crate) fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: std::any::type_name::<T>(),
        }
    }
}

impl Draft {
    fn finish(self) -> (GraphNode, NodeProgram) {
        let factory = match self.assemble {
            Assemble::Plain(factory) => factory,
            Assemble::WithSides(assemble) => assemble(Sides(self.sides)),
        };
        // Ports count without gaps; a tag that nobody asked for leaves one that nothing is ever sent to.
        let ports = self
            .ports
            .into_iter()
            .map(|port| port.unwrap_or_else(Port::<()>::single))
            .collect();
        (
            self.node,
            NodeProgram {
                factory,
                inputs: self.inputs,
                ports,
            },
        )
    }
}

fn check_name(name: &str) -> Result<(), BuildError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_LIMIT {
        "it is longer than 120 bytes"
    } else if name.starts_with('.') {
        "it starts with a dot"
    } else if name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\' | '#')) {
        "it contains `/`, `\\`, `#` or a control character"
    } else {
        return Ok(());
    };
    Err(BuildError::Name {
        name: name.to_owned(),
        why,
    })
}

//! Identities: one newtype per thing that has one.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The id that follows this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name as it is.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

numeric_id! {
    /// One deployment of a job's tasks; rises with every restart. Channels of another attempt are refused.
    Attempt(u32)
}
numeric_id! {
    /// One channel from a producer task to a consumer task, minted per [`Attempt`] and never reused.
    ChannelId(u64)
}
numeric_id! {
    /// What barriers carry: rises with every checkpoint that is tried, with gaps where one was aborted.
    CheckpointId(u64)
}
numeric_id! {
    /// A link in the chain of *claimed* checkpoints: no gaps.
    Epoch(u64)
}
numeric_id! {
    /// A term of leadership over a job. Messages of an older generation are refused.
    Generation(u64)
}
numeric_id! {
    /// A node of the job graph: its place in [`JobGraph::nodes`](crate::graph::JobGraph::nodes).
    NodeId(u32)
}
numeric_id! {
    /// A chain of fused operators: a vertex of the execution plan.
    VertexId(u32)
}
numeric_id! {
    /// A worker of a job, numbered from 0 within an attempt.
    WorkerId(u32)
}
text_id! {
    /// A job within its cluster.
    JobId
}
text_id! {
    /// The name a user gave to something that keeps state. State is found by it after a restart.
    OperatorUid
}
text_id! {
    /// The identity of a run's committed output: minted on a fresh start, kept across recovery.
    Lineage
}

/// One parallel instance of a vertex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TaskId {
    /// The chain that this task runs.
    pub vertex: VertexId,
    /// Which of the chain's parallel instances it is, from 0.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.vertex, self.index)
    }
}

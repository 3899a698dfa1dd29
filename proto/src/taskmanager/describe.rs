//! What comes of asking an executable what job it is.

use std::fmt;

use crate::{convert::bad, generated as wire, object::DecodeReason};

/// Why an executable did not describe a job.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct DescribeProblem {
    /// Of which kind: whoever uploaded the executable, or whoever runs the cluster, has something to do.
    pub kind: DescribeProblemKind,
    /// What, which and what to do.
    pub message: String,
}

/// Kinds of [`DescribeProblem`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DescribeProblemKind {
    /// The artifact could not be had: the storage, the network, the disk. Trying again may help.
    Unavailable,
    /// Its bytes are not what its id or its size says.
    Damaged,
    /// It is no executable, or one for another kind of machine.
    NotExecutable,
    /// It ran, and what it printed is no description of a job.
    NoJob,
    /// It ended with another code than 0, or by a signal.
    Crashed,
    /// It refused the job's arguments.
    Arguments,
    /// It did not end in time.
    Hung,
    /// It used more memory than it may.
    Memory,
    /// It printed more than a description may have.
    Output,
    /// It speaks no version of the workers' protocol that this release speaks.
    Protocol,
}

impl DescribeProblemKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unavailable,
        Self::Damaged,
        Self::NotExecutable,
        Self::NoJob,
        Self::Crashed,
        Self::Arguments,
        Self::Hung,
        Self::Memory,
        Self::Output,
        Self::Protocol,
    ];

    /// A word for it that stays the same, in lower case with hyphens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::NotExecutable => "not-executable",
            Self::NoJob => "no-job",
            Self::Crashed => "crashed",
            Self::Arguments => "arguments",
            Self::Hung => "hung",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Protocol => "protocol",
        }
    }

    /// Whether asking again, or elsewhere, may have another outcome with the same executable.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::Damaged | Self::Hung)
    }
}

impl fmt::Display for DescribeProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<DescribeProblemKind> for wire::DescribeProblemKind {
    fn from(kind: DescribeProblemKind) -> Self {
        match kind {
            DescribeProblemKind::Unavailable => Self::Unavailable,
            DescribeProblemKind::Damaged => Self::Damaged,
            DescribeProblemKind::NotExecutable => Self::NotExecutable,
            DescribeProblemKind::NoJob => Self::NoJob,
            DescribeProblemKind::Crashed => Self::Crashed,
            DescribeProblemKind::Arguments => Self::Arguments,
            DescribeProblemKind::Hung => Self::Hung,
            DescribeProblemKind::Memory => Self::Memory,
            DescribeProblemKind::Output => Self::Output,
            DescribeProblemKind::Protocol => Self::Protocol,
        }
    }
}

impl From<&DescribeProblem> for wire::DescribeProblem {
    fn from(problem: &DescribeProblem) -> Self {
        Self {
            kind: wire::DescribeProblemKind::from(problem.kind).into(),
            message: problem.message.clone(),
        }
    }
}

impl TryFrom<wire::DescribeProblem> for DescribeProblem {
    type Error = DecodeReason;

    fn try_from(problem: wire::DescribeProblem) -> Result<Self, DecodeReason> {
        let kind = DescribeProblemKind::ALL
            .into_iter()
            .find(|kind| i32::from(wire::DescribeProblemKind::from(*kind)) == problem.kind)
            .ok_or_else(|| bad("described.problem.kind", problem.kind))?;
        Ok(Self {
            kind,
            message: problem.message,
        })
    }
}
